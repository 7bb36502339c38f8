import { MemoryPool, type RecordMemory } from './memory-pool.ts';
import { type OutgoingRecord, PackedRecords, type RecordStamp } from './packed-records.ts';
import { mostTextBytes, mostVarintBytes, varintBytes, writeText, writeVarint } from './varint.ts';

/** Writes a value at `start` and returns its end; an end behind the memory says what was lacking. */
export type WriteValue<Value> = (value: Value, memory: Buffer, start: number) => number;

/** Of the length in front of a value, kept for it until it is known: right from 64 bytes to 8 KiB, as nearly all are. */
const likelyPrefix = 2;

/** Records that are there already, in memory of their own. */
export function packRecords(records: readonly OutgoingRecord[]): PackedRecords {
  const packer = new RecordPacker<Buffer>((value, memory, start) => {
    value.copy(memory, start); // as much as there is room for
    return start + value.length;
  });
  packer.begin(records.length);
  for (const record of records) packer.add(record.value, record);
  return packer.finish();
}

/**
 * Packs records, a batch at a time. Each batch has memory of its own, so that nothing is overwritten before it is
 * acknowledged.
 */
export class RecordPacker<Value> {
  readonly #write: WriteValue<Value>;
  /** The size of the memory follows the largest average of the recent batches, and sinks slowly. */
  #bytesPerRecord = 1024;
  readonly #pool = new MemoryPool();
  #memory: RecordMemory = this.#pool.take(0, 0);
  /** Of the batch: where the next record begins, and how many there are. */
  #start = 0;
  #count = 0;

  constructor(write: WriteValue<Value>) {
    this.#write = write;
  }

  /** @param records of the batch, as many as will be added */
  begin(records: number): void {
    if (this.#count > 0) {
      const average = Math.ceil((this.#start / this.#count) * 1.25);
      this.#bytesPerRecord = Math.max(average, Math.floor(this.#bytesPerRecord * 0.9));
    }
    this.#memory = this.#pool.take(records * this.#bytesPerRecord, records);
    this.#start = 0;
    this.#count = 0;
  }

  add(value: Value, { key, timestamp, headers }: RecordStamp): void {
    let behind = mostVarintBytes;
    for (const name in headers) behind += mostTextBytes(name) + mostTextBytes(headers[name] as string);
    this.#see(this.#start + mostTextBytes(key) + likelyPrefix);
    let at = this.#valueAt(writeText(this.#memory.bytes, this.#start, key), value, behind);
    const { bytes, ends, timestamps } = this.#memory;
    let count = 0;
    for (const _ in headers) count += 1;
    at = writeVarint(bytes, at, count);
    for (const name in headers) {
      at = writeText(bytes, at, name);
      at = writeText(bytes, at, headers[name] as string);
    }
    ends[this.#count] = at;
    timestamps[this.#count] = timestamp;
    this.#count += 1;
    this.#start = at;
  }

  /** The records that were added; their memory is theirs until `releaser` is called, or for good. */
  finish(): PackedRecords {
    return new PackedRecords(this.#memory, 0, this.#count);
  }

  /** To be called when nobody reads the records of this batch any more; or never. */
  releaser(): () => void {
    return this.#pool.releaser(this.#memory);
  }

  /** Writes length and value; returns where they end. @param behind bytes that there must be room for there */
  #valueAt(start: number, value: Value, behind: number): number {
    const from = start + likelyPrefix;
    let end = this.#write(value, this.#memory.bytes, from);
    // Twice at most: the first time may have ended early, without knowing how much is needed.
    while (end > this.#memory.bytes.length) {
      this.#see(end, from);
      end = this.#write(value, this.#memory.bytes, from);
    }
    this.#see(end + mostVarintBytes + behind, end);
    const { bytes } = this.#memory;
    const length = end - from;
    const prefix = varintBytes(length);
    if (prefix !== likelyPrefix) bytes.copyWithin(start + prefix, from, end);
    return writeVarint(bytes, start, length) + length;
  }

  /** Sees to so many bytes of memory. @param used of them, which stay */
  #see(bytes: number, used = this.#start): void {
    const { bytes: present, ends, timestamps } = this.#memory;
    if (bytes <= present.length) return;
    const larger = this.#pool.take(bytes * 2, ends.length);
    present.copy(larger.bytes, 0, 0, used);
    larger.ends.set(ends);
    larger.timestamps.set(timestamps);
    this.#memory = larger;
  }
}
