/**
 * The end of a process (of its last thread), as it stands in the topic `exit-events`.
 * To be replaced by the type of the schema when exits are captured: the names are those of the records.
 */
export interface ExitEvent {
  host_id: string;
  host_name: string | null;
  boot_id: string;
  /** Microseconds since boot at which the capture was attached. */
  attach_id: number;
  epoch: number;
  seq: number;
  /** Milliseconds since 1970. */
  event_time: number;
  /** Microseconds since boot. */
  boot_micros: number;
  process_id: string;
  exec_id: string;
  pid: number;
  comm: string;
  exit_code: number | null;
  /** Number of the signal that ended it, 0 when none did. */
  exit_signal: number | null;
  core_dumped: boolean | null;
  /** Milliseconds since 1970. */
  start_time: number;
  run_time_micros: number | null;
  user_time_micros: number | null;
  system_time_micros: number | null;
  max_rss_bytes: number | null;
  container_id: string | null;
  degraded: string[];
}
