export interface CacheBounds<Value> {
  readonly entries: number;
  /** Sum over all values of `bytesOf`; no bound without. */
  readonly bytes?: number;
  readonly bytesOf?: (value: Value) => number;
}

/**
 * A map within bounds that keeps what was set or asked for recently: at least the last half of its entries and bytes.
 *
 * Two generations instead of one list in the order of use: nearly every question is then a single look into a Map.
 */
export class RecentCache<Key, Value> {
  readonly #bounds: CacheBounds<Value>;
  #young = new Map<Key, Value>();
  #youngBytes = 0;
  #old: ReadonlyMap<Key, Value> = new Map();

  constructor(bounds: CacheBounds<Value>) {
    this.#bounds = bounds;
  }

  get(key: Key): Value | undefined {
    const value = this.#young.get(key);
    if (value !== undefined) return value;
    const past = this.#old.get(key);
    if (past !== undefined) this.set(key, past);
    return past;
  }

  /** A value that alone is over half of the bytes is not kept. */
  set(key: Key, value: Value): void {
    const { entries, bytes = Number.POSITIVE_INFINITY, bytesOf = () => 0 } = this.#bounds;
    const added = bytesOf(value);
    if (added > bytes / 2) return;
    const before = this.#young.get(key);
    if (before !== undefined) this.#youngBytes -= bytesOf(before);
    else if (this.#young.size >= entries / 2) this.#age();
    if (this.#youngBytes + added > bytes / 2) this.#age();
    this.#young.set(key, value);
    this.#youngBytes += added;
  }

  #age(): void {
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngBytes = 0;
  }
}
