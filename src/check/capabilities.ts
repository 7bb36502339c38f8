import type { RunConfig } from '../config/types.ts';
import { degraded, type Finding, fail, pass } from './finding.ts';

/** Bits of include/uapi/linux/capability.h. */
const bits = { net_admin: 12, sys_ptrace: 19, sys_admin: 21, perfmon: 38, bpf: 39 } as const;

export type Capability = keyof typeof bits;

/**
 * The effective capabilities of this process that matter here.
 * @param status content of /proc/self/status
 */
export function effectiveCapabilities(status: string): ReadonlySet<Capability> {
  const [, mask = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
  const held = BigInt(`0x${mask}`);
  const names = Object.keys(bits) as Capability[];
  return new Set(names.filter((name) => (held >> BigInt(bits[name])) & 1n));
}

const remedy = 'run it as root, or add the capability: AmbientCapabilities of the unit, cap_add of the container';

/**
 * The same set on every kernel that is supported: CAP_BPF and CAP_PERFMON came with Linux 5.8, and where they are asked
 * for CAP_SYS_ADMIN does as well (bpf_capable, perfmon_capable).
 */
export function capabilityFindings(
  held: ReadonlySet<Capability>,
  { packets }: Pick<RunConfig, 'packets'>,
): readonly Finding[] {
  const has = (name: Capability) => held.has(name) || (name !== 'sys_ptrace' && held.has('sys_admin'));
  const findings: Finding[] = [];
  const need = (name: Capability, what: string, missing: typeof fail | typeof degraded) => {
    const subject = `capability CAP_${name.toUpperCase()}`;
    findings.push(has(name) ? pass(subject, what) : missing(subject, `missing, and ${what}`, remedy));
  };
  need('bpf', 'it is needed to load programs and to make maps', fail);
  need('perfmon', 'it is needed to read what the kernel knows of a process', fail);
  if (packets !== undefined) need('net_admin', 'it is needed to count packets (--no-packets does without)', fail);
  need('sys_ptrace', 'with it programs that run already are known as parents of execs', degraded);
  return findings;
}
