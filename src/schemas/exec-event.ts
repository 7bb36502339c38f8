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
  /** Milliseconds since 1970. */
  start_time: number;
  comm: string;
  parent_comm: string | null;
  filename: string;
  args: readonly string[] | null;
  args_count: number | null;
  args_bytes: number | null;
  args_captured_bytes: number | null;
  args_truncated: boolean | null;
  args_raw: Buffer | null;
  args_redacted: number | null;
  uid: number | null;
  gid: number | null;
  euid: number | null;
  egid: number | null;
  suid: number | null;
  sgid: number | null;
  user_name: string | null;
  cgroup_id: string | null;
  cgroup_path: string | null;
  container_id: string | null;
  container_runtime: string | null;
  pod_uid: string | null;
  k8s_namespace: string | null;
  k8s_pod_name: string | null;
  k8s_container_name: string | null;
  degraded: string[];
}

/** Headers of the Kafka record: its identity, so that a repeat is known without decoding the value. */
export function execHeaders({ boot_id, seq }: Pick<ExecEvent, 'boot_id' | 'seq'>): Readonly<Record<string, string>> {
  return { boot_id, seq: String(seq) };
}
