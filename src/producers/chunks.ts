import type { OutgoingRecord } from '../batch.ts';

/**
 * Bytes that a record brings into a batch before compression: value and headers, which are ASCII; the key is the same for
 * all.
 */
function recordBytes({ value, headers }: OutgoingRecord): number {
  let bytes = value.length;
  for (const name in headers) bytes += name.length + (headers[name] as string).length;
  return bytes;
}

export interface Chunk {
  readonly records: readonly OutgoingRecord[];
  /** Of the first record in its batch. */
  readonly start: number;
  /** Values and headers. */
  readonly bytes: number;
}

export function chunkOf(records: readonly OutgoingRecord[], start: number): Chunk {
  return { records, start, bytes: records.reduce((bytes, record) => bytes + recordBytes(record), 0) };
}

/**
 * The records in order, in pieces that a broker takes in one request. A record that is larger than `maxBytes` goes
 * alone: whether it is too large is for the broker to say.
 */
export function* chunksOf(
  records: readonly OutgoingRecord[],
  { maxRecords, maxBytes }: { maxRecords: number; maxBytes: number },
): Generator<Chunk> {
  let start = 0;
  let bytes = 0;
  for (const [index, record] of records.entries()) {
    const size = recordBytes(record);
    if (index > start && (index - start >= maxRecords || bytes + size > maxBytes)) {
      yield { records: records.slice(start, index), start, bytes };
      start = index;
      bytes = 0;
    }
    bytes += size;
  }
  if (start < records.length) yield { records: records.slice(start), start, bytes };
}

/** Of two records or more. */
export function halvesOf({ records, start }: Chunk): readonly [Chunk, Chunk] {
  const middle = records.length >> 1;
  return [chunkOf(records.slice(0, middle), start), chunkOf(records.slice(middle), start + middle)];
}
