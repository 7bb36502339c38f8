import type { Enrichment } from '../enrich/enrichment.ts';
import { limitOf, offsetOf, type StructLayout } from '../kernel/layout.ts';
import type { WallClock } from '../kernel/wall-clock.ts';
import type { ExitEvent } from '../schemas/exit-event.ts';
import type { CaptureIdentity } from './capture-identity.ts';
import { createContainerFinding } from './exec-findings.ts';
import { type KernelRecord, micros, spanOffset } from './kernel-record.ts';
import {
  absent,
  bit,
  bitsAsInt,
  commText,
  fixedLong,
  fixedText,
  hexText,
  long,
  microsAsLong,
  names,
  nullable,
  optional,
  spanBytes,
  u32AsInt,
  u64AsLong,
  wallTime,
} from './record-field.ts';
import { bootPrefixOf, clockOffsetBy, eventMaker, type RecordTable, unreadOf, withoutLacking } from './record-table.ts';
import { textOf } from './text.ts';

const signalMask = 0x7f;
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
  const clockOffset = clockOffsetBy(wallClock);
  const unread = unreadOf(layout, 'EXIT_FIELD_');

  const bootPrefix = bootPrefixOf(identity);
  const bootNs = at64('boot_ns');
  const startNs = at64('start_boot_ns');
  const process = [startNs + 4, startNs, at32('pid')];
  const startMicros = ({ view, at }: KernelRecord) => micros(view, at + startNs);

  // As wait(2) gives it: the signal in the lowest byte, the code in the one above.
  const statusAt = at32('status');
  const endedBySignal = { place: { offset: statusAt, bytes: 1 }, mask: signalMask, value: 0 } as const;

  const times = { user: at64('user_ns'), system: at64('system_ns'), cpu: at64('cpu_ns') };
  const microsOf = ({ view, at }: KernelRecord, time: keyof typeof times) => micros(view, at + times[time]);
  const systemMicros = (record: KernelRecord) =>
    systemShare(microsOf(record, 'user'), microsOf(record, 'system'), microsOf(record, 'cpu'));

  const cgroupPath = spanOffset(layout, 'cgroup_path');
  const containerBit = limitOf(layout, 'EXIT_FIELD_CONTAINER_ID');
  const container = createContainerFinding(cgroupPath, (record) =>
    unread.has(record, containerBit) ? null : workloads.of(textOf(spanBytes(record, cgroupPath))).container.id,
  );

  const fields = withoutLacking<ExitEvent>(lacking, {
    host_id: fixedText(identity.hostId),
    host_name: identity.hostName === null ? absent('string') : nullable(fixedText(identity.hostName)),
    boot_id: fixedText(identity.bootId),
    attach_id: fixedLong(identity.attachId),
    epoch: u64AsLong(at64('epoch')),
    seq: u64AsLong(at64('seq')),
    event_time: wallTime(bootNs, clockOffset),
    boot_micros: microsAsLong(bootNs),
    process_id: hexText(bootPrefix, process),
    exec_id: hexText(bootPrefix, [...process, at64('exec_count')]),
    pid: u32AsInt(at32('pid')),
    comm: commText(offsetOf(layout, 'comm', 16)),
    exit_code: optional(bitsAsInt(statusAt + 1, 0xff), { kind: 'equal', ...endedBySignal }),
    exit_signal: optional(bitsAsInt(statusAt, signalMask), { kind: 'unequal', ...endedBySignal }),
    core_dumped: nullable(bit(statusAt, coreDumpedBit)),
    start_time: wallTime(startNs, clockOffset),
    run_time_micros: nullable(long((record) => record.bootMicros - startMicros(record))),
    user_time_micros: unread.unless(
      'user_time_micros',
      long((record) => microsOf(record, 'cpu') - systemMicros(record)),
    ),
    system_time_micros: unread.unless('system_time_micros', long(systemMicros)),
    max_rss_bytes: nullable(u64AsLong(at64('max_rss_bytes'))),
    container_id: container.field,
    degraded: names((record) => [...lacking, ...unread.names(record)], lacking, []),
  });
  return { fields, layout, whole: [unread.isNone], begin: container.begin, eventOf: eventMaker(fields) };
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
