import type { ExitEvent } from '../../../src/schemas/exit-event.ts';

/** An exit with every field filled but for the signal, which excludes the code. */
export const fullExit: ExitEvent = {
  host_id: '0123456789abcdef0123456789abcdef',
  host_name: 'web-17.example.org',
  boot_id: '3f1c1a52-8f0e-4c6e-9d8f-0a1b2c3d4e5f',
  attach_id: 81_234_567,
  epoch: 81_234_600,
  seq: 81_240_001,
  event_time: 1_790_000_000_123,
  boot_micros: 91_234_567_890,
  process_id: '3f1c1a528f0e4c6e000000153e2a1b7c0000a1b2',
  exec_id: '3f1c1a528f0e4c6e000000153e2a1b7c0000a1b200000002',
  pid: 41_394,
  comm: 'curl',
  exit_code: 22,
  exit_signal: null,
  core_dumped: false,
  start_time: 1_790_000_000_000,
  run_time_micros: 123_456,
  user_time_micros: 10_000,
  system_time_micros: 4_000,
  max_rss_bytes: 12_345_344,
  container_id: 'ab'.repeat(32),
  degraded: [],
};
