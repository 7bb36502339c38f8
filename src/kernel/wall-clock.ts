import type { ClockOffset } from './addon.ts';

/**
 * Turns time since boot into wall time by the offsets that are pinned beside the records, never by the
 * clock of this process: a record that is read again after a restart gets the same time.
 */
export class WallClock {
  #offsets: readonly ClockOffset[];

  /** @param offsets oldest first, not empty */
  constructor(offsets: readonly ClockOffset[]) {
    this.#offsets = offsets;
  }

  update(offsets: readonly ClockOffset[]): void {
    this.#offsets = offsets;
  }

  /**
   * Microseconds between boot and 1970 that hold for an event.
   * @param bootMicros when it happened, microseconds since boot
   */
  offsetAt(bootMicros: number): number {
    for (let i = this.#offsets.length - 1; i > 0; i -= 1) {
      const offset = this.#offsets[i] as ClockOffset;
      if (offset.fromBootMicros <= bootMicros) return offset.realtimeMinusBootMicros;
    }
    return (this.#offsets[0] as ClockOffset).realtimeMinusBootMicros;
  }
}
