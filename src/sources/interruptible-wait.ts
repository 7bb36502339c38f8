import type { Clock } from '../clock.ts';

/** Reason of the abort, which only ends a wait: without one each makes an exception with its stack. */
const wakeUp = 'wake up';

/** Waits of one loop, which others end early. An interrupt that comes between two waits ends the next one at once. */
export class InterruptibleWait {
  readonly #clock: Clock;
  #interrupted = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  interrupt(): void {
    this.#interrupted.abort(wakeUp);
  }

  /** @param millis 0 or less: no wait, but the interrupts up to now are over */
  async sleep(millis: number): Promise<void> {
    if (millis > 0) await this.#clock.sleep(millis, this.#interrupted.signal);
    if (this.#interrupted.signal.aborted) this.#interrupted = new AbortController();
  }
}
