import type { Enrichment } from '../enrich/enrichment.ts';
import { limitOf, offsetOf, type StructLayout } from '../kernel/layout.ts';
import type { WallClock } from '../kernel/wall-clock.ts';
import type { ExitEvent } from '../schemas/exit-event.ts';
import type { CaptureIdentity } from './capture-identity.ts';
import { type KernelRecord, micros, spanOffset } from './kernel-record.ts';
import {
  absent,
  bit,
  commText,
  fixedLong,
  fixedText,
  foundText,
  hexText,
  int,
  long,
  names,
  nullable,
  optional,
  spanBytes,
  timestampMillis,
  u32AsInt,
  u64AsLong,
} from './record-field.ts';
import { bootPrefixOf, eventMaker, type RecordTable, unreadOf, wallMillisBy, withoutLacking } from './record-table.ts';
import { textOf } from './text.ts';

const coreDumpedBit = 7;

/**
 * The one place that says what becomes of a record. To add a field: a line here, in ExitEvent and in the schema.
 * @param layout of struct exit_record in bpf/abi.h: the only source of the offsets
 * @param lacking what records of this layout cannot tell, as in EarlierLayout
 */
export function createExitTable(
  layout: StructLayout,
  identity: CaptureIdentity,
  wallClock: WallClock,
  { workloads }: Pick<Enrichment, 'workloads'>,
  lacking: readonly string[] = [],
): RecordTable<ExitEvent> {
  const at64 = (field: string) => offsetOf(layout, field, 8);
  const at32 = (field: string) => offsetOf(layout, field, 4);
  const wallMillis = wallMillisBy(wallClock);
  const unread = unreadOf(layout, 'EXIT_FIELD_');

  const bootPrefix = bootPrefixOf(identity);
  const startNs = at64('start_boot_ns');
  const process = [startNs + 4, startNs, at32('pid')];
  const startMicros = ({ buffer, at }: KernelRecord) => micros(buffer, at + startNs);

  const statusAt = at32('status');
  const statusOf = ({ buffer, at }: KernelRecord) => buffer.readUInt32LE(at + statusAt);
  const signalOf = (record: KernelRecord) => statusOf(record) & 0x7f;

  const times = { user: at64('user_ns'), system: at64('system_ns'), cpu: at64('cpu_ns') };
  const microsOf = ({ buffer, at }: KernelRecord, time: keyof typeof times) => micros(buffer, at + times[time]);
  const systemMicros = (record: KernelRecord) =>
    systemShare(microsOf(record, 'user'), microsOf(record, 'system'), microsOf(record, 'cpu'));

  const cgroupPath = spanOffset(layout, 'cgroup_path');
  const containerBit = limitOf(layout, 'EXIT_FIELD_CONTAINER_ID');
  const containerOf = (record: KernelRecord) =>
    unread.has(record, containerBit) ? null : workloads.of(textOf(spanBytes(record, cgroupPath))).container.id;

  const fields = withoutLacking<ExitEvent>(lacking, {
    host_id: fixedText(identity.hostId),
    host_name: identity.hostName === null ? absent('string') : nullable(fixedText(identity.hostName)),
    boot_id: fixedText(identity.bootId),
    attach_id: fixedLong(identity.attachId),
    epoch: u64AsLong(at64('epoch')),
    seq: u64AsLong(at64('seq')),
    event_time: timestampMillis((record) => wallMillis(record, record.bootMicros)),
    boot_micros: long((record) => record.bootMicros),
    process_id: hexText(bootPrefix, process),
    exec_id: hexText(bootPrefix, [...process, at64('exec_count')]),
    pid: u32AsInt(at32('pid')),
    comm: commText(offsetOf(layout, 'comm', 16)),
    exit_code: optional(
      int((record) => (statusOf(record) >>> 8) & 0xff),
      (record) => signalOf(record) === 0,
    ),
    exit_signal: optional(int(signalOf), (record) => signalOf(record) !== 0),
    core_dumped: nullable(bit(statusAt, coreDumpedBit)),
    start_time: timestampMillis((record) => wallMillis(record, startMicros(record))),
    run_time_micros: nullable(long((record) => record.bootMicros - startMicros(record))),
    user_time_micros: unread.unless(
      'user_time_micros',
      long((record) => microsOf(record, 'cpu') - systemMicros(record)),
    ),
    system_time_micros: unread.unless('system_time_micros', long(systemMicros)),
    max_rss_bytes: nullable(u64AsLong(at64('max_rss_bytes'))),
    container_id: foundText(containerOf),
    degraded: names(
      (record) => [...lacking, ...unread.names(record)],
      () => lacking,
    ),
  });
  return { fields, isWhole: unread.isNone, eventOf: eventMaker(fields) };
}

/**
 * How much of the CPU time was spent in the kernel: the ticks found it there so often, and the scheduler measured the whole
 * (kernel/sched/cputime.c, cputime_adjust).
 */
function systemShare(user: number, system: number, cpu: number): number {
  if (system === 0) return 0;
  if (user === 0) return cpu;
  return Math.min(cpu, Math.floor((system / (user + system)) * cpu));
}
