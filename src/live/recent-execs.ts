import type { OutgoingRecord } from '../batch.ts';
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
  #batches: (readonly OutgoingRecord[])[] = [];
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

  add(records: readonly OutgoingRecord[]): void {
    this.#total += records.length;
    const newest = records.slice(-this.#limit);
    this.#batches.push(newest);
    this.#kept += newest.length;
    for (;;) {
      const oldest = this.#batches[0]?.length ?? 0;
      if (this.#kept - oldest < this.#limit) return;
      this.#batches.shift();
      this.#kept -= oldest;
    }
  }

  /** Those behind the first `total` ones. */
  since(total: number): ExecsSince {
    const published = this.#total - total;
    const wanted = Math.min(published, this.#limit);
    const newest = wanted === 0 ? [] : this.#batches.flat().slice(-wanted);
    const events = newest.flatMap(({ value }) => this.#read(value) ?? []);
    return { published, events };
  }
}
