import { limitOf, offsetOf, type StructLayout } from '../kernel/layout.ts';
import { type ArgvLimits, isPossibleCapture } from './argv.ts';

/**
 * A record of the kernel that makes sense, where it stands: struct exec_record of bpf/abi.h and its strings. Nothing is
 * copied, so it is gone when the buffer around it is read into again.
 */
export interface ExecRecord {
  /** The buffer that it was read into. */
  readonly buffer: Buffer;
  /** Where it begins there. */
  readonly at: number;
  /** The epoch that it latched. */
  readonly epoch: number;
  /** When the exec happened, microseconds since boot. */
  readonly bootMicros: number;
}

export interface ExecRecordReader {
  /** The record of `bytes` bytes at `at`; undefined when it makes no sense. */
  recordAt(buffer: Buffer, at: number, bytes: number): ExecRecord | undefined;
  /** The epoch that it latched, also of a record that makes no sense otherwise; undefined when it is too short. */
  epochOf(buffer: Buffer, at: number, bytes: number): number | undefined;
}

/** Where a string stands: struct span, offsets of its two halves in the record. */
export interface SpanOffset {
  readonly offset: number;
  readonly length: number;
}

const word = 0x1_0000_0000;

/** Exact up to 2^53, which counters never pass. */
export function u64(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * word;
}

/** Nanoseconds as whole microseconds; exact, although the former pass 2^53 after 104 days. */
export function micros(buffer: Buffer, at: number): number {
  const high = buffer.readUInt32LE(at + 4);
  // 2^32 = 4,294,967 x 1,000 + 296.
  return high * 4_294_967 + Math.floor((high * 296 + buffer.readUInt32LE(at)) / 1000);
}

export function spanOffset(layout: StructLayout, field: string): SpanOffset {
  return { offset: offsetOf(layout, `${field}.offset`, 2), length: offsetOf(layout, `${field}.length`, 2) };
}

/** How the kernel side was compiled to read argv. */
export function argvLimitsOf(layout: StructLayout): ArgvLimits {
  return {
    capturedBytes: limitOf(layout, 'ARGS_CAPTURED_BYTES'),
    tailBytes: limitOf(layout, 'ARGS_TAIL_BYTES'),
    pageBytes: limitOf(layout, 'ARGS_PAGE_BYTES'),
  };
}

/** @param layout of struct exec_record in bpf/abi.h: the only source of the offsets below */
export function createExecRecordReader(layout: StructLayout): ExecRecordReader {
  const epochAt = offsetOf(layout, 'epoch', 8);
  const bootNsAt = offsetOf(layout, 'boot_ns', 8);
  const argsBytesAt = offsetOf(layout, 'args_bytes', 8);
  const argsPageOffsetAt = offsetOf(layout, 'args_page_offset', 4);
  const filename = spanOffset(layout, 'filename');
  const cgroupPath = spanOffset(layout, 'cgroup_path');
  const args = spanOffset(layout, 'args');
  const argvLimits = argvLimitsOf(layout);

  /** Length of the string; -1 when it is not behind the fixed part and in front of the end. */
  function lengthIn(buffer: Buffer, at: number, bytes: number, span: SpanOffset): number {
    const offset = buffer.readUInt16LE(at + span.offset);
    const length = buffer.readUInt16LE(at + span.length);
    return offset >= layout.bytes && offset + length <= bytes ? length : -1;
  }

  return {
    recordAt(buffer, at, bytes) {
      if (bytes < layout.bytes) return undefined;
      if (lengthIn(buffer, at, bytes, filename) < 0) return undefined;
      if (lengthIn(buffer, at, bytes, cgroupPath) < 0) return undefined;
      const argsLength = lengthIn(buffer, at, bytes, args);
      const argsBytes = u64(buffer, at + argsBytesAt);
      const pageOffset = buffer.readUInt32LE(at + argsPageOffsetAt);
      if (argsLength < 0 || !isPossibleCapture(argsLength, argsBytes, pageOffset, argvLimits)) return undefined;
      return { buffer, at, epoch: u64(buffer, at + epochAt), bootMicros: micros(buffer, at + bootNsAt) };
    },
    epochOf: (buffer, at, bytes) => (bytes < layout.bytes ? undefined : u64(buffer, at + epochAt)),
  };
}
