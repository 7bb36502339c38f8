import { offsetOf, type StructLayout } from '../kernel/layout.ts';
import type { SpanPlace } from '../kernel/record-writer.ts';

/**
 * A record of the kernel that makes sense, where it stands: a struct of bpf/abi.h and its strings, or, of a bare one, its
 * beginning. Nothing is copied, so it is gone when the buffer around it is read into again.
 */
export interface KernelRecord {
  /** The buffer that it was read into. */
  readonly buffer: Buffer;
  /** Where it begins there. */
  readonly at: number;
  /** The epoch that it latched. */
  readonly epoch: number;
  /** When the event happened, microseconds since boot. */
  readonly bootMicros: number;
  /** Only its beginning is there: the whole had no room in its ring. */
  readonly bare: boolean;
}

export interface RecordReader {
  /** The record of `bytes` bytes at `at`; undefined when it makes no sense. */
  recordAt(buffer: Buffer, at: number, bytes: number): KernelRecord | undefined;
  /** The epoch that it latched, also of a record that makes no sense otherwise; undefined when it is too short. */
  epochOf(buffer: Buffer, at: number, bytes: number): number | undefined;
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

export function spanOffset(layout: StructLayout, field: string): SpanPlace {
  return { offset: offsetOf(layout, `${field}.offset`, 2), length: offsetOf(layout, `${field}.length`, 2) };
}

/**
 * @param layout of a struct that has a seq, an epoch and a boot_ns
 * @param spans which halves of it say where its strings stand
 * @param isPossible whether the rest of a record whose strings are inside of it makes sense
 * @param bareBytes what a bare record has, bytes; undefined when there are none
 */
export function createRecordReader(
  layout: StructLayout,
  spans: readonly string[],
  isPossible: (buffer: Buffer, at: number) => boolean = () => true,
  bareBytes?: number,
): RecordReader {
  const epochAt = offsetOf(layout, 'epoch', 8);
  const bootNsAt = offsetOf(layout, 'boot_ns', 8);
  const everySpan = spans.map((name) => spanOffset(layout, name));

  /** It is behind the fixed part and in front of the end. */
  function isIn(buffer: Buffer, at: number, bytes: number, span: SpanPlace): boolean {
    const offset = buffer.readUInt16LE(at + span.offset);
    return offset >= layout.bytes && offset + buffer.readUInt16LE(at + span.length) <= bytes;
  }

  function isSound(buffer: Buffer, at: number, bytes: number): boolean {
    if (bytes < layout.bytes) return false;
    for (const span of everySpan) if (!isIn(buffer, at, bytes, span)) return false;
    return isPossible(buffer, at);
  }

  return {
    recordAt(buffer, at, bytes) {
      const bare = bytes === bareBytes;
      if (!bare && !isSound(buffer, at, bytes)) return undefined;
      return { buffer, at, epoch: u64(buffer, at + epochAt), bootMicros: micros(buffer, at + bootNsAt), bare };
    },
    epochOf: (buffer, at, bytes) => (bytes < layout.bytes ? undefined : u64(buffer, at + epochAt)),
  };
}
