import type { MemoryPool, RecordMemory } from './memory-pool.ts';
import { VarintReader } from './varint.ts';

/** One Kafka record. */
export interface OutgoingRecord extends RecordStamp {
  /** The framed Avro value. */
  readonly value: Buffer;
}

/** What a record has beside its value. */
export interface RecordStamp {
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Records in order, ready to send: of each what a record batch of Kafka has of it wherever in the batch it stands, which is
 * key, value and headers (kafka.apache.org/documentation/#record), one behind the other in one piece of memory. An object
 * for each, with a Buffer and its headers, costs more than to write the record.
 */
export class PackedRecords implements Iterable<OutgoingRecord> {
  readonly #memory: RecordMemory;
  readonly #begin: number;
  readonly #end: number;

  /** @param begin index of the first one in the memory that is meant, and `end` of the one behind the last */
  constructor(memory: RecordMemory, begin: number, end: number) {
    this.#memory = memory;
    this.#begin = begin;
    this.#end = end;
  }

  get length(): number {
    return this.#end - this.#begin;
  }

  /** Of all of them: keys, values and headers, before compression. */
  get bytes(): number {
    return this.#startOf(this.#end) - this.#startOf(this.#begin);
  }

  /** Of one. */
  bytesOf(index: number): number {
    const at = this.#begin + index;
    return this.#startOf(at + 1) - this.#startOf(at);
  }

  timestampOf(index: number): number {
    return this.#memory.timestamps[this.#begin + index] as number;
  }

  slice(begin: number, end = this.length): PackedRecords {
    return new PackedRecords(this.#memory, this.#begin + begin, this.#begin + end);
  }

  /** The record; its value is a view. */
  at(index: number): OutgoingRecord {
    if (!(index >= 0 && index < this.length)) throw new RangeError(`there is no record ${index} of ${this.length}`);
    const reader = new VarintReader(this.#memory.bytes, this.#startOf(this.#begin + index));
    const key = reader.text();
    const value = reader.bytes();
    const headers: Record<string, string> = {};
    for (let left = reader.length(); left > 0; left -= 1) headers[reader.text()] = reader.text();
    return { key, value, timestamp: this.timestampOf(index), headers };
  }

  *[Symbol.iterator](): Generator<OutgoingRecord, void> {
    for (let i = 0; i < this.length; i += 1) yield this.at(i);
  }

  /** Writes what is packed of one at `start`; returns where it ends. */
  copy(index: number, out: Buffer, start: number): number {
    const begin = this.#startOf(this.#begin + index);
    const bytes = this.bytesOf(index);
    // A copy would be cut off without a word.
    if (bytes > out.length - start) throw new RangeError(`there is no room for ${bytes} bytes of a record`);
    this.#memory.bytes.copy(out, start, begin, begin + bytes);
    return start + bytes;
  }

  /** The same records in memory of the pool. @returns also what gives it back */
  clone(pool: MemoryPool): { readonly records: PackedRecords; readonly release: () => void } {
    const start = this.#startOf(this.#begin);
    const memory = pool.take(this.bytes, this.length);
    this.#memory.bytes.copy(memory.bytes, 0, start, start + this.bytes);
    for (let i = 0; i < this.length; i += 1) {
      memory.ends[i] = this.#startOf(this.#begin + i + 1) - start;
      memory.timestamps[i] = this.timestampOf(i);
    }
    return { records: new PackedRecords(memory, 0, this.length), release: pool.releaser(memory) };
  }

  /** Of a record by its place in the memory, or of the one that would come next. */
  #startOf(at: number): number {
    return at === 0 ? 0 : (this.#memory.ends[at - 1] as number);
  }
}
