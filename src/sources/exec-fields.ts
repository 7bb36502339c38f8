import type { Enrichment } from '../enrich/enrichment.ts';
import { bitNames, limitOf, offsetOf, type StructLayout } from '../kernel/layout.ts';
import type { WallClock } from '../kernel/wall-clock.ts';
import type { ExecEvent } from '../schemas/exec-event.ts';
import { type Argv, splitArgv } from './argv.ts';
import type { CaptureIdentity } from './capture-identity.ts';
import {
  absent,
  commText,
  emptyArray,
  type Field,
  fixedFalse,
  fixedLong,
  fixedText,
  fixedZero,
  hexText,
  long,
  nullable,
  spanBytes,
  spanText,
  spanTexts,
  timestampMillis,
  u16AsLong,
  u32AsInt,
  u32AsLong,
  u64AsLong,
  u64AsText,
} from './exec-field.ts';
import { createExecFindings, isConcerned, once, shownText } from './exec-findings.ts';
import { argvLimitsOf, type ExecRecord, micros, spanOffset, u64 } from './exec-record.ts';

/** From the kernel's record to the one in the topic: a field each, in the order of exec-events.avsc. */
export type ExecFields = { readonly [Name in keyof ExecEvent]: Field<ExecEvent[Name]> };

export interface ExecTable {
  readonly fields: ExecFields;
  /** Everything could be read, nothing was cut off and there is nothing to hide: then every field can be written at once. */
  readonly isWhole: (record: ExecRecord) => boolean;
  /** The event, whatever the record lacks. */
  readonly eventOf: (record: ExecRecord) => ExecEvent;
}

/**
 * The one place that says what becomes of a record. To add a field: a line here, in ExecEvent and in the schema.
 * @param layout of struct exec_record in bpf/abi.h: the only source of the offsets
 */
export function createExecTable(
  layout: StructLayout,
  identity: CaptureIdentity,
  wallClock: WallClock,
  enrichment: Enrichment,
): ExecTable {
  const { redactor } = enrichment;
  const at64 = (field: string) => offsetOf(layout, field, 8);
  const at32 = (field: string) => offsetOf(layout, field, 4);
  const at128 = (field: string) => offsetOf(layout, field, 16);
  const span = (field: string) => spanOffset(layout, field);

  const startNs = at64('start_boot_ns');
  /** By the offset that held when the exec happened. */
  const wallMillis = (record: ExecRecord, sinceBootMicros: number) =>
    Math.floor((sinceBootMicros + wallClock.offsetAt(record.bootMicros)) / 1000);

  // 64 of the 122 random bits tell the boots of a fleet apart.
  const bootPrefix = identity.bootId.replaceAll('-', '').slice(0, 16);
  const process = [startNs + 4, startNs, at32('pid')];
  const parentStartNs = at64('parent_start_boot_ns');
  const parent = [parentStartNs + 4, parentStartNs, at32('ppid')];

  const unreadAt = at64('unread');
  const unreadNames = bitNames(layout, 'EXEC_FIELD_');
  const isUnread = ({ buffer, at }: ExecRecord, bit: number) =>
    ((buffer.readUInt32LE(at + unreadAt + (bit < 32 ? 0 : 4)) >>> (bit % 32)) & 1) === 1;
  const unlessUnread = <Value>(name: string, field: Field<Value>): Field<Value | null> => {
    const bit = limitOf(layout, `EXEC_FIELD_${name.toUpperCase()}`);
    return nullable(field, (record) => (isUnread(record, bit) ? null : field.read(record)));
  };

  const filename = span('filename');
  const cgroupPath = span('cgroup_path');
  const args = span('args');
  const argsBytes = at64('args_bytes');
  const argsAbsent = at64('args_absent');
  const argsCount = at32('args_count');
  const argsPageOffset = at32('args_page_offset');
  const argvLimits = argvLimitsOf(layout);
  /** Of several fields: split once. */
  const argvOf = once((record): Argv & { readonly redacted: number; readonly withheld: boolean } => {
    const { buffer, at } = record;
    const total = u64(buffer, at + argsBytes);
    const absent = buffer.readUInt32LE(at + argsAbsent);
    const pageOffset = buffer.readUInt32LE(at + argsPageOffset);
    const argv = splitArgv(spanBytes(record, args), total, pageOffset, absent, argvLimits);
    const { args: shown, redacted } = redactor.args(argv.args);
    // Its bytes would tell what its arguments hide.
    const withheld = redacted > 0 && argv.raw !== null;
    return { ...argv, args: shown, redacted, raw: withheld ? null : argv.raw, withheld };
  });

  const uidAt = at32('uid');
  const cgroupPathBit = unreadNames.indexOf('cgroup_path');
  const findings = createExecFindings(enrichment, uidAt, (record) =>
    isUnread(record, cgroupPathBit) ? undefined : cgroupPath,
  );
  const degradedOf = (record: ExecRecord) => [
    ...unreadNames.filter((_, bit) => isUnread(record, bit)),
    ...(argvOf(record).withheld ? ['args_raw'] : []),
    ...findings.missing(record),
  ];

  const fields: ExecFields = {
    host_id: fixedText(identity.hostId),
    host_name: identity.hostName === null ? absent('string') : nullable(fixedText(identity.hostName)),
    boot_id: fixedText(identity.bootId),
    attach_id: fixedLong(identity.attachId),
    epoch: u64AsLong(at64('epoch')),
    seq: u64AsLong(at64('seq')),
    event_time: timestampMillis((record) => wallMillis(record, record.bootMicros)),
    boot_micros: long((record) => record.bootMicros),
    process_id: hexText(bootPrefix, process),
    parent_process_id: nullable(hexText(bootPrefix, parent)),
    exec_id: hexText(bootPrefix, [...process, at64('exec_count')]),
    parent_exec_id: nullable(hexText(bootPrefix, [...parent, at64('parent_exec_count')])),
    pid: u32AsInt(at32('pid')),
    tid: nullable(u32AsInt(at32('tid'))),
    ppid: u32AsInt(at32('ppid')),
    start_time: timestampMillis((record) => wallMillis(record, micros(record.buffer, record.at + startNs))),
    comm: commText(at128('comm')),
    parent_comm: unlessUnread('parent_comm', commText(at128('parent_comm'))),
    filename: shownText(redactor, filename),
    args: nullable(spanTexts(args, argsCount, (record) => argvOf(record).args)),
    args_count: nullable(u32AsLong(argsCount)),
    args_bytes: nullable(u64AsLong(argsBytes)),
    args_captured_bytes: nullable(u16AsLong(args.length), (record) => argvOf(record).capturedBytes),
    args_truncated: nullable(fixedFalse(), (record) => argvOf(record).truncated),
    args_raw: absent('bytes', (record) => argvOf(record).raw),
    args_redacted: nullable(fixedZero((record) => argvOf(record).redacted)),
    uid: nullable(u32AsLong(uidAt)),
    gid: nullable(u32AsLong(at32('gid'))),
    euid: nullable(u32AsLong(at32('euid'))),
    egid: nullable(u32AsLong(at32('egid'))),
    suid: nullable(u32AsLong(at32('suid'))),
    sgid: nullable(u32AsLong(at32('sgid'))),
    user_name: findings.fields.user_name,
    cgroup_id: nullable(u64AsText(at64('cgroup_id'))),
    cgroup_path: unlessUnread('cgroup_path', spanText(cgroupPath)),
    container_id: findings.fields.container_id,
    container_runtime: findings.fields.container_runtime,
    pod_uid: findings.fields.pod_uid,
    k8s_namespace: findings.fields.k8s_namespace,
    k8s_pod_name: findings.fields.k8s_pod_name,
    k8s_container_name: findings.fields.k8s_container_name,
    degraded: emptyArray('string', degradedOf),
  };

  const names = Object.keys(fields) as readonly (keyof ExecEvent)[];
  // A copy of it has room for every field from the start, which is a third of the time.
  const empty: Record<string, unknown> = { ...fields };
  return {
    fields,
    eventOf(record) {
      const event = { ...empty };
      for (const name of names) event[name] = fields[name].read(record);
      return event as unknown as ExecEvent;
    },
    isWhole(record) {
      const { buffer, at } = record;
      return (
        buffer.readUInt32LE(at + unreadAt) === 0 &&
        buffer.readUInt32LE(at + unreadAt + 4) === 0 &&
        buffer.readUInt32LE(at + argsAbsent) === 0 &&
        u64(buffer, at + argsBytes) === buffer.readUInt16LE(at + args.length) &&
        !isConcerned(redactor, record, args) &&
        !isConcerned(redactor, record, filename)
      );
    },
  };
}
