/**
 * One exec as it stands in the topic `exec-events`; the names are those of exec-events.avsc, so that the
 * object is encoded as it is. Null means unknown; a null that could not be read is named in `degraded`.
 */
export interface ExecEvent {
  host_id: string;
  host_name: string | null;
  boot_id: string;
  /** Microseconds since boot at which the capture was attached. */
  attach_id: number;
  epoch: number;
  /** Assigned in the kernel; every hole within a boot is a loss. */
  seq: number;
  /** Milliseconds since 1970. */
  event_time: number;
  /** Microseconds since boot. */
  boot_micros: number;
  process_id: string;
  parent_process_id: string | null;
  exec_id: string;
  parent_exec_id: string | null;
  pid: number;
  tid: number | null;
  ppid: number;
  ns_pid: number | null;
  /** Milliseconds since 1970. */
  start_time: number;
  comm: string;
  parent_comm: string | null;
  filename: string;
  exe: string | null;
  exe_truncated: boolean | null;
  interpreter: string | null;
  cwd: string | null;
  args: string[] | null;
  args_count: number | null;
  args_bytes: number | null;
  args_captured_bytes: number | null;
  args_truncated: boolean | null;
  args_raw: Buffer | null;
  args_redacted: number | null;
  env: Record<string, string> | null;
  uid: number | null;
  gid: number | null;
  euid: number | null;
  egid: number | null;
  suid: number | null;
  sgid: number | null;
  user_name: string | null;
  loginuid: number | null;
  session_id: number | null;
  sid: number | null;
  pgid: number | null;
  tty: string | null;
  cap_effective: number | null;
  cap_permitted: number | null;
  cap_inheritable: number | null;
  cap_ambient: number | null;
  cap_bounding: number | null;
  no_new_privs: boolean | null;
  seccomp_mode: number | null;
  setuid_exec: boolean | null;
  setgid_exec: boolean | null;
  file_inode: string | null;
  file_device: string | null;
  file_mode: number | null;
  file_uid: number | null;
  file_gid: number | null;
  file_nlink: number | null;
  /** Milliseconds since 1970, as file_ctime. */
  file_mtime: number | null;
  file_ctime: number | null;
  file_memfd: boolean | null;
  file_deleted: boolean | null;
  file_overlay_upper: boolean | null;
  ns_mnt: number | null;
  ns_pid_id: number | null;
  ns_net: number | null;
  ns_user: number | null;
  ns_cgroup: number | null;
  cgroup_id: string | null;
  cgroup_path: string | null;
  container_id: string | null;
  container_runtime: string | null;
  pod_uid: string | null;
  k8s_namespace: string | null;
  k8s_pod_name: string | null;
  k8s_container_name: string | null;
  parent_exe: string | null;
  parent_args: string[] | null;
  /** The parent first. */
  ancestors: Ancestor[] | null;
  exec_result: number | null;
  degraded: string[];
}

/** A process above the one that execs, as it was at that moment. */
export interface Ancestor {
  pid: number;
  /** Milliseconds since 1970. */
  start_time: number;
  comm: string;
  process_id: string;
  exec_id: string | null;
  exe: string | null;
}
