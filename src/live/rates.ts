/** Events by the second in which they happened, of the last ten minutes; what is older is not kept. */

export const keptSeconds = 600;

export const rateNames = ['execs', 'exits', 'packets'] as const;
export type RateName = (typeof rateNames)[number];

/** Parallel lists, a second each; null: not known yet, or not counted at all. */
export interface RateHistory {
  /** Seconds since 1970, without holes. */
  readonly seconds: readonly number[];
  readonly execs: readonly (number | null)[];
  readonly exits: readonly (number | null)[];
  readonly packets: readonly (number | null)[];
}

export class Rates {
  /** Which second a place stands for: its number modulo the number of places. */
  readonly #seconds = new Float64Array(keptSeconds);
  readonly #counts = Object.fromEntries(rateNames.map((name) => [name, new Float64Array(keptSeconds)])) as Readonly<
    Record<RateName, Float64Array>
  >;

  /** @param millis when it happened, since 1970 */
  count(name: RateName, millis: number): void {
    this.#add(name, Math.floor(millis / 1_000), 1);
  }

  /** Spreads what is known of an interval only, milliseconds since 1970, evenly over it. */
  spread(name: RateName, from: number, to: number, count: number): void {
    if (count === 0) return;
    const begin = Math.min(from, to - 1);
    const first = Math.max(Math.floor(begin / 1_000), Math.floor(to / 1_000) - keptSeconds);
    for (let second = first; second * 1_000 < to; second += 1) {
      const millis = Math.min(to, (second + 1) * 1_000) - Math.max(begin, second * 1_000);
      this.#add(name, second, (count * millis) / (to - begin));
    }
  }

  /**
   * The seconds that are over, the newest last.
   * @param knownUntil by name, milliseconds since 1970: of seconds that end later there is nothing to say yet
   */
  history(nowMillis: number, seconds: number, knownUntil: Readonly<Record<RateName, number>>): RateHistory {
    const end = Math.floor(nowMillis / 1_000);
    const listed = Array.from(
      { length: Math.min(seconds, keptSeconds) },
      (_, n) => end - Math.min(seconds, keptSeconds) + n,
    );
    const of = (name: RateName) =>
      listed.map((second) => ((second + 1) * 1_000 > knownUntil[name] ? null : this.#of(name, second)));
    return { seconds: listed, execs: of('execs'), exits: of('exits'), packets: of('packets') };
  }

  #of(name: RateName, second: number): number {
    const at = second % keptSeconds;
    return this.#seconds[at] === second ? Math.round(this.#counts[name][at] as number) : 0;
  }

  #add(name: RateName, second: number, count: number): void {
    const at = second % keptSeconds;
    const stands = this.#seconds[at] as number;
    if (second < stands || second < 0) return;
    if (second > stands) {
      this.#seconds[at] = second;
      for (const counts of Object.values(this.#counts)) counts[at] = 0;
    }
    const counts = this.#counts[name];
    counts[at] = (counts[at] as number) + count;
  }
}
