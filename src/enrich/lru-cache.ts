export interface LruBounds<Value> {
  readonly entries: number;
  /** Sum over all values of `bytesOf`; no bound without. */
  readonly bytes?: number;
  readonly bytesOf?: (value: Value) => number;
}

/** A map within bounds: what was not asked for the longest goes first. */
export class LruCache<Key, Value> {
  readonly #bounds: LruBounds<Value>;
  /** In the order of their last use: a Map keeps that of insertion. */
  readonly #values = new Map<Key, Value>();
  #bytes = 0;

  constructor(bounds: LruBounds<Value>) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#values.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: Key): Value | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    this.#values.delete(key);
    this.#values.set(key, value);
    return value;
  }

  /** A value that alone is over the bound of bytes is not kept. */
  set(key: Key, value: Value): void {
    this.delete(key);
    const { entries, bytes = Number.POSITIVE_INFINITY } = this.#bounds;
    const added = this.#bytesOf(value);
    if (added > bytes) return;
    this.#values.set(key, value);
    this.#bytes += added;
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= entries && this.#bytes <= bytes) break;
      this.delete(oldest);
    }
  }

  delete(key: Key): void {
    const value = this.#values.get(key);
    if (value === undefined) return;
    this.#values.delete(key);
    this.#bytes -= this.#bytesOf(value);
  }

  #bytesOf(value: Value): number {
    return this.#bounds.bytesOf?.(value) ?? 0;
  }
}
