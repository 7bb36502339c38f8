import { MemoryPool } from '../records/memory-pool.ts';
import type { PackedRecords } from '../records/packed-records.ts';
import type { ExecEvent } from '../schemas/exec-event.ts';

export interface ExecsSince {
  /** How many came since then. */
  readonly published: number;
  /** The newest of them, oldest first. */
  readonly events: readonly ExecEvent[];
}

/**
 * The newest execs that the broker has acknowledged, as the bytes that stand in the topic: they are decoded when somebody
 * asks, so that adding costs next to nothing. What is kept is bounded by their number.
 */
export class RecentExecs {
  readonly #limit: number;
  readonly #read: (value: Buffer) => ExecEvent | undefined;
  /** Oldest first; each list is the end of a batch. */
  readonly #batches: { readonly records: PackedRecords; readonly release: () => void }[] = [];
  readonly #pool = new MemoryPool();
  #kept = 0;
  #total = 0;

  /**
   * @param limit how many are kept
   * @param read the exec of a value in the topic; undefined when it was written by a version with another schema
   */
  constructor(limit: number, read: (value: Buffer) => ExecEvent | undefined) {
    this.#limit = limit;
    this.#read = read;
  }

  /** How many were added. */
  get total(): number {
    return this.#total;
  }

  add(records: PackedRecords): void {
    this.#total += records.length;
    const newest = records.slice(Math.max(0, records.length - this.#limit));
    this.#kept += newest.length;
    this.#batches.push(newest.clone(this.#pool));
    for (;;) {
      const [oldest] = this.#batches;
      if (oldest === undefined || this.#kept - oldest.records.length < this.#limit) return;
      this.#batches.shift();
      this.#kept -= oldest.records.length;
      oldest.release();
    }
  }

  /** Those behind the first `total` ones. */
  since(total: number): ExecsSince {
    const published = this.#total - total;
    const wanted = Math.min(published, this.#limit);
    const newest = wanted === 0 ? [] : this.#batches.flatMap(({ records }) => [...records]).slice(-wanted);
    const events = newest.flatMap(({ value }) => this.#read(value) ?? []);
    return { published, events };
  }
}
