/** Writes an event at `start` and returns its end; an end behind the slab says what was lacking. */
export type WriteInto<Event> = (event: Event, slab: Buffer, start: number) => number;

/** As many as batches that are encoded, on their way and acknowledged at one time, and one more. */
const spareAtMost = 4;

/**
 * Where the values of a batch are written: one slab a batch, so that a batch in flight keeps its own, and nothing is
 * overwritten before it is acknowledged. Whoever says when that is gets slabs used again: new ones for each batch are memory
 * that only a collection of the whole heap gives back, which stops the main loop for milliseconds.
 */
export class Slabs<Event> {
  readonly #write: WriteInto<Event>;
  /** The size of a slab follows the largest average of the recent batches, and sinks slowly. */
  #bytesPerEvent = 1024;
  #slab: Buffer = Buffer.alloc(0);
  #start = 0;
  /** All of the batch. */
  #slabs: Buffer[] = [];
  readonly #spare: Buffer[] = [];
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
    this.#slabs = [];
    this.#open(events * this.#bytesPerEvent);
    this.#events = events;
    this.#written = 0;
    this.#bytes = 0;
  }

  /** The event's value, which stays valid for as long as it is referenced, or until the batch is released. */
  add(event: Event): Buffer {
    let end = this.#write(event, this.#slab, this.#start);
    // Twice at most: the first time may have ended early, without knowing how much is needed.
    while (end > this.#slab.length) {
      // The values before keep the full slab alive; this one and the rest go into the next.
      const rest = (this.#events - this.#written) * this.#bytesPerEvent;
      this.#open(Math.max(end - this.#start, rest));
      end = this.#write(event, this.#slab, 0);
    }
    const value = this.#slab.subarray(this.#start, end);
    this.#written += 1;
    this.#bytes += value.length;
    this.#start = end;
    return value;
  }

  /** To be called when nobody reads the values of this batch any more; or never. */
  releaser(): () => void {
    const slabs = this.#slabs;
    return () => {
      this.#spare.push(...slabs.splice(0));
      this.#spare.splice(0, Math.max(0, this.#spare.length - spareAtMost));
    };
  }

  #open(bytes: number): void {
    const spare = this.#spare.findIndex(({ length }) => length >= bytes);
    this.#slab = spare < 0 ? Buffer.allocUnsafeSlow(bytes) : (this.#spare.splice(spare, 1)[0] as Buffer);
    this.#slabs.push(this.#slab);
    this.#start = 0;
  }
}
