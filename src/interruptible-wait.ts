import type { Clock } from './clock.ts';

/** Waits of one loop, which others end early. An interrupt that comes between two waits ends the next one at once. */
export class InterruptibleWait {
  readonly #clock: Clock;
  #interrupted = false;
  #wake: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  interrupt(): void {
    this.#interrupted = true;
    this.#wake();
  }

  /**
   * @param millis 0 or less: no wait, but the interrupts up to now are over; Infinity: until it is interrupted
   * @returns whether it was interrupted
   */
  async sleep(millis: number): Promise<boolean> {
    if (millis > 0 && !this.#interrupted) {
      await new Promise<void>((resolve) => {
        const cancel = Number.isFinite(millis) ? this.#clock.after(millis, resolve) : undefined;
        this.#wake = () => {
          cancel?.();
          resolve();
        };
      });
    }
    const interrupted = this.#interrupted;
    this.#interrupted = false;
    return interrupted;
  }
}
