/** How often the main loop is asked whether it is free, milliseconds: as often as a timer can. */
const resolution = 1;

/** A timer that sets itself again and again, and how late it comes. */
export class LoopWatch {
  #timer: NodeJS.Timeout;
  #at = performance.now();
  #longest = 0;

  constructor() {
    this.#timer = setTimeout(() => this.#tick(), resolution);
  }

  #tick(): void {
    this.#look();
    this.#timer = setTimeout(() => this.#tick(), resolution);
  }

  #look(): void {
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#at - resolution);
    this.#at = now;
  }

  /** The longest time for which no timer could run, milliseconds, up to this call; ends the watch. */
  stop(): number {
    clearTimeout(this.#timer);
    this.#look();
    return this.#longest;
  }
}
