import type { ExecEvent } from '../../schemas/exec-event.ts';
import type { ExitEvent } from '../../schemas/exit-event.ts';
import { type FieldValue, hashFields, laneA } from './field-hash.ts';

/**
 * Where each field of an exec record comes from. A record that is read from the kernel twice has the same identity
 * and the same kernel fields; what user space adds may differ. Texts of the kernel may have something hidden in them,
 * which is a setting of the sidecar. A new field does not compile before it stands here.
 */
const origin: Readonly<Record<keyof ExecEvent, 'identity' | 'kernel' | 'text' | 'user'>> = {
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
  ns_pid: 'kernel',
  comm: 'kernel',
  parent_comm: 'kernel',
  filename: 'text',
  exe: 'text',
  exe_truncated: 'kernel',
  interpreter: 'text',
  cwd: 'text',
  args: 'text',
  args_count: 'kernel',
  args_bytes: 'kernel',
  args_captured_bytes: 'kernel',
  args_truncated: 'kernel',
  args_raw: 'text',
  uid: 'kernel',
  gid: 'kernel',
  euid: 'kernel',
  egid: 'kernel',
  suid: 'kernel',
  sgid: 'kernel',
  loginuid: 'kernel',
  session_id: 'kernel',
  sid: 'kernel',
  pgid: 'kernel',
  tty: 'kernel',
  cap_effective: 'kernel',
  cap_permitted: 'kernel',
  cap_inheritable: 'kernel',
  cap_ambient: 'kernel',
  cap_bounding: 'kernel',
  no_new_privs: 'kernel',
  seccomp_mode: 'kernel',
  setuid_exec: 'kernel',
  setgid_exec: 'kernel',
  file_inode: 'kernel',
  file_device: 'kernel',
  file_mode: 'kernel',
  file_uid: 'kernel',
  file_gid: 'kernel',
  file_nlink: 'kernel',
  file_mtime: 'kernel',
  file_ctime: 'kernel',
  file_memfd: 'kernel',
  file_deleted: 'kernel',
  file_overlay_upper: 'kernel',
  ns_mnt: 'kernel',
  ns_pid_id: 'kernel',
  ns_net: 'kernel',
  ns_user: 'kernel',
  ns_cgroup: 'kernel',
  cgroup_id: 'kernel',
  cgroup_path: 'kernel',
  exec_result: 'kernel',
  degraded: 'kernel',
  // Settings of the sidecar, what it adds, and wall times: made from boot time by a clock that can be set meanwhile.
  host_name: 'user',
  event_time: 'user',
  start_time: 'user',
  args_redacted: 'user',
  env: 'user',
  user_name: 'user',
  container_id: 'user',
  container_runtime: 'user',
  pod_uid: 'user',
  k8s_namespace: 'user',
  k8s_pod_name: 'user',
  k8s_container_name: 'user',
  parent_exe: 'user',
  parent_args: 'user',
  ancestors: 'user',
};

/** Lists and maps of other things than texts are none of the kernel's own. */
type Hashed = { [Name in keyof ExecEvent]: ExecEvent[Name] extends FieldValue ? Name : never }[keyof ExecEvent];

const fieldsOf = (...origins: string[]) =>
  (Object.keys(origin) as Hashed[]).filter((name) => origins.includes(origin[name]));

export const kernelFields = fieldsOf('kernel', 'text');
const kernelFieldsWithoutTexts = fieldsOf('kernel');

/** 32 bits over the kernel fields, never 0; odd when something is hidden in the texts, which then do not count. */
export function hashKernelFields(event: ExecEvent): number {
  const { filename, exe, interpreter, cwd } = event;
  const hidden =
    (event.args_redacted ?? 0) > 0 || [filename, exe, interpreter, cwd].some((path) => path?.includes('***'));
  const hash = hashFields(ofKernel(event), hidden ? kernelFieldsWithoutTexts : kernelFields, laneA);
  return hidden ? (hash | 1) >>> 0 : (hash & ~1) >>> 0 || 2;
}

/** Of a record whose identity is known and nothing else. */
export const unknownContent = 1;

/** Whether the records of two hashes can be the same one, read twice, perhaps with another setting of what is hidden. */
export function areSameRecord(a: number, b: number): boolean {
  return a === b || (a & 1) !== (b & 1) || a === unknownContent || b === unknownContent;
}

/** Without what is degraded by user space, which may do better the second time. */
function ofKernel(event: ExecEvent): ExecEvent {
  if (event.degraded.length === 0) return event;
  const degraded = event.degraded.filter(
    (name) => name !== 'args_raw' && !(Object.hasOwn(origin, name) && origin[name as keyof ExecEvent] === 'user'),
  );
  return { ...event, degraded };
}

/** As `origin`, of an exit record, in which nothing is hidden. */
const exitOrigin: Readonly<Record<keyof ExitEvent, 'identity' | 'kernel' | 'user'>> = {
  host_id: 'identity',
  boot_id: 'identity',
  attach_id: 'identity',
  seq: 'identity',
  epoch: 'kernel',
  boot_micros: 'kernel',
  process_id: 'kernel',
  exec_id: 'kernel',
  pid: 'kernel',
  comm: 'kernel',
  exit_code: 'kernel',
  exit_signal: 'kernel',
  core_dumped: 'kernel',
  run_time_micros: 'kernel',
  user_time_micros: 'kernel',
  system_time_micros: 'kernel',
  max_rss_bytes: 'kernel',
  degraded: 'kernel',
  host_name: 'user',
  event_time: 'user',
  start_time: 'user',
  container_id: 'user',
};

export const exitKernelFields = (Object.keys(exitOrigin) as (keyof ExitEvent)[]).filter(
  (name) => exitOrigin[name] === 'kernel',
);

/** As hashKernelFields. */
export function hashExitFields(event: ExitEvent): number {
  return (hashFields(event, exitKernelFields, laneA) & ~1) >>> 0 || 2;
}
