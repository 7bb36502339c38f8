import type { ExitEvent } from '../../../src/siem/exit-event.ts';
import { fullEvent } from '../schemas/events.ts';

/** An end with every field filled. */
export const fullExit: ExitEvent = {
  host_id: fullEvent.host_id,
  host_name: fullEvent.host_name,
  boot_id: fullEvent.boot_id,
  attach_id: fullEvent.attach_id,
  epoch: fullEvent.epoch,
  seq: 81_240_002,
  event_time: 1_790_000_002_500,
  boot_micros: 91_236_944_890,
  process_id: fullEvent.process_id,
  exec_id: fullEvent.exec_id,
  pid: fullEvent.pid,
  comm: 'curl',
  exit_code: 22,
  exit_signal: 0,
  core_dumped: false,
  start_time: fullEvent.start_time,
  run_time_micros: 2_380_000,
  user_time_micros: 12_000,
  system_time_micros: 8_000,
  max_rss_bytes: 9_437_184,
  container_id: fullEvent.container_id,
  degraded: [],
};
