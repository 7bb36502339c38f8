/**
 * The end of one process as it stands in the topic `exit-events`; the names are those of exit-events.avsc, so that the
 * object is encoded as it is. What a null says is told there; one that could not be read is named in `degraded`.
 */
export interface ExitEvent {
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
  exec_id: string;
  pid: number;
  comm: string;
  /** 0 to 255; null when a signal ended it. */
  exit_code: number | null;
  /** Null when it ended by itself. */
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
