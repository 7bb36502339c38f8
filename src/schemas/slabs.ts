/** Writes an event at `start` and returns its end; an end behind the slab says what was lacking. */
export type WriteInto<Event> = (event: Event, slab: Buffer, start: number) => number;

/**
 * Where the values of a batch are written: one slab a batch, so that a batch in flight keeps its own, and nothing is
 * overwritten before it is acknowledged.
 */
export class Slabs<Event> {
  readonly #write: WriteInto<Event>;
  /** The size of a slab follows the largest average of the recent batches, and sinks slowly. */
  #bytesPerEvent = 1024;
  #slab = Buffer.alloc(0);
  #start = 0;
  /** Of the batch: events, those that are written, and their bytes. */
  #events = 0;
  #written = 0;
  #bytes = 0;

  constructor(write: WriteInto<Event>) {
    this.#write = write;
  }

  begin(events: number): void {
    if (this.#written > 0) {
      const average = Math.ceil((this.#bytes / this.#written) * 1.25);
      this.#bytesPerEvent = Math.max(average, Math.floor(this.#bytesPerEvent * 0.9));
    }
    this.#slab = Buffer.allocUnsafeSlow(events * this.#bytesPerEvent);
    this.#start = 0;
    this.#events = events;
    this.#written = 0;
    this.#bytes = 0;
  }

  /** The event's value, which stays valid for as long as it is referenced. */
  add(event: Event): Buffer {
    let end = this.#write(event, this.#slab, this.#start);
    // Twice at most: the first time may have ended early, without knowing how much is needed.
    while (end > this.#slab.length) {
      // The values before keep the full slab alive; this one and the rest go into the next.
      const rest = (this.#events - this.#written) * this.#bytesPerEvent;
      this.#slab = Buffer.allocUnsafeSlow(Math.max(end - this.#start, rest));
      this.#start = 0;
      end = this.#write(event, this.#slab, 0);
    }
    const value = this.#slab.subarray(this.#start, end);
    this.#written += 1;
    this.#bytes += value.length;
    this.#start = end;
    return value;
  }
}
