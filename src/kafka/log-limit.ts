import type { Clock } from '../clock.ts';

/** Lets one line through a period and counts the others, so that an outage of hours is told and does not fill a disk. */
export class LogLimit {
  readonly #clock: Clock;
  readonly #periodMillis: number;
  #last = Number.NEGATIVE_INFINITY;
  #suppressed = 0;

  constructor(clock: Clock, periodMillis = 60_000) {
    this.#clock = clock;
    this.#periodMillis = periodMillis;
  }

  /** The number of lines held back since the last one when this one may be written, otherwise undefined. */
  pass(): number | undefined {
    const now = this.#clock.elapsedMillis();
    if (now - this.#last < this.#periodMillis) {
      this.#suppressed += 1;
      return undefined;
    }
    const suppressed = this.#suppressed;
    this.#last = now;
    this.#suppressed = 0;
    return suppressed;
  }

  /** The next line passes: something changed. */
  reset(): void {
    this.#last = Number.NEGATIVE_INFINITY;
    this.#suppressed = 0;
  }
}
