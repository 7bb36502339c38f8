import type { Enrichment } from '../../../src/enrich/enrichment.ts';
import { Redactor } from '../../../src/enrich/redact.ts';
import { Workloads } from '../../../src/enrich/workload.ts';
import type { StructLayout } from '../../../src/kernel/layout.ts';
import { WallClock } from '../../../src/kernel/wall-clock.ts';

/** Exec records as the kernel side would write them, in a layout of their own. */

export const words = [
  'seq',
  'epoch',
  'boot_ns',
  'start_boot_ns',
  'exec_count',
  'parent_start_boot_ns',
  'parent_exec_count',
  'cgroup_id',
  'unread',
  'args_bytes',
  'args_absent',
] as const;
export const halves = [
  'args_count',
  'args_page_offset',
  'pid',
  'tid',
  'ppid',
  'uid',
  'gid',
  'euid',
  'egid',
  'suid',
  'sgid',
] as const;
export const shorts = [
  'filename.offset',
  'filename.length',
  'cgroup_path.offset',
  'cgroup_path.length',
  'args.offset',
  'args.length',
] as const;
export const comms = ['comm', 'parent_comm'] as const;

/** Of bpf/abi.h. */
export const limits = { ARGS_CAPTURED_BYTES: 32_768, ARGS_TAIL_BYTES: 8_192, ARGS_PAGE_BYTES: 4_096 };

/** Not the order of bpf/abi.h, on purpose: a field is known by its name only. */
export const layout: StructLayout = (() => {
  const fields: Record<string, { offset: number; bytes: number }> = {};
  let at = 16;
  const widths: [readonly string[], number][] = [
    [comms, 16],
    [words.toReversed(), 8],
    [halves.toReversed(), 4],
    [shorts.toReversed(), 2],
  ];
  for (const [names, bytes] of widths)
    for (const name of names) {
      fields[name] = { offset: at, bytes };
      at += bytes;
    }
  const names = ['FILENAME', 'ARGS', 'PARENT_COMM', 'CGROUP_PATH'];
  const bits = Object.fromEntries(names.map((name, bit) => [`EXEC_FIELD_${name}`, bit]));
  return { bytes: at, fields, enumerators: { ...bits, ...limits } };
})();

export type Numbers = Partial<
  Record<(typeof words)[number] | (typeof halves)[number] | (typeof shorts)[number], bigint | number>
>;

export interface Parts {
  numbers?: Numbers;
  filename?: Buffer;
  cgroupPath?: Buffer;
  argv?: Buffer;
  comm?: Buffer;
  parentComm?: Buffer;
}

/** Arguments of an argv, the last of which may lack its NUL. */
function countOf(argv: Buffer): number {
  return argv.length === 0 ? 0 : argv.toString('latin1').replace(/\0$/, '').split('\0').length;
}

/** A record as the kernel side would write it, with `numbers` over it. */
export function recordOf({
  numbers = {},
  filename = Buffer.from('/bin/ls'),
  cgroupPath = Buffer.from('/a'),
  argv = Buffer.from('ls\0'),
  comm = Buffer.from('ls'),
  parentComm = Buffer.from('sh'),
}: Parts = {}): Buffer {
  const bytes = Buffer.alloc(layout.bytes);
  const placed: Numbers = {
    'filename.offset': layout.bytes,
    'filename.length': filename.length,
    'cgroup_path.offset': layout.bytes + filename.length,
    'cgroup_path.length': cgroupPath.length,
    'args.offset': layout.bytes + filename.length + cgroupPath.length,
    'args.length': argv.length,
    args_bytes: argv.length,
    args_count: countOf(argv),
    ...numbers,
  };
  for (const [name, value] of Object.entries(placed)) {
    const { offset, bytes: width } = layout.fields[name] as { offset: number; bytes: number };
    if (width === 8) bytes.writeBigUInt64LE(BigInt(value), offset);
    else bytes.writeUIntLE(Number(value), offset, width);
  }
  comm.copy(bytes, layout.fields.comm?.offset);
  parentComm.copy(bytes, layout.fields.parent_comm?.offset);
  return Buffer.concat([bytes, filename, cgroupPath, argv]);
}

export const identity = {
  hostId: 'host',
  hostName: 'name',
  bootId: '01234567-89ab-cdef-0123-456789abcdef',
  attachId: 77,
};
export const wallClock = new WallClock([{ fromBootMicros: 0, realtimeMinusBootMicros: 1_700_000_000_000_000 }]);

export const podUid = 'b6a16766-05ee-446a-8ee5-ff96a817f47c';
export const containerId = '3350ade4226f0adcd9e4e9545d7c2a16a5aa362d12315f2a88e2024cea1246cf';
/** Of a container whose names are known, and of one whose pod is not known yet. */
export const knownCgroup = `/kubepods/pod${podUid}/crio-${containerId}`;
export const newCgroup = `/kubepods/pod${podUid.replace('b', 'c')}/crio-${containerId}`;

/** What is known of the host that the records are from: two names of users, unless the file cannot be read, and a pod. */
export const enrichment: Enrichment = {
  redactor: new Redactor({ defaults: true, patterns: [] }),
  users: { of: (uid) => (uid === 23 ? undefined : ({ 21: 'alice', 22: 'jürgen' }[uid] ?? null)) },
  workloads: new Workloads({
    of: (uid) =>
      uid === podUid
        ? { namespace: 'shop', podName: 'web-1', containerName: 'nginx' }
        : { namespace: null, podName: null, containerName: null },
  }),
};
