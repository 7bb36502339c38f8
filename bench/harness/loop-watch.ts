/** How often the main loop is asked whether it is free, milliseconds: as often as a timer can. */
const resolution = 1;

/**
 * A timer that sets itself again and again, and how late it comes, as far as the loop was at work meanwhile: a virtual
 * processor that was idle can take milliseconds until it runs again, in which nothing was blocked by anybody.
 */
export class LoopWatch {
  #timer: NodeJS.Timeout;
  #at = performance.now();
  #idle = idleMillis();
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
    const idle = idleMillis();
    const passed = now - this.#at;
    this.#longest = Math.max(this.#longest, Math.min(passed - resolution, passed - (idle - this.#idle)));
    this.#at = now;
    this.#idle = idle;
  }

  /** The longest time for which no timer could run, milliseconds, up to this call; ends the watch. */
  stop(): number {
    clearTimeout(this.#timer);
    this.#look();
    return this.#longest;
  }
}

/** How long this loop has waited for something to do, since it began. */
function idleMillis(): number {
  return performance.eventLoopUtilization().idle;
}
