import type { ExecEvent } from '../../schemas/exec-event.ts';
import { hashFields, laneA } from './field-hash.ts';

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

/** 32 bits over the kernel fields, never 0. */
export function hashKernelFields(event: ExecEvent): number {
  return hashFields(event, kernelFields, laneA);
}
