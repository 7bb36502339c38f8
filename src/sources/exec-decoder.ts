import { isAscii } from 'node:buffer';
import { bitNames, limitOf, offsetOf, type StructLayout } from '../kernel/layout.ts';
import type { WallClock } from '../kernel/wall-clock.ts';
import type { ExecEvent } from '../schemas/exec-event.ts';
import { isPossibleCapture, splitArgv, splitText } from './argv.ts';
import { textOf } from './text.ts';

/** What is the same for every record of a capture. */
export interface CaptureIdentity {
  readonly hostId: string;
  readonly hostName: string | null;
  readonly bootId: string;
  /** Microseconds since boot. */
  readonly attachId: number;
}

export interface ExecDecoder {
  /** The record of `bytes` bytes at `at`; undefined when it makes no sense. */
  decode(records: Buffer, at: number, bytes: number): ExecEvent | undefined;
  /** The epoch that it latched, also of a record that makes no sense otherwise; undefined when it is too short. */
  epochOf(records: Buffer, at: number, bytes: number): number | undefined;
}

const word = 0x1_0000_0000;

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

function hex32(value: number): string {
  return (
    (hexOfByte[value >>> 24] as string) +
    (hexOfByte[(value >>> 16) & 0xff] as string) +
    (hexOfByte[(value >>> 8) & 0xff] as string) +
    (hexOfByte[value & 0xff] as string)
  );
}

/** @param layout of struct exec_record in bpf/abi.h: the only source of the offsets below */
export function createExecDecoder(layout: StructLayout, identity: CaptureIdentity, wallClock: WallClock): ExecDecoder {
  const at64 = (field: string) => offsetOf(layout, field, 8);
  const at32 = (field: string) => offsetOf(layout, field, 4);
  const atSpan = (field: string) => {
    const offset = offsetOf(layout, `${field}.offset`, 2);
    return { offset, length: offsetOf(layout, `${field}.length`, 2) };
  };
  const commBytes = 16;

  const seq = at64('seq');
  const epoch = at64('epoch');
  const bootNs = at64('boot_ns');
  const startBootNs = at64('start_boot_ns');
  const execCount = at64('exec_count');
  const parentStartBootNs = at64('parent_start_boot_ns');
  const parentExecCount = at64('parent_exec_count');
  const cgroupId = at64('cgroup_id');
  const unread = at64('unread');
  const argsBytes = at64('args_bytes');
  const argsAbsent = at64('args_absent');
  const argsCount = at32('args_count');
  const argsPageOffset = at32('args_page_offset');
  const pid = at32('pid');
  const tid = at32('tid');
  const ppid = at32('ppid');
  const uid = at32('uid');
  const gid = at32('gid');
  const euid = at32('euid');
  const egid = at32('egid');
  const suid = at32('suid');
  const sgid = at32('sgid');
  const filename = atSpan('filename');
  const cgroupPath = atSpan('cgroup_path');
  const args = atSpan('args');
  const comm = offsetOf(layout, 'comm', commBytes);
  const parentComm = offsetOf(layout, 'parent_comm', commBytes);

  const argvLimits = {
    capturedBytes: limitOf(layout, 'ARGS_CAPTURED_BYTES'),
    tailBytes: limitOf(layout, 'ARGS_TAIL_BYTES'),
    pageBytes: limitOf(layout, 'ARGS_PAGE_BYTES'),
  };
  const unreadNames = bitNames(layout, 'EXEC_FIELD_');
  // 64 of the 122 random bits tell the boots of a fleet apart.
  const bootPrefix = identity.bootId.replaceAll('-', '').slice(0, 16);

  /** Exact up to 2^53, which counters and microseconds never pass. */
  const u64 = (records: Buffer, at: number) => records.readUInt32LE(at) + records.readUInt32LE(at + 4) * word;
  const micros = (records: Buffer, at: number) => Math.floor(u64(records, at) / 1000);
  const u64Text = (records: Buffer, at: number) =>
    records.readUInt32LE(at + 4) === 0 ? String(records.readUInt32LE(at)) : String(records.readBigUInt64LE(at));

  function processId(records: Buffer, startAt: number, pidAt: number): string {
    return (
      bootPrefix +
      hex32(records.readUInt32LE(startAt + 4)) +
      hex32(records.readUInt32LE(startAt)) +
      hex32(records.readUInt32LE(pidAt))
    );
  }

  function commAt(records: Buffer, at: number): string {
    let end = at;
    let high = 0;
    for (const limit = at + commBytes; end < limit && records[end] !== 0; end += 1) high |= records[end] as number;
    return high < 0x80 ? records.toString('latin1', at, end) : textOf(records.subarray(at, end));
  }

  function degradedOf(records: Buffer, at: number): string[] {
    const low = records.readUInt32LE(at + unread);
    const high = records.readUInt32LE(at + unread + 4);
    if (low === 0 && high === 0) return [];
    return unreadNames.filter((_, bit) => ((bit < 32 ? low >>> bit : high >>> (bit - 32)) & 1) === 1);
  }

  function decode(records: Buffer, at: number, bytes: number): ExecEvent | undefined {
    if (bytes < layout.bytes) return undefined;
    const filenameAt = records.readUInt16LE(at + filename.offset);
    const filenameEnd = filenameAt + records.readUInt16LE(at + filename.length);
    const cgroupPathAt = records.readUInt16LE(at + cgroupPath.offset);
    const cgroupPathEnd = cgroupPathAt + records.readUInt16LE(at + cgroupPath.length);
    const argvAt = records.readUInt16LE(at + args.offset);
    const argvEnd = argvAt + records.readUInt16LE(at + args.length);
    if (Math.min(filenameAt, cgroupPathAt, argvAt) < layout.bytes) return undefined;
    if (Math.max(filenameEnd, cgroupPathEnd, argvEnd) > bytes) return undefined;
    const argvTotalBytes = u64(records, at + argsBytes);
    const argvPageOffset = records.readUInt32LE(at + argsPageOffset);
    if (!isPossibleCapture(argvEnd - argvAt, argvTotalBytes, argvPageOffset, argvLimits)) return undefined;

    // Strings stand behind each other, and nearly all are ASCII: then one conversion makes them all.
    const strings = records.subarray(at + layout.bytes, at + bytes);
    const ascii = isAscii(strings) ? strings.toString('latin1') : undefined;
    const textAt = (start: number, end: number) =>
      ascii?.slice(start - layout.bytes, end - layout.bytes) ?? textOf(records.subarray(at + start, at + end));
    const absent = records.readUInt32LE(at + argsAbsent);
    const argvLength = argvEnd - argvAt;
    const argv =
      ascii !== undefined && absent === 0 && argvTotalBytes === argvLength
        ? { args: splitText(textAt(argvAt, argvEnd)), capturedBytes: argvLength, truncated: false, raw: null }
        : splitArgv(records.subarray(at + argvAt, at + argvEnd), argvTotalBytes, argvPageOffset, absent, argvLimits);

    const bootMicros = micros(records, at + bootNs);
    const offsetMicros = wallClock.offsetAt(bootMicros);
    const degraded = degradedOf(records, at);
    const ownId = processId(records, at + startBootNs, at + pid);
    const parentId = processId(records, at + parentStartBootNs, at + ppid);

    return {
      host_id: identity.hostId,
      host_name: identity.hostName,
      boot_id: identity.bootId,
      attach_id: identity.attachId,
      epoch: u64(records, at + epoch),
      seq: u64(records, at + seq),
      event_time: Math.floor((bootMicros + offsetMicros) / 1000),
      boot_micros: bootMicros,
      process_id: ownId,
      parent_process_id: parentId,
      exec_id: ownId + hex32(records.readUInt32LE(at + execCount)),
      parent_exec_id: parentId + hex32(records.readUInt32LE(at + parentExecCount)),
      pid: records.readUInt32LE(at + pid),
      tid: records.readUInt32LE(at + tid),
      ppid: records.readUInt32LE(at + ppid),
      start_time: Math.floor((micros(records, at + startBootNs) + offsetMicros) / 1000),
      comm: commAt(records, at + comm),
      parent_comm: degraded.includes('parent_comm') ? null : commAt(records, at + parentComm),
      filename: textAt(filenameAt, filenameEnd),
      args: argv.args,
      args_count: records.readUInt32LE(at + argsCount),
      args_bytes: argvTotalBytes,
      args_captured_bytes: argv.capturedBytes,
      args_truncated: argv.truncated,
      args_raw: argv.raw,
      uid: records.readUInt32LE(at + uid),
      gid: records.readUInt32LE(at + gid),
      euid: records.readUInt32LE(at + euid),
      egid: records.readUInt32LE(at + egid),
      suid: records.readUInt32LE(at + suid),
      sgid: records.readUInt32LE(at + sgid),
      cgroup_id: u64Text(records, at + cgroupId),
      cgroup_path: degraded.includes('cgroup_path') ? null : textAt(cgroupPathAt, cgroupPathEnd),
      degraded,
    };
  }

  return {
    decode,
    epochOf: (records, at, bytes) => (bytes < layout.bytes ? undefined : u64(records, at + epoch)),
  };
}
