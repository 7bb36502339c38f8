import type { ExecEvent } from '../schemas/exec-event.ts';

/**
 * Where each field of an exec record comes from. A record that is read from the kernel twice has the same identity
 * and the same kernel fields; what user space adds may differ. A new field does not compile before it stands here.
 */
const origin: Readonly<Record<keyof ExecEvent, 'identity' | 'kernel' | 'user'>> = {
  host_id: 'identity',
  boot_id: 'identity',
  attach_id: 'identity',
  seq: 'identity',
  epoch: 'kernel',
  boot_micros: 'kernel',
  process_id: 'kernel',
  parent_process_id: 'kernel',
  exec_id: 'kernel',
  parent_exec_id: 'kernel',
  pid: 'kernel',
  tid: 'kernel',
  ppid: 'kernel',
  comm: 'kernel',
  parent_comm: 'kernel',
  filename: 'kernel',
  args: 'kernel',
  args_count: 'kernel',
  args_bytes: 'kernel',
  args_captured_bytes: 'kernel',
  args_truncated: 'kernel',
  args_raw: 'kernel',
  uid: 'kernel',
  gid: 'kernel',
  euid: 'kernel',
  egid: 'kernel',
  suid: 'kernel',
  sgid: 'kernel',
  cgroup_id: 'kernel',
  cgroup_path: 'kernel',
  degraded: 'kernel',
  // Settings of the sidecar, and wall times: made from boot time by a clock that can be set meanwhile.
  host_name: 'user',
  event_time: 'user',
  start_time: 'user',
};

export const kernelFields = (Object.keys(origin) as (keyof ExecEvent)[]).filter((name) => origin[name] === 'kernel');

const start = 0x811c9dc5;
const factor = 0x85ebca6b;

/** 32 bits over the kernel fields, never 0: one of four billion pairs that differ has the same. */
export function hashKernelFields(event: ExecEvent): number {
  let hash = start;
  for (const name of kernelFields) hash = mix(hash, event[name]);
  return hash >>> 0 || 1;
}

/** Each value begins with its kind and size, so that borders between values count. */
function mix(hash: number, value: ExecEvent[keyof ExecEvent]): number {
  if (typeof value === 'string') return mixString(step(hash, 1), value);
  if (typeof value === 'number') return mixNumber(step(hash, 2), value);
  if (value === null) return step(hash, 3);
  if (typeof value === 'boolean') return step(hash, value ? 4 : 5);
  let mixed = mixNumber(step(hash, 6), value.length);
  if (Buffer.isBuffer(value)) {
    for (let i = 0; i < value.length; i += 1) mixed = step(mixed, value[i] as number);
    return mixed;
  }
  for (const element of value as readonly string[]) mixed = mixString(mixed, element);
  return mixed;
}

function mixString(hash: number, text: string): number {
  let mixed = mixNumber(hash, text.length);
  for (let i = 0; i < text.length; i += 1) mixed = step(mixed, text.charCodeAt(i));
  return mixed;
}

function mixNumber(hash: number, value: number): number {
  return step(step(hash, value >>> 0), Math.floor(value / 2 ** 32) >>> 0);
}

/** A bijection of the hash for each word, so that one difference is never lost; the shift spreads high bits downwards. */
function step(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, factor);
  return mixed ^ (mixed >>> 13);
}
