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
  /** Values and headers. */
  readonly bytes: number;
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
      yield { records: records.slice(start, index), bytes };
      start = index;
      bytes = 0;
    }
    bytes += size;
  }
  if (start < records.length) yield { records: records.slice(start), bytes };
}
