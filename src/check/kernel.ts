import { release } from 'node:os';
import type { RunConfig } from '../config/types.ts';
import type { ProgramStream } from '../kernel/addon.ts';
import type { ReadText } from './files.ts';
import { degraded, type Finding, fail, failure, pass } from './finding.ts';

const oldest = { major: 5, minor: 15 };
const upgrade = 'run it on Linux 5.15 or newer with BTF';

/**
 * By the number alone: a distribution may have brought what is needed to an older one (that of RHEL 9 is 5.14), so what
 * decides is whether the kernel takes the programs.
 * @param kernel as `uname -r` has it
 */
export function releaseFinding(kernel: string = release()): Finding {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(kernel) ?? [];
  const known = major !== undefined && minor !== undefined;
  const enough =
    known && (Number(major) > oldest.major || (Number(major) === oldest.major && Number(minor) >= oldest.minor));
  const wanted = `${oldest.major}.${oldest.minor} or newer is tested`;
  if (enough) return pass('kernel', `Linux ${kernel}; ${wanted}`);
  return degraded('kernel', `Linux ${kernel} is older than what is tested`, upgrade);
}

export function btfFinding(isThere: (path: string) => boolean): Finding {
  const path = '/sys/kernel/btf/vmlinux';
  if (isThere(path)) return pass('btf', path);
  const found = `${path} is not there or may not be read: the programs cannot be fitted to this kernel`;
  return fail('btf', found, `${upgrade} (CONFIG_DEBUG_INFO_BTF=y)`);
}

/** Confidentiality keeps BPF from reading kernel memory, integrity only from writing (security/lockdown/lockdown.c). */
export function lockdownFinding(read: ReadText): Finding {
  const modes = read('/sys/kernel/security/lockdown');
  const mode = /\[(\w+)\]/.exec(modes ?? '')?.[1];
  if (mode === undefined) return pass('lockdown', 'the kernel tells of none');
  if (mode !== 'confidentiality') return pass('lockdown', mode);
  return fail('lockdown', 'confidentiality: BPF may not read the kernel', 'boot with lockdown=integrity or without');
}

/**
 * Whether the verifier of this kernel takes the programs, and this process may load them.
 * @param tryPrograms throws when it does not
 */
export function programFindings(
  { failedExecs, exitRingBytes, packets }: Pick<RunConfig, 'failedExecs' | 'exitRingBytes' | 'packets'>,
  tryPrograms: (stream: ProgramStream) => void,
): readonly Finding[] {
  const streams: ProgramStream[] = ['exec'];
  if (failedExecs) streams.push('failed execs');
  if (exitRingBytes !== undefined) streams.push('exit');
  if (packets !== undefined) streams.push('packets');
  return streams.map((stream) => {
    const subject = `programs of ${stream}`;
    try {
      tryPrograms(stream);
      return pass(subject, 'loaded on trial and let go');
    } catch (error) {
      return failure(subject, error);
    }
  });
}
