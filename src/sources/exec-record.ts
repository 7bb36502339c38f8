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

/** Two's complement; exact from -2^53 to 2^53, which milliseconds never pass. */
export function s64(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at) + buffer.readInt32LE(at + 4) * word;
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

/** Which halves of a record say where its strings stand. */
const spans = ['filename', 'interpreter', 'exe', 'cwd', 'tty', 'cgroup_path', 'ancestors', 'args', 'env'] as const;

/** How the kernel side was compiled to read argv. */
export function argvLimitsOf(layout: StructLayout): ArgvLimits {
  return {
    capturedBytes: limitOf(layout, 'ARGS_CAPTURED_BYTES'),
    tailBytes: limitOf(layout, 'ARGS_TAIL_BYTES'),
    pageBytes: limitOf(layout, 'ARGS_PAGE_BYTES'),
  };
}

/** As argvLimitsOf; of the environment there is no tail. */
export function envLimitsOf(layout: StructLayout): ArgvLimits {
  return { ...argvLimitsOf(layout), capturedBytes: limitOf(layout, 'ENV_CAPTURED_BYTES'), tailBytes: 0 };
}

/** @param layout of struct exec_record in bpf/abi.h: the only source of the offsets below */
export function createExecRecordReader(layout: StructLayout): ExecRecordReader {
  const epochAt = offsetOf(layout, 'epoch', 8);
  const bootNsAt = offsetOf(layout, 'boot_ns', 8);
  const argsBytesAt = offsetOf(layout, 'args_bytes', 8);
  const argsPageOffsetAt = offsetOf(layout, 'args_page_offset', 4);
  const argsModeAt = offsetOf(layout, 'args_mode', 4);
  const envBytesAt = offsetOf(layout, 'env_bytes', 8);
  const envPageOffsetAt = offsetOf(layout, 'env_page_offset', 4);
  const everySpan = spans.map((name) => spanOffset(layout, name));
  const args = spanOffset(layout, 'args');
  const env = spanOffset(layout, 'env');
  const ancestors = spanOffset(layout, 'ancestors');
  const ancestorBytes = limitOf(layout, 'ANCESTOR_BYTES');
  const fullArgs = limitOf(layout, 'EXEC_ARGS_FULL');
  const argvLimits = argvLimitsOf(layout);
  const envLimits = envLimitsOf(layout);

  /** It is behind the fixed part and in front of the end. */
  function isIn(buffer: Buffer, at: number, bytes: number, span: SpanOffset): boolean {
    const offset = buffer.readUInt16LE(at + span.offset);
    return offset >= layout.bytes && offset + buffer.readUInt16LE(at + span.length) <= bytes;
  }

  function isPossibleArgv(buffer: Buffer, at: number): boolean {
    const length = buffer.readUInt16LE(at + args.length);
    const total = u64(buffer, at + argsBytesAt);
    if (buffer.readUInt32LE(at + argsModeAt) !== fullArgs) return length <= Math.min(total, argvLimits.pageBytes);
    return isPossibleCapture(length, total, buffer.readUInt32LE(at + argsPageOffsetAt), argvLimits);
  }

  function isPossibleEnv(buffer: Buffer, at: number): boolean {
    const length = buffer.readUInt16LE(at + env.length);
    const total = u64(buffer, at + envBytesAt);
    return isPossibleCapture(length, total, buffer.readUInt32LE(at + envPageOffsetAt), envLimits);
  }

  return {
    recordAt(buffer, at, bytes) {
      if (bytes < layout.bytes) return undefined;
      for (const span of everySpan) if (!isIn(buffer, at, bytes, span)) return undefined;
      if (buffer.readUInt16LE(at + ancestors.length) % ancestorBytes !== 0) return undefined;
      if (!isPossibleArgv(buffer, at) || !isPossibleEnv(buffer, at)) return undefined;
      return { buffer, at, epoch: u64(buffer, at + epochAt), bootMicros: micros(buffer, at + bootNsAt) };
    },
    epochOf: (buffer, at, bytes) => (bytes < layout.bytes ? undefined : u64(buffer, at + epochAt)),
  };
}
