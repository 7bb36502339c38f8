import fc from 'fast-check';
import type { ExecEvent } from '../../../src/schemas/exec-event.ts';

/** An event with every field filled. */
export const fullEvent: ExecEvent = {
  host_id: '0123456789abcdef0123456789abcdef',
  host_name: 'web-17.example.org',
  boot_id: '3f1c1a52-8f0e-4c6e-9d8f-0a1b2c3d4e5f',
  attach_id: 81_234_567,
  epoch: 81_234_600,
  seq: 81_240_001,
  event_time: 1_790_000_000_123,
  boot_micros: 91_234_567_890,
  process_id: '3f1c1a528f0e4c6e000000153e2a1b7c0000a1b2',
  parent_process_id: '3f1c1a528f0e4c6e00000014aa2a1b7c0000a1b0',
  exec_id: '3f1c1a528f0e4c6e000000153e2a1b7c0000a1b20002',
  parent_exec_id: '3f1c1a528f0e4c6e00000014aa2a1b7c0000a1b00001',
  pid: 41_394,
  tid: 41_394,
  ppid: 41_392,
  start_time: 1_790_000_000_120,
  comm: 'curl',
  parent_comm: 'bash',
  filename: '/usr/bin/curl',
  args: ['curl', '-sS', '--retry', '3', 'https://example.org/a b', ''],
  args_count: 6,
  args_bytes: 47,
  args_captured_bytes: 47,
  args_truncated: false,
  args_raw: Buffer.from('curl\0\xff\0', 'latin1'),
  uid: 4_294_967_294,
  gid: 1000,
  euid: 0,
  egid: 1000,
  suid: 0,
  sgid: 1000,
  cgroup_id: '18446744073709551615',
  cgroup_path: '/system.slice/cron.service',
  degraded: ['parent_comm'],
};

const text = fc.string({ unit: 'binary', maxLength: 40 });
// Down to what avsc writes right, see smallestLong in codec.ts.
const long = fc.integer({ min: -(2 ** 52), max: 2 ** 53 - 2 });
const int = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const nullable = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: null });

/** Any event that the type allows. */
export const anyEvent: fc.Arbitrary<ExecEvent> = fc.record({
  host_id: text,
  host_name: nullable(text),
  boot_id: text,
  attach_id: long,
  epoch: long,
  seq: long,
  event_time: long,
  boot_micros: long,
  process_id: text,
  parent_process_id: nullable(text),
  exec_id: text,
  parent_exec_id: nullable(text),
  pid: int,
  tid: nullable(int),
  ppid: int,
  start_time: long,
  comm: text,
  parent_comm: nullable(text),
  filename: fc.oneof(text, fc.string({ unit: 'binary', minLength: 3000, maxLength: 5000 })),
  args: nullable(fc.array(text, { maxLength: 30 })),
  args_count: nullable(long),
  args_bytes: nullable(long),
  args_captured_bytes: nullable(long),
  args_truncated: nullable(fc.boolean()),
  args_raw: nullable(fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))),
  uid: nullable(long),
  gid: nullable(long),
  euid: nullable(long),
  egid: nullable(long),
  suid: nullable(long),
  sgid: nullable(long),
  cgroup_id: nullable(text),
  cgroup_path: nullable(text),
  degraded: fc.array(text, { maxLength: 5 }),
});
