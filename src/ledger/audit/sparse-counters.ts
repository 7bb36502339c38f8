const perChunk = 1024;

type Chunk = Uint32Array | Float64Array;

/**
 * Numbers at any integer index, 0 where nothing was set. Indices that are near each other share a chunk, so a dense
 * range costs as many bytes an index as a number has: 4 for unsigned 32-bit ones, 8 for those up to 2^53.
 */
export class SparseCounters {
  readonly #chunks = new Map<number, Chunk>();
  readonly #Chunk: new (
    length: number,
  ) => Chunk;
  #last: Chunk | undefined;
  #lastChunk = Number.NaN;

  constructor(numbers: typeof Uint32Array | typeof Float64Array = Uint32Array) {
    this.#Chunk = numbers;
  }

  get(index: number): number {
    return this.#find(Math.floor(index / perChunk))?.[modulo(index)] ?? 0;
  }

  set(index: number, value: number): void {
    const chunk = Math.floor(index / perChunk);
    let counters = this.#find(chunk);
    if (counters === undefined) {
      counters = new this.#Chunk(perChunk);
      this.#chunks.set(chunk, counters);
      this.#last = counters;
      this.#lastChunk = chunk;
    }
    counters[modulo(index)] = value;
  }

  add(index: number, amount: number): void {
    this.set(index, this.get(index) + amount);
  }

  /** Of the indices from `start` to before `end`. */
  sum(start: number, end: number): number {
    return this.#reduce(start, end, (value) => value);
  }

  /** How many indices from `start` to before `end` are not 0. */
  occupied(start: number, end: number): number {
    return this.#reduce(start, end, (value) => (value === 0 ? 0 : 1));
  }

  /** The first indices from `start` to before `end` that are 0. */
  firstEmpty(start: number, end: number, limit: number): number[] {
    const found: number[] = [];
    for (let index = start; index < end && found.length < limit; index += 1) {
      if (this.get(index) === 0) found.push(index);
    }
    return found;
  }

  #find(chunk: number): Chunk | undefined {
    if (chunk === this.#lastChunk) return this.#last;
    const counters = this.#chunks.get(chunk);
    if (counters === undefined) return undefined;
    this.#lastChunk = chunk;
    this.#last = counters;
    return counters;
  }

  #reduce(start: number, end: number, amount: (value: number) => number): number {
    if (!(start < end)) return 0;
    const first = Math.floor(start / perChunk);
    const last = Math.floor((end - 1) / perChunk);
    let total = 0;
    const add = (chunk: number, counters: Chunk) => {
      const base = chunk * perChunk;
      const from = Math.max(0, start - base);
      const to = Math.min(perChunk, end - base);
      for (let i = from; i < to; i += 1) total += amount(counters[i] as number);
    };
    // A ledger can name any range: never walk more chunks than there are.
    if (last - first < this.#chunks.size) {
      for (let chunk = first; chunk <= last; chunk += 1) {
        const counters = this.#chunks.get(chunk);
        if (counters !== undefined) add(chunk, counters);
      }
    } else {
      for (const [chunk, counters] of this.#chunks) if (chunk >= first && chunk <= last) add(chunk, counters);
    }
    return total;
  }
}

function modulo(index: number): number {
  return index - Math.floor(index / perChunk) * perChunk;
}
