import { isUtf8 } from 'node:buffer';
import { textOf } from './text.ts';

/** How bpf/argv.h reads argv: enum exec_limit in bpf/abi.h. */
export interface ArgvLimits {
  /** What is longer keeps its head and its tail. */
  readonly capturedBytes: number;
  readonly tailBytes: number;
  /** A read ends where a page does. */
  readonly pageBytes: number;
}

export interface Argv {
  /** Present arguments. Beside a gap the last one before it and the first one after it may be cut. */
  readonly args: string[];
  readonly capturedBytes: number;
  readonly truncated: boolean;
  /** A copy of the captured bytes, NUL-separated; only when they are not UTF-8. */
  readonly raw: Buffer | null;
}

/** A piece of argv without a gap inside, as bounds in the captured bytes. */
export interface Segment {
  readonly start: number;
  readonly end: number;
}

/** Whether the kernel side can have captured argv like this; the numbers are as for `splitArgv`. */
export function isPossibleCapture(
  capturedLength: number,
  totalBytes: number,
  pageOffset: number,
  limits: ArgvLimits,
): boolean {
  return pageOffset < limits.pageBytes && capturedLength === Math.min(totalBytes, limits.capturedBytes);
}

/** Arguments of a whole argv, each of which ends with a NUL. */
export function splitText(argv: string): string[] {
  if (argv === '') return [];
  return (argv.endsWith('\0') ? argv.slice(0, -1) : argv).split('\0');
}

/**
 * Splits what the kernel side captured of argv.
 * @param captured bytes in the order of memory; behind the head the tail follows without a mark
 * @param totalBytes of argv in the process, each argument with its NUL
 * @param pageOffset of the first argument in its page, bytes
 * @param absent bit n is set when the n-th read failed
 */
export function splitArgv(
  captured: Buffer,
  totalBytes: number,
  pageOffset: number,
  absent: number,
  limits: ArgvLimits,
): Argv {
  const truncated = absent !== 0 || totalBytes > captured.length;
  if (!truncated && isUtf8(captured)) {
    return { args: splitText(captured.toString('utf8')), capturedBytes: captured.length, truncated, raw: null };
  }
  const segments = truncated
    ? presentSegments(captured.length, totalBytes, pageOffset, absent, limits)
    : [{ start: 0, end: captured.length }];
  const pieces = segments.map(({ start, end }) => captured.subarray(start, end));
  const present = Buffer.concat(pieces);
  return {
    args: pieces.flatMap(splitSegment),
    capturedBytes: present.length,
    truncated,
    raw: pieces.every((piece) => splitBytes(piece).every((argument) => isUtf8(argument))) ? null : present,
  };
}

/** The same of a capture that has argv[0] alone, or nothing. */
export function programOf(captured: Buffer, totalBytes: number): Argv {
  const pieces = splitBytes(captured);
  return {
    args: pieces.map(textOf),
    capturedBytes: captured.length,
    truncated: captured.length < totalBytes,
    raw: isUtf8(captured) ? null : Buffer.from(captured),
  };
}

/** Walks the reads as bpf/argv.h made them, and joins those that succeeded and follow each other. */
export function presentSegments(
  capturedLength: number,
  totalBytes: number,
  pageOffset: number,
  absent: number,
  { capturedBytes, tailBytes, pageBytes }: ArgvLimits,
): Segment[] {
  const cut = totalBytes > capturedBytes;
  const headBytes = cut ? capturedBytes - tailBytes : totalBytes;
  const runs = cut
    ? [
        { bytes: headBytes, pageOffset },
        { bytes: tailBytes, pageOffset: (pageOffset + totalBytes - tailBytes) % pageBytes },
      ]
    : [{ bytes: headBytes, pageOffset }];

  const segments: Segment[] = [];
  let read = 0;
  let at = 0;
  for (const run of runs) {
    let open: Segment | undefined;
    let left = Math.min(run.bytes, capturedLength - at);
    let inPage = run.pageOffset;
    while (left > 0) {
      const bytes = Math.min(pageBytes - inPage, left);
      const present = (absent & (1 << read)) === 0;
      if (present) open = { start: open?.start ?? at, end: at + bytes };
      if (!present && open !== undefined) {
        segments.push(open);
        open = undefined;
      }
      at += bytes;
      left -= bytes;
      inPage = 0;
      read += 1;
    }
    if (open !== undefined) segments.push(open);
  }
  return segments;
}

function splitBytes(segment: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let start = 0;
  for (let nul = segment.indexOf(0); nul >= 0; nul = segment.indexOf(0, start)) {
    parts.push(segment.subarray(start, nul));
    start = nul + 1;
  }
  // Behind the last NUL of argv there is nothing; before a gap there is the beginning of an argument.
  if (start < segment.length) parts.push(segment.subarray(start));
  return parts;
}

function splitSegment(segment: Buffer): string[] {
  return splitBytes(segment).map(textOf);
}
