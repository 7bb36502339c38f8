import type { Clock } from '../clock.ts';

/**
 * A token bucket of one second: what a host may send at once after an outage (`--max-bytes-per-second`). A request
 * larger than the bucket passes when the bucket is full and is paid for by the next ones.
 */
export class ByteBudget {
  readonly #bytesPerSecond: number;
  readonly #clock: Clock;
  #tokens: number;
  #filledAt: number;

  /** @param bytesPerSecond Infinity for no limit */
  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#tokens = bytesPerSecond;
    this.#filledAt = clock.elapsedMillis();
  }

  /** Waits until `bytes` may be sent, and takes them; returns early, having taken nothing, when the signal aborts. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === Number.POSITIVE_INFINITY) return;
    const needed = Math.min(bytes, this.#bytesPerSecond);
    for (;;) {
      this.#fill();
      if (this.#tokens >= needed) break;
      await this.#clock.sleep(Math.ceil(((needed - this.#tokens) / this.#bytesPerSecond) * 1_000), signal);
      if (signal.aborted) return;
    }
    this.#tokens -= bytes;
  }

  #fill(): void {
    const now = this.#clock.elapsedMillis();
    const passed = now - this.#filledAt;
    this.#filledAt = now;
    this.#tokens = Math.min(this.#bytesPerSecond, this.#tokens + (passed / 1_000) * this.#bytesPerSecond);
  }
}
