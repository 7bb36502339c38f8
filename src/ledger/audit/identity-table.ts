/** Epochs that share a table, so that quiet ones cost no table each. */
const epochsPerTable = 64;
const wordsPerSlot = 3;
const smallest = 16;
const growth = 1.5;
/** How full a table may be while it is written, and how full it is kept afterwards. */
const fullest = 0.75;
const packed = 0.9;

/**
 * What every identity of some epochs was first seen with. An identity is 64 bits of a hash and costs 12 bytes with its
 * value: 13 to 14 in tables that are no longer written, 16 to 24 in those that are.
 *
 * Two identities of 64 epochs share their hash with a probability of n² / 2^65: with 5,000 a second one of 360 million
 * tables would tell of a conflict that is none.
 */
export class IdentityTable {
  readonly #tables = new Map<number, HashTable>();
  #last: HashTable | undefined;
  #lastTable = Number.NaN;

  /**
   * @param high never 0, as is the value
   * @returns the value that the identity had been added with, 0 when it had not been
   */
  add(epoch: number, high: number, low: number, value: number): number {
    const at = Math.floor(epoch / epochsPerTable);
    if (at !== this.#lastTable || this.#last === undefined) {
      let table = this.#tables.get(at);
      if (table === undefined) {
        // Epochs come in order, almost always: the table before is complete.
        this.#last?.pack();
        table = new HashTable();
        this.#tables.set(at, table);
      }
      this.#last = table;
      this.#lastTable = at;
    }
    return this.#last.add(high, low, value);
  }

  /** What the tables occupy. */
  get bytes(): number {
    let bytes = 0;
    for (const table of this.#tables.values()) bytes += table.bytes;
    return bytes;
  }
}

/** Open addressing with linear probing; a slot is high, low, value, and empty when high is 0. */
class HashTable {
  #slots = new Uint32Array(smallest * wordsPerSlot);
  #capacity = smallest;
  #size = 0;

  get bytes(): number {
    return this.#slots.byteLength;
  }

  add(high: number, low: number, value: number): number {
    let at = this.#find(high, low);
    if (this.#slots[at] !== 0) return this.#slots[at + 2] as number;
    if (this.#size + 1 > this.#capacity * fullest) {
      this.#resize(Math.ceil(this.#capacity * growth));
      at = this.#find(high, low);
    }
    this.#put(at, high, low, value);
    this.#size += 1;
    return 0;
  }

  /** Gives back what it does not need. */
  pack(): void {
    // One slot at least stays empty: it ends every search.
    const enough = Math.max(smallest, Math.ceil(this.#size / packed) + 1);
    if (enough < this.#capacity) this.#resize(enough);
  }

  #resize(capacity: number): void {
    const before = this.#slots;
    this.#capacity = capacity;
    this.#slots = new Uint32Array(capacity * wordsPerSlot);
    for (let at = 0; at < before.length; at += wordsPerSlot) {
      const high = before[at] as number;
      if (high === 0) continue;
      const low = before[at + 1] as number;
      this.#put(this.#find(high, low), high, low, before[at + 2] as number);
    }
  }

  /** Where the identity stands, or the empty slot where it belongs. */
  #find(high: number, low: number): number {
    const slots = this.#slots;
    // Any capacity will do: the hash is scaled to it, not cut.
    let at = Math.floor((high / 2 ** 32) * this.#capacity) * wordsPerSlot;
    for (;;) {
      const there = slots[at];
      if (there === 0 || (there === high && slots[at + 1] === low)) return at;
      at += wordsPerSlot;
      if (at === slots.length) at = 0;
    }
  }

  #put(at: number, high: number, low: number, value: number): void {
    this.#slots[at] = high;
    this.#slots[at + 1] = low;
    this.#slots[at + 2] = value;
  }
}
