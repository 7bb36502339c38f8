import { offsetOf, type StructLayout } from '../kernel/layout.ts';
import type { SpanPlace } from '../kernel/record-writer.ts';

/**
 * A record of the kernel that makes sense, where it stands: a struct of bpf/abi.h and its strings, or, of a bare one, its
 * beginning. Nothing is copied, so it is gone when the buffer around it is read into again.
 */
export interface KernelRecord {
  /** The buffer that it was read into, and the same for reading numbers, in a third of the time. */
  readonly buffer: Buffer;
  readonly view: DataView;
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
export function u64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * word;
}

/** Two's complement; exact from -2^53 to 2^53, which milliseconds never pass. */
export function s64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getInt32(at + 4, true) * word;
}

/** Nanoseconds as whole microseconds; exact, although the former pass 2^53 after 104 days. */
export function micros(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  // 2^32 = 4,294,967 x 1,000 + 296.
  return high * 4_294_967 + Math.floor((high * 296 + view.getUint32(at, true)) / 1000);
}

export function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
}

export function spanOffset(layout: StructLayout, field: string): SpanPlace {
  return { offset: offsetOf(layout, `${field}.offset`, 2), length: offsetOf(layout, `${field}.length`, 2) };
}

/**
 * @param layout of a struct that has an epoch and a boot_ns
 * @param spans which halves of it say where its strings stand
 * @param isPossible whether the rest of a record whose strings are inside of it makes sense
 * @param bareBytes what a bare record has, bytes; undefined when there are none
 */
export function createRecordReader(
  layout: StructLayout,
  spans: readonly string[],
  isPossible: (view: DataView, at: number) => boolean = () => true,
  bareBytes?: number,
): RecordReader {
  const epochAt = offsetOf(layout, 'epoch', 8);
  const bootNsAt = offsetOf(layout, 'boot_ns', 8);
  const everySpan = spans.map((name) => spanOffset(layout, name));
  /** Of the buffer that was read last. */
  let view: DataView = new DataView(new ArrayBuffer(0));
  let viewed: Buffer | undefined;

  function look(buffer: Buffer): DataView {
    if (buffer !== viewed) view = viewOf(buffer);
    viewed = buffer;
    return view;
  }

  /** It is behind the fixed part and in front of the end. */
  function isIn(view: DataView, at: number, bytes: number, span: SpanPlace): boolean {
    const offset = view.getUint16(at + span.offset, true);
    return offset >= layout.bytes && offset + view.getUint16(at + span.length, true) <= bytes;
  }

  function isSound(view: DataView, at: number, bytes: number): boolean {
    if (bytes < layout.bytes) return false;
    for (const span of everySpan) if (!isIn(view, at, bytes, span)) return false;
    return isPossible(view, at);
  }

  return {
    recordAt(buffer, at, bytes) {
      const view = look(buffer);
      const bare = bytes === bareBytes;
      if (!bare && !isSound(view, at, bytes)) return undefined;
      return { buffer, view, at, epoch: u64(view, at + epochAt), bootMicros: micros(view, at + bootNsAt), bare };
    },
    epochOf: (buffer, at, bytes) => (bytes < layout.bytes ? undefined : u64(look(buffer), at + epochAt)),
  };
}
