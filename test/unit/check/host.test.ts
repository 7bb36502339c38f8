import { describe, expect, test } from 'vitest';
import { type BpffsFacts, bpffsFinding } from '../../../src/check/bpffs.ts';
import { type Capability, capabilityFindings, effectiveCapabilities } from '../../../src/check/capabilities.ts';
import { clockFinding } from '../../../src/check/clock.ts';
import { identityFinding } from '../../../src/check/identity.ts';
import { btfFinding, lockdownFinding, programFindings, releaseFinding } from '../../../src/check/kernel.ts';
import { headRoom, kernelBytes, memoryFinding } from '../../../src/check/memory.ts';
import { Bpf2KafkaError } from '../../../src/errors.ts';
import type { Kept } from '../../../src/ledger/last-entries.ts';

const files = (contents: Record<string, string>) => (path: string) => contents[path];
const packets = { interfaces: ['auto'], excluded: [], intervalMillis: 1_000, keyKind: 'flow', budget: 1, flows: 1_024 };
const withPackets = { packets: { ...packets, keyKind: 'flow' } } as const;

describe('kernel', () => {
  test.each([
    ['5.14.0-503.el9.x86_64', 'degraded'],
    ['4.19.0', 'degraded'],
    ['5.15.0-1', 'pass'],
    ['6.1.0-40-amd64', 'pass'],
    ['10.0', 'pass'],
    ['strange', 'degraded'],
  ])('%s: %s', (release, status) => {
    expect(releaseFinding(release)).toMatchObject({ status, found: expect.stringContaining(release) });
  });

  test('BTF that is not there', () => {
    expect(btfFinding(() => true)).toMatchObject({ status: 'pass' });
    expect(btfFinding(() => false)).toMatchObject({ status: 'fail', remedy: expect.stringContaining('CONFIG_DEBUG') });
  });

  test.each([
    [undefined, 'pass'],
    ['[none] integrity confidentiality\n', 'pass'],
    ['none [integrity] confidentiality\n', 'pass'],
    ['none integrity [confidentiality]\n', 'fail'],
  ])('lockdown %o: %s', (content, status) => {
    const read = files(content === undefined ? {} : { '/sys/kernel/security/lockdown': content });
    expect(lockdownFinding(read)).toMatchObject({ status });
  });

  test('only what is captured is loaded, and a refusal has its reason and its remedy', () => {
    const tried: string[] = [];
    const refused = new Bpf2KafkaError('ERR_BPF', {
      operation: 'load',
      subject: 'the exit programs',
      reason: 'no\nsuch helper',
      remedy: 'upgrade',
    });
    const tryPrograms = (stream: string) => {
      tried.push(stream);
      if (stream === 'exit') throw refused;
    };
    expect(programFindings({ failedExecs: false, exitRingBytes: 1, packets: undefined }, tryPrograms)).toEqual([
      { status: 'pass', subject: 'programs of exec', found: expect.any(String) },
      {
        status: 'fail',
        subject: 'programs of exit',
        found: 'cannot load the exit programs: no such helper',
        remedy: 'upgrade',
      },
    ]);
    programFindings({ failedExecs: true, exitRingBytes: undefined, ...withPackets }, tryPrograms);
    expect(tried).toEqual(['exec', 'exit', 'exec', 'failed execs', 'packets']);
  });
});

describe('capabilities', () => {
  const status = (bits: number[]) =>
    `Name:\tnode\nCapPrm:\t000001ffffffffff\nCapEff:\t${bits
      .reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n)
      .toString(16)
      .padStart(16, '0')}\n`;
  const statuses = (bits: number[], config: Parameters<typeof capabilityFindings>[1]) =>
    Object.fromEntries(
      capabilityFindings(effectiveCapabilities(status(bits)), config).map((finding) => [
        finding.subject.replace('capability CAP_', ''),
        finding.status,
      ]),
    );

  test('the effective ones are read by their bits', () => {
    const all: Capability[] = ['net_admin', 'sys_ptrace', 'sys_admin', 'perfmon', 'bpf'];
    expect([...effectiveCapabilities(status([12, 19, 21, 38, 39]))].toSorted()).toEqual(all.toSorted());
    expect([...effectiveCapabilities(status([11, 13, 18, 20, 37, 40]))]).toEqual([]);
    expect([...effectiveCapabilities('')]).toEqual([]);
  });

  test('each that is missing has a line of its own; without CAP_SYS_PTRACE it runs', () => {
    const all = { BPF: 'pass', PERFMON: 'pass', NET_ADMIN: 'pass', SYS_PTRACE: 'pass' };
    expect(statuses([12, 19, 38, 39], withPackets)).toEqual(all);
    expect(statuses([12, 19, 38], withPackets)).toEqual({ ...all, BPF: 'fail' });
    expect(statuses([12, 19, 39], withPackets)).toEqual({ ...all, PERFMON: 'fail' });
    expect(statuses([19, 38, 39], withPackets)).toEqual({ ...all, NET_ADMIN: 'fail' });
    expect(statuses([12, 38, 39], withPackets)).toEqual({ ...all, SYS_PTRACE: 'degraded' });
  });

  test('CAP_NET_ADMIN is for packets alone', () => {
    expect(statuses([19, 38, 39], { packets: undefined })).toEqual({
      BPF: 'pass',
      PERFMON: 'pass',
      SYS_PTRACE: 'pass',
    });
  });

  test('CAP_SYS_ADMIN stands for all but CAP_SYS_PTRACE', () => {
    const found = statuses([21], withPackets);
    expect(found).toEqual({ BPF: 'pass', PERFMON: 'pass', NET_ADMIN: 'pass', SYS_PTRACE: 'degraded' });
  });
});

describe('bpffs', () => {
  const right: BpffsFacts = {
    pinPath: '/sys/fs/bpf/bpf2kafka',
    mounted: true,
    writable: true,
    mayMount: false,
    ofHost: 'yes',
  };
  const cases: readonly [Partial<BpffsFacts>, string, string][] = [
    [{}, 'pass', "is the host's"],
    [{ mounted: false, mayMount: true }, 'pass', 'run mounts it'],
    [{ mounted: false }, 'fail', 'not mounted'],
    [{ mounted: false, mayMount: true, pinPath: '/var/pins' }, 'fail', '/var/pins is not on a bpffs'],
    [{ writable: false }, 'fail', 'no right to write'],
    [{ ofHost: 'no' }, 'degraded', "is not the host's"],
    [{ ofHost: 'hidden' }, 'degraded', 'cannot see'],
    [{ ofHost: 'no', pinPath: '/mnt/bpf/pins' }, 'pass', '/mnt/bpf/pins'],
  ];
  test.each(cases)('%o: %s', (facts, status, found) => {
    expect(bpffsFinding({ ...right, ...facts })).toMatchObject({ status, found: expect.stringContaining(found) });
  });
});

describe('memory', () => {
  const MiB = 2 ** 20;

  test('the least of all limits above, with the cache that is given back', () => {
    const read = files({
      '/proc/self/cgroup': '0::/kubepods/pod1/c1\n',
      '/sys/fs/cgroup/kubepods/pod1/c1/memory.max': 'max\n',
      '/sys/fs/cgroup/kubepods/pod1/c1/memory.current': '1\n',
      '/sys/fs/cgroup/kubepods/pod1/memory.max': `${300 * MiB}\n`,
      '/sys/fs/cgroup/kubepods/pod1/memory.current': `${250 * MiB}\n`,
      '/sys/fs/cgroup/kubepods/pod1/memory.stat': `anon 5\ninactive_file ${40 * MiB}\n`,
      '/sys/fs/cgroup/kubepods/memory.max': `${1_000 * MiB}\n`,
      '/sys/fs/cgroup/kubepods/memory.current': `${100 * MiB}\n`,
      '/proc/meminfo': 'MemTotal: 9 kB\nMemAvailable:    4194304 kB\n',
    });
    expect(headRoom(read)).toEqual({ of: 'the cgroup /kubepods/pod1', bytes: 90 * MiB });
  });

  test('cgroups of version 1, in a container that sees its own at the root', () => {
    const read = files({
      '/proc/self/cgroup': '8:pids:/docker/c1\n4:memory:/docker/c1\n0::/docker/c1\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${64 * MiB}\n`,
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': `${60 * MiB}\n`,
      '/sys/fs/cgroup/memory/memory.stat': `inactive_file 1\ntotal_inactive_file ${MiB}\n`,
    });
    expect(headRoom(read)).toEqual({ of: 'the cgroup /', bytes: 5 * MiB });
  });

  test('without a limit it is what the host has; without anything it is not known', () => {
    const read = files({
      '/proc/self/cgroup': '4:cpu,memory:/x\n',
      '/sys/fs/cgroup/memory/x/memory.limit_in_bytes': '9223372036854771712\n',
      '/sys/fs/cgroup/memory/x/memory.usage_in_bytes': '4096\n',
      '/proc/meminfo': 'MemAvailable:    2048 kB\n',
    });
    expect(headRoom(read)).toEqual({ of: 'the host', bytes: 2 * MiB });
    expect(headRoom(files({}))).toBeUndefined();
  });

  test('rings with the one for bare records, and two maps of packets', () => {
    const config = { execRingBytes: 8 * MiB, exitRingBytes: 4 * MiB, ...withPackets };
    expect(kernelBytes(config)).toBe(13 * MiB + 2 * 140 * 1_024);
    expect(kernelBytes({ execRingBytes: 8 * MiB, exitRingBytes: undefined, packets: undefined })).toBe(9 * MiB);
  });

  test.each([
    [40, 30, 'fail'],
    [40, 40, 'degraded'],
    [40, 295, 'degraded'],
    [40, 296, 'pass'],
    [0, 100, 'degraded'],
    [0, 256, 'pass'],
  ])('%i MiB wanted, %i there: %s', (needed, there, status) => {
    expect(memoryFinding(needed * MiB, { of: 'the host', bytes: there * MiB })).toMatchObject({ status });
  });
});

describe('machine-id', () => {
  const facts = { hostId: 'a'.repeat(32), bootId: 'b', kept: [], pinned: false };
  const own = { '/etc/machine-id': `${'a'.repeat(32)}\n` };
  const kept = (entry: object) => [{ entry, published: true } as Kept];

  test('from the file, from the option, and of a container', () => {
    expect(identityFinding(facts, files(own))).toMatchObject({
      status: 'pass',
      found: expect.stringContaining('from /etc'),
    });
    expect(identityFinding({ ...facts, hostId: 'web-1' }, files(own))).toMatchObject({
      status: 'pass',
      found: expect.stringContaining('--host-id'),
    });
    const other = { ...own, '/proc/1/root/etc/machine-id': `${'c'.repeat(32)}\n` };
    expect(identityFinding(facts, files(other))).toMatchObject({ status: 'degraded' });
  });

  test('a capture that goes on keeps its host id', () => {
    const others = kept({ boot_id: 'b', host_id: 'other', state: 'capturing', closed: true });
    expect(identityFinding({ ...facts, kept: others, pinned: true }, files(own))).toMatchObject({
      status: 'fail',
      found: expect.stringContaining('begun as other'),
    });
    expect(identityFinding({ ...facts, kept: others }, files(own))).toMatchObject({ status: 'pass' });
    for (const entry of [
      { boot_id: 'before', host_id: 'other', state: 'capturing', closed: true },
      { boot_id: 'b', host_id: 'other', state: 'stopped', closed: true },
      { boot_id: 'b', host_id: facts.hostId, state: 'capturing', closed: true },
    ])
      expect(identityFinding({ ...facts, kept: kept(entry), pinned: true }, files(own))).toMatchObject({
        status: 'pass',
      });
  });
});

test('the clock: synchronised, not, and not to be asked', () => {
  expect(clockFinding(() => true)).toMatchObject({ status: 'pass' });
  expect(clockFinding(() => false)).toMatchObject({ status: 'degraded', remedy: expect.stringContaining('chrony') });
  const refuse = () => {
    throw new Error('Operation not permitted');
  };
  expect(clockFinding(refuse)).toMatchObject({ status: 'degraded', found: expect.stringContaining('not permitted') });
});
