import type { PackedRecords } from '../records/packed-records.ts';

export interface Chunk {
  readonly records: PackedRecords;
  /** Of the first record in its batch. */
  readonly start: number;
}

/**
 * The records in order, in pieces that a broker takes in one request. A record that is larger than `maxBytes` goes
 * alone: whether it is too large is for the broker to say.
 */
export function* chunksOf(
  records: PackedRecords,
  { maxRecords, maxBytes }: { maxRecords: number; maxBytes: number },
): Generator<Chunk> {
  const { length } = records;
  if (length <= maxRecords && records.bytes <= maxBytes) {
    yield { records, start: 0 };
    return;
  }
  let start = 0;
  let bytes = 0;
  for (let index = 0; index < length; index += 1) {
    const size = records.bytesOf(index);
    if (index > start && (index - start >= maxRecords || bytes + size > maxBytes)) {
      yield { records: records.slice(start, index), start };
      start = index;
      bytes = 0;
    }
    bytes += size;
  }
  yield { records: records.slice(start), start };
}

/** Of two records or more. */
export function halvesOf({ records, start }: Chunk): readonly [Chunk, Chunk] {
  const middle = records.length >> 1;
  return [
    { records: records.slice(0, middle), start },
    { records: records.slice(middle), start: start + middle },
  ];
}
