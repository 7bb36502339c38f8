import type { Enrichment } from '../../../src/enrich/enrichment.ts';
import { Parents } from '../../../src/enrich/parents.ts';
import { Redactor } from '../../../src/enrich/redact.ts';
import { RunningPrograms } from '../../../src/enrich/running-programs.ts';
import { Workloads } from '../../../src/enrich/workload.ts';
import type { StructLayout } from '../../../src/kernel/layout.ts';
import { WallClock } from '../../../src/kernel/wall-clock.ts';
import { programImage } from '../../../src/sources/parent-program.ts';

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
  'env_bytes',
  'env_absent',
  'cap_effective',
  'cap_permitted',
  'cap_inheritable',
  'cap_ambient',
  'cap_bounding',
  'file_inode',
  'file_mtime_ms',
  'file_ctime_ms',
] as const;
export const halves = [
  'result',
  'args_count',
  'args_mode',
  'args_page_offset',
  'env_page_offset',
  'pid',
  'tid',
  'ppid',
  'sid',
  'pgid',
  'ns_pid',
  'uid',
  'gid',
  'euid',
  'egid',
  'suid',
  'sgid',
  'loginuid',
  'session_id',
  'seccomp_mode',
  'flags',
  'ns_mnt',
  'ns_pid_id',
  'ns_net',
  'ns_user',
  'ns_cgroup',
  'file_device',
  'file_mode',
  'file_uid',
  'file_gid',
  'file_nlink',
] as const;
export const strings = [
  'ancestors',
  'filename',
  'interpreter',
  'exe',
  'cwd',
  'tty',
  'cgroup_path',
  'args',
  'env',
] as const;
export const shorts = strings.flatMap((name) => [`${name}.offset`, `${name}.length`] as const);
export const comms = ['comm', 'parent_comm'] as const;

/** Of bpf/abi.h. */
export const limits = {
  ARGS_CAPTURED_BYTES: 32_768,
  ARGS_TAIL_BYTES: 8_192,
  ARGS_PAGE_BYTES: 4_096,
  ENV_CAPTURED_BYTES: 8_192,
  ANCESTOR_BYTES: 40,
  EXEC_BARE_BYTES: 116,
};
/** What a bare record has, by its width. */
const bareFields: readonly (readonly [readonly string[], number])[] = [
  [['comm'], 16],
  [
    [
      'cgroup_id',
      'parent_exec_count',
      'parent_start_boot_ns',
      'exec_count',
      'start_boot_ns',
      'boot_ns',
      'epoch',
      'seq',
    ],
    8,
  ],
  [['result', 'uid', 'ppid', 'tid', 'pid'], 4],
];
const fieldNames = [
  'FILENAME',
  'EXE',
  'INTERPRETER',
  'CWD',
  'ARGS',
  'ENV',
  'TTY',
  'NS_PID',
  'NS_PID_ID',
  'SECCOMP_MODE',
  'FILE_OVERLAY_UPPER',
  'CGROUP_PATH',
];
const flagNames = [
  'NO_NEW_PRIVS',
  'SETUID',
  'SETGID',
  'EXE_TRUNCATED',
  'FILE_MEMFD',
  'FILE_DELETED',
  'FILE_OVERLAY_UPPER',
  'ENV',
];
const argsModes = ['FULL', 'PROGRAM', 'NONE'];

/** Numbers of an enum of bpf/abi.h by name. */
function enumerators(prefix: string, names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.map((name, number) => [`${prefix}${name}`, number]));
}

/** A set of enum exec_field or enum exec_flag. */
export function bits(prefix: 'EXEC_FIELD_' | 'EXEC_FLAG_', ...names: readonly string[]): number {
  return names.reduce((set, name) => set | (1 << (layout.enumerators[`${prefix}${name}`] as number)), 0);
}

/** Not the order of bpf/abi.h, on purpose: a field is known by its name only. */
export const layout: StructLayout = (() => {
  const fields: Record<string, { offset: number; bytes: number }> = {};
  let at = 16;
  const widths: readonly (readonly [readonly string[], number])[] = [
    ...bareFields,
    [comms, 16],
    [words.toReversed(), 8],
    [halves.toReversed(), 4],
    [shorts.toReversed(), 2],
  ];
  for (const [names, bytes] of widths)
    for (const name of names) {
      if (fields[name] !== undefined) continue;
      fields[name] = { offset: at, bytes };
      at += bytes;
    }
  at += -at & 7;
  fields['ancestor.pid'] = { offset: 0, bytes: 4 };
  fields['ancestor.exec_count'] = { offset: 4, bytes: 4 };
  fields['ancestor.comm'] = { offset: 8, bytes: 16 };
  fields['ancestor.start_boot_ns'] = { offset: 24, bytes: 8 };
  const enums = {
    ...enumerators('EXEC_FIELD_', fieldNames),
    ...enumerators('EXEC_FLAG_', flagNames),
    ...enumerators('EXEC_ARGS_', argsModes),
  };
  return { bytes: at, fields, enumerators: { ...enums, ...limits } };
})();

export type Numbers = Partial<
  Record<(typeof words)[number] | (typeof halves)[number] | (typeof shorts)[number], bigint | number>
>;

export interface Parts {
  numbers?: Numbers;
  filename?: Buffer;
  interpreter?: Buffer;
  exe?: Buffer;
  cwd?: Buffer;
  tty?: Buffer;
  cgroupPath?: Buffer;
  argv?: Buffer;
  env?: Buffer;
  /** As from `ancestorOf`. */
  ancestors?: readonly Buffer[];
  comm?: Buffer;
  parentComm?: Buffer;
}

export function ancestorOf({ pid = 1, startNs = 0n, execCount = 0, comm = Buffer.from('init') } = {}): Buffer {
  const bytes = Buffer.alloc(limits.ANCESTOR_BYTES);
  bytes.writeUInt32LE(pid, 0);
  bytes.writeUInt32LE(execCount, 4);
  comm.copy(bytes, 8, 0, 16);
  bytes.writeBigUInt64LE(startNs, 24);
  return bytes;
}

/** Arguments of an argv, the last of which may lack its NUL. */
function countOf(argv: Buffer): number {
  return argv.length === 0 ? 0 : argv.toString('latin1').replace(/\0$/, '').split('\0').length;
}

/** A record as the kernel side would write it, with `numbers` over it. */
export function recordOf({
  numbers = {},
  filename = Buffer.from('/bin/ls'),
  interpreter = Buffer.alloc(0),
  exe = Buffer.from('/usr/bin/ls'),
  cwd = Buffer.from('/'),
  tty = Buffer.alloc(0),
  cgroupPath = Buffer.from('/a'),
  argv = Buffer.from('ls\0'),
  env = Buffer.alloc(0),
  ancestors = [],
  comm = Buffer.from('ls'),
  parentComm = Buffer.from('sh'),
}: Parts = {}): Buffer {
  const bytes = Buffer.alloc(layout.bytes);
  const texts = [Buffer.concat(ancestors), filename, interpreter, exe, cwd, tty, cgroupPath, argv, env];
  const placed: Numbers = {
    args_bytes: argv.length,
    // Not the exec itself, which would be its own parent.
    parent_start_boot_ns: 1,
    args_count: countOf(argv),
    env_bytes: env.length,
  };
  let at = layout.bytes;
  for (const [n, name] of strings.entries()) {
    placed[`${name}.offset`] = at;
    placed[`${name}.length`] = texts[n]?.length as number;
    at += texts[n]?.length as number;
  }
  Object.assign(placed, numbers);
  for (const [name, value] of Object.entries(placed)) {
    const { offset, bytes: width } = layout.fields[name] as { offset: number; bytes: number };
    if (width === 8) bytes.writeBigUInt64LE(BigInt(value), offset);
    else bytes.writeUIntLE(Number(value), offset, width);
  }
  comm.copy(bytes, layout.fields.comm?.offset);
  parentComm.copy(bytes, layout.fields.parent_comm?.offset);
  return Buffer.concat([bytes, ...texts]);
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
  users: { version: '', of: (uid) => (uid === 23 ? undefined : ({ 21: 'alice', 22: 'jürgen' }[uid] ?? null)) },
  workloads: new Workloads({
    of: (uid) =>
      uid === podUid
        ? { namespace: 'shop', podName: 'web-1', containerName: 'nginx' }
        : { namespace: null, podName: null, containerName: null },
  }),
  parents: new Parents(new RunningPrograms(), programImage),
};
