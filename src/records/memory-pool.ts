/** Memory that records stand in, at most as many as there is room for their ends. */
export interface RecordMemory {
  /** The records, one behind the other from the beginning. */
  readonly bytes: Buffer;
  /** Where each ends. */
  readonly ends: Uint32Array;
  /** Of each, milliseconds since 1970. */
  readonly timestamps: Float64Array;
}

/** As many as batches that are encoded, on their way and acknowledged at one time, and one more. */
const spareAtMost = 4;
/** Sizes are multiples of these, so that memory fits a batch that is a little larger, too. */
const bytesUnit = 16 * 1024;
const recordsUnit = 64;

/**
 * Memory of batches that is used again when whoever has it says so. New memory for each batch is only given back by a
 * collection of the whole heap: one every few seconds at 1,000 records/s, for a quarter of all CPU.
 */
export class MemoryPool {
  readonly #spare: RecordMemory[] = [];

  /** For so many at least, with anything in it. */
  take(bytes: number, records: number): RecordMemory {
    const spare = this.#spare.findIndex((memory) => memory.bytes.length >= bytes && memory.ends.length >= records);
    if (spare >= 0) return this.#spare.splice(spare, 1)[0] as RecordMemory;
    const count = Math.ceil(records / recordsUnit) * recordsUnit;
    return {
      bytes: Buffer.allocUnsafeSlow(Math.ceil(bytes / bytesUnit) * bytesUnit),
      ends: new Uint32Array(count),
      timestamps: new Float64Array(count),
    };
  }

  /** To be called when nobody reads the memory any more; or never. */
  releaser(memory: RecordMemory): () => void {
    let isHeld = true;
    return () => {
      if (isHeld) this.#spare.push(memory);
      isHeld = false;
      if (this.#spare.length > spareAtMost) this.#spare.shift();
    };
  }
}
