import { type Chunk, halvesOf } from './chunks.ts';

/**
 * What is left of a batch while the broker refuses some of it: finds the records that are refused alone, and tells a
 * record that is at fault from a topic that takes nothing at the moment.
 *
 * A record is at fault when it is refused alone although another one was accepted, since it was itself refused alone
 * before, or since any was. Until that can be said of it, it waits behind the others of its batch.
 */
export class Bisection {
  #left: Chunk[];
  /** Chunks that were accepted. */
  #accepted = 0;
  /** What that was when a record was last refused alone, and when this one was first. */
  #acceptedAtRefusal = 0;
  readonly #acceptedAtFirst = new Map<Chunk, number>();
  #refusedInARow = 0;

  constructor(chunks: Iterable<Chunk>) {
    this.#left = [...chunks];
  }

  /** Takes the next one. */
  next(): Chunk | undefined {
    return this.#left.shift();
  }

  /** Records in a row that were refused alone, with nothing accepted in between. */
  get refusedInARow(): number {
    return this.#refusedInARow;
  }

  /** Whatever is left was refused alone since something was accepted. */
  get exhausted(): boolean {
    return this.#refusedInARow >= this.#left.length;
  }

  /** A chunk of this batch, or another record of its topic, was accepted. */
  accepted(): void {
    this.#accepted += 1;
    if (this.#refusedInARow === 0) return;
    this.#refusedInARow = 0;
    // Those that had to wait are due, in their order.
    this.#left.sort((a, b) => a.start - b.start);
  }

  /** Takes its place. */
  replace(chunk: Chunk): void {
    this.#left.unshift(chunk);
  }

  /** Of a refused chunk of two records or more. */
  split(chunk: Chunk): void {
    this.#left.unshift(...halvesOf(chunk));
  }

  /** Whether a record that was refused alone is itself the reason. */
  isAtFault(chunk: Chunk): boolean {
    const since = this.#acceptedAtFirst.get(chunk) ?? this.#acceptedAtRefusal;
    this.#acceptedAtRefusal = this.#accepted;
    return this.#accepted > since;
  }

  /** A record that was refused alone waits behind everything else. */
  defer(chunk: Chunk): void {
    if (!this.#acceptedAtFirst.has(chunk)) this.#acceptedAtFirst.set(chunk, this.#accepted);
    this.#left.push(chunk);
    this.#refusedInARow += 1;
  }
}
