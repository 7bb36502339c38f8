import type { Enrichment } from '../enrich/enrichment.ts';
import { limitOf, offsetOf, type StructLayout } from '../kernel/layout.ts';
import type { Condition, Place } from '../kernel/record-writer.ts';
import type { WallClock } from '../kernel/wall-clock.ts';
import type { ExecEvent } from '../schemas/exec-event.ts';
import { type Argv, programOf, splitArgv } from './argv.ts';
import type { CaptureIdentity } from './capture-identity.ts';
import { selectVariables } from './environment.ts';
import { bareEventOf } from './exec-bare.ts';
import { failedEventOf } from './exec-failed.ts';
import { createExecFindings, hidesIn, isConcerned, once, shownText } from './exec-findings.ts';
import { argvLimitsOf, envLimitsOf } from './exec-record.ts';
import { type KernelRecord, spanOffset, u64 } from './kernel-record.ts';
import { lineage } from './lineage.ts';
import { createParentProgram, keeping, programImage } from './parent-program.ts';
import {
  absent,
  bit,
  commText,
  deviceText,
  fixedFalse,
  fixedLong,
  fixedText,
  fixedZero,
  hexText,
  isGiven,
  microsAsLong,
  names,
  nullable,
  optional,
  spanBytes,
  spanText,
  spanTexts,
  timestampMillis,
  u16AsLong,
  u32AsInt,
  u32AsLong,
  u64AsLong,
  u64AsText,
  wallTime,
} from './record-field.ts';
import { bootPrefixOf, clockOffsetBy, eventMaker, type RecordTable, unreadOf, withoutLacking } from './record-table.ts';

/**
 * The one place that says what becomes of a record. To add a field: a line here, in ExecEvent and in the schema.
 * @param layout of struct exec_record in bpf/abi.h: the only source of the offsets
 * @param envNames which variables of the environment are published
 * @param lacking what records of this layout cannot tell, as in EarlierLayout
 */
export function createExecTable(
  layout: StructLayout,
  identity: CaptureIdentity,
  wallClock: WallClock,
  enrichment: Enrichment,
  envNames: readonly string[] = [],
  lacking: readonly string[] = [],
): RecordTable<ExecEvent> {
  const { redactor } = enrichment;
  const at64 = (field: string) => offsetOf(layout, field, 8);
  const at32 = (field: string) => offsetOf(layout, field, 4);
  const at128 = (field: string) => offsetOf(layout, field, 16);
  const span = (field: string) => spanOffset(layout, field);

  const resultAt = at32('result');
  const resultOf = ({ buffer, at }: Pick<KernelRecord, 'buffer' | 'at'>) => buffer.readInt32LE(at + resultAt);
  const bootNs = at64('boot_ns');
  const startNs = at64('start_boot_ns');
  const clockOffset = clockOffsetBy(wallClock);
  const bootPrefix = bootPrefixOf(identity);
  const process = [startNs + 4, startNs, at32('pid')];
  const parentStartNs = at64('parent_start_boot_ns');
  const parent = [parentStartNs + 4, parentStartNs, at32('ppid')];

  const unread = unreadOf(layout, 'EXEC_FIELD_');

  const flagsAt = at32('flags');
  const flag = (name: string) => bit(flagsAt, limitOf(layout, `EXEC_FLAG_${name}`));
  const auditUnset = 0xffff_ffff;
  const unlessUnset = (at: number) =>
    optional(u32AsLong(at), { kind: 'unequal', place: { offset: at, bytes: 4 }, value: auditUnset });
  const filename = span('filename');
  const exe = span('exe');
  const interpreter = span('interpreter');
  const cwd = span('cwd');
  const cgroupPath = span('cgroup_path');
  const tty = span('tty');

  const args = span('args');
  const argsBytes = at64('args_bytes');
  const argsAbsent = at64('args_absent');
  const argsCount = at32('args_count');
  const argsMode = at32('args_mode');
  const argsPageOffset = at32('args_page_offset');
  const fullArgs = limitOf(layout, 'EXEC_ARGS_FULL');
  const noArgs = limitOf(layout, 'EXEC_ARGS_NONE');
  const argsBit = limitOf(layout, 'EXEC_FIELD_ARGS');
  const argvLimits = argvLimitsOf(layout);
  /** Of several fields: split once. */
  const argvOf = once((record): Argv & { readonly redacted: number; readonly withheld: boolean } => {
    const { buffer, view, at } = record;
    const total = u64(view, at + argsBytes);
    const absent = buffer.readUInt32LE(at + argsAbsent);
    const pageOffset = buffer.readUInt32LE(at + argsPageOffset);
    const isFull = buffer.readUInt32LE(at + argsMode) === fullArgs;
    const argv = isFull
      ? splitArgv(spanBytes(record, args), total, pageOffset, absent, argvLimits)
      : programOf(spanBytes(record, args), total);
    const { args: shown, redacted } = redactor.args(argv.args);
    // Its bytes would tell what its arguments hide.
    const withheld = redacted > 0 && argv.raw !== null;
    return { ...argv, args: shown, redacted, raw: withheld ? null : argv.raw, withheld };
  });
  /** Null when they were not to be captured; argv[0] alone is there as a whole or not at all. */
  const argsOf = (record: KernelRecord) => {
    const mode = record.buffer.readUInt32LE(record.at + argsMode);
    return mode === noArgs || (mode !== fullArgs && unread.has(record, argsBit)) ? null : argvOf(record).args;
  };

  const env = span('env');
  const envBytes = at64('env_bytes');
  const envAbsent = at64('env_absent');
  const envPageOffset = at32('env_page_offset');
  const envLimits = envLimitsOf(layout);
  const envBit = limitOf(layout, 'EXEC_FIELD_ENV');
  const envFlag = limitOf(layout, 'EXEC_FLAG_ENV');
  const hasEnv = ({ buffer, at }: Pick<KernelRecord, 'buffer' | 'at'>) =>
    ((buffer.readUInt32LE(at + flagsAt) >>> envFlag) & 1) === 1;
  /** Null when none was to be captured, or nothing was found in one that is not whole. */
  const envOf = (record: KernelRecord) => {
    if (!hasEnv(record) || envNames.length === 0) return null;
    const { buffer, view, at } = record;
    const variables = selectVariables(
      spanBytes(record, env),
      u64(view, at + envBytes),
      buffer.readUInt32LE(at + envPageOffset),
      buffer.readUInt32LE(at + envAbsent),
      envLimits,
      envNames,
    );
    return unread.has(record, envBit) && Object.keys(variables).length === 0 ? null : redactor.environment(variables);
  };

  const uidAt = at32('uid');
  const cgroupPathBit = limitOf(layout, 'EXEC_FIELD_CGROUP_PATH');
  const findings = createExecFindings(enrichment, uidAt, cgroupPath, (record) => !unread.has(record, cgroupPathBit));
  const parentProgram = createParentProgram(
    enrichment.parents,
    { startNs, pid: at32('pid'), execCount: at64('exec_count') },
    { startNs: parentStartNs, pid: at32('ppid'), execCount: at64('parent_exec_count') },
  );
  const missing = (record: KernelRecord) => {
    const found = findings.missing(record);
    const ofParent = parentProgram.missing(record);
    return found.length + lacking.length === 0 ? ofParent : [...lacking, ...found, ...ofParent];
  };
  const degradedOf = (record: KernelRecord) => [
    ...unread.names(record),
    ...(argvOf(record).withheld ? ['args_raw'] : []),
    ...missing(record),
  ];

  const shownArgs = nullable(
    spanTexts(args, argsCount, (record) => argvOf(record).args),
    argsOf,
  );
  const fields = withoutLacking<ExecEvent>(lacking, {
    host_id: fixedText(identity.hostId),
    host_name: identity.hostName === null ? absent('string') : nullable(fixedText(identity.hostName)),
    boot_id: fixedText(identity.bootId),
    attach_id: fixedLong(identity.attachId),
    epoch: u64AsLong(at64('epoch')),
    seq: u64AsLong(at64('seq')),
    event_time: wallTime(bootNs, clockOffset),
    boot_micros: microsAsLong(bootNs),
    process_id: hexText(bootPrefix, process),
    parent_process_id: nullable(hexText(bootPrefix, parent)),
    exec_id: hexText(bootPrefix, [...process, at64('exec_count')]),
    parent_exec_id: nullable(hexText(bootPrefix, [...parent, at64('parent_exec_count')])),
    pid: u32AsInt(at32('pid')),
    tid: nullable(u32AsInt(at32('tid'))),
    ppid: u32AsInt(at32('ppid')),
    ns_pid: unread.unless('ns_pid', u32AsInt(at32('ns_pid'))),
    start_time: wallTime(startNs, clockOffset),
    comm: commText(at128('comm')),
    parent_comm: nullable(commText(at128('parent_comm'))),
    filename: shownText(redactor, filename),
    exe: keeping('parent_exe', unread.unless('exe', shownText(redactor, exe))),
    exe_truncated: unread.unless('exe', flag('EXE_TRUNCATED')),
    interpreter: optional(shownText(redactor, interpreter), isGiven(interpreter)),
    cwd: unread.unless('cwd', shownText(redactor, cwd)),
    args: keeping('parent_args', shownArgs),
    args_count: nullable(u32AsLong(argsCount)),
    args_bytes: nullable(u64AsLong(argsBytes)),
    args_captured_bytes: nullable(u16AsLong(args.length), (record) => argvOf(record).capturedBytes),
    args_truncated: nullable(fixedFalse(), (record) => argvOf(record).truncated),
    args_raw: absent('bytes', (record) => argvOf(record).raw),
    args_redacted: nullable(
      fixedZero((record) => argvOf(record).redacted),
      (record) => (argsOf(record) === null ? null : argvOf(record).redacted),
    ),
    env: absent({ type: 'map', values: 'string' }, envOf),
    uid: nullable(u32AsLong(uidAt)),
    gid: nullable(u32AsLong(at32('gid'))),
    euid: nullable(u32AsLong(at32('euid'))),
    egid: nullable(u32AsLong(at32('egid'))),
    suid: nullable(u32AsLong(at32('suid'))),
    sgid: nullable(u32AsLong(at32('sgid'))),
    user_name: findings.fields.user_name,
    loginuid: unlessUnset(at32('loginuid')),
    session_id: unlessUnset(at32('session_id')),
    sid: nullable(u32AsInt(at32('sid'))),
    pgid: nullable(u32AsInt(at32('pgid'))),
    tty: optional(spanText(tty), isGiven(tty)),
    cap_effective: nullable(u64AsLong(at64('cap_effective'))),
    cap_permitted: nullable(u64AsLong(at64('cap_permitted'))),
    cap_inheritable: nullable(u64AsLong(at64('cap_inheritable'))),
    cap_ambient: nullable(u64AsLong(at64('cap_ambient'))),
    cap_bounding: nullable(u64AsLong(at64('cap_bounding'))),
    no_new_privs: nullable(flag('NO_NEW_PRIVS')),
    seccomp_mode: unread.unless('seccomp_mode', u32AsInt(at32('seccomp_mode'))),
    setuid_exec: nullable(flag('SETUID')),
    setgid_exec: nullable(flag('SETGID')),
    file_inode: nullable(u64AsText(at64('file_inode'))),
    file_device: nullable(deviceText(at32('file_device'))),
    file_mode: nullable(u32AsInt(at32('file_mode'))),
    file_uid: nullable(u32AsLong(at32('file_uid'))),
    file_gid: nullable(u32AsLong(at32('file_gid'))),
    file_nlink: nullable(u32AsLong(at32('file_nlink'))),
    file_mtime: nullable(timestampMillis(at64('file_mtime_ms'))),
    file_ctime: nullable(timestampMillis(at64('file_ctime_ms'))),
    file_memfd: nullable(flag('FILE_MEMFD')),
    file_deleted: nullable(flag('FILE_DELETED')),
    file_overlay_upper: unread.unless('file_overlay_upper', flag('FILE_OVERLAY_UPPER')),
    ns_mnt: nullable(u32AsLong(at32('ns_mnt'))),
    ns_pid_id: unread.unless('ns_pid_id', u32AsLong(at32('ns_pid_id'))),
    ns_net: nullable(u32AsLong(at32('ns_net'))),
    ns_user: nullable(u32AsLong(at32('ns_user'))),
    ns_cgroup: nullable(u32AsLong(at32('ns_cgroup'))),
    cgroup_id: nullable(u64AsText(at64('cgroup_id'))),
    cgroup_path: unread.unless('cgroup_path', spanText(cgroupPath)),
    container_id: findings.fields.container_id,
    container_runtime: findings.fields.container_runtime,
    pod_uid: findings.fields.pod_uid,
    k8s_namespace: findings.fields.k8s_namespace,
    k8s_pod_name: findings.fields.k8s_pod_name,
    k8s_container_name: findings.fields.k8s_container_name,
    parent_exe: parentProgram.exe,
    parent_args: parentProgram.args,
    ancestors: lineage(layout, bootPrefix, clockOffset),
    exec_result: nullable(fixedZero(resultOf)),
    degraded: names(degradedOf, lacking, [...findings.all, parentProgram.finding]),
  });

  const texts = [args, filename, exe, interpreter, cwd];
  const half = (offset: number): Place => ({ offset, bytes: 4 });
  const whole: Condition[] = [
    unread.isNone,
    { kind: 'equal', place: half(resultAt), value: 0 },
    { kind: 'equal', place: half(argsAbsent), value: 0 },
    { kind: 'equal', place: half(argsMode), value: fullArgs },
    { kind: 'equal', place: half(flagsAt), mask: 1 << envFlag, value: 0 },
    { kind: 'same', place: { offset: argsBytes, bytes: 8 }, other: { offset: args.length, bytes: 2 } },
    ...(redactor.triggers ? texts.map((span): Condition => ({ kind: 'harmless', span })) : []),
  ];
  const hides = (record: KernelRecord) =>
    argvOf(record).redacted > 0 || texts.some((span) => span !== args && hidesIn(redactor, record, span));
  const byPattern = (record: KernelRecord) => texts.some((span) => isConcerned(redactor, record, span));

  const eventOf = eventMaker(fields);
  const bareEvent = bareEventOf(
    fields,
    ({ buffer, at }) => enrichment.users.of(buffer.readUInt32LE(at + uidAt)) === undefined,
  );
  const failedEvent = failedEventOf(eventOf, (record) => {
    if (unread.has(record, argsBit)) return 'nothing';
    return record.buffer.readUInt32LE(record.at + argsMode) === fullArgs ? 'all' : 'count';
  });
  return {
    fields,
    layout,
    whole,
    secrets: redactor.triggers,
    hides,
    kept: parentProgram.kept,
    ...(redactor.hasPatterns ? { isOther: byPattern } : {}),
    begin: findings.begin,
    eventOf(record) {
      if (record.bare) return bareEvent(record);
      return resultOf(record) === 0 ? eventOf(record) : failedEvent(record);
    },
    remember(record, isWritten) {
      if (isWritten) parentProgram.remember(record, undefined);
      else if (!record.bare && resultOf(record) === 0)
        parentProgram.remember(record, programImage(fields.exe.read(record), fields.args.read(record)));
    },
  };
}
