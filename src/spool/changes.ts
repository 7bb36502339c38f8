/** Wakes those who wait for something to change. */
export class Changes {
  readonly #waiting = new Set<() => void>();

  /** Resolves at the next `tell`, or when the signal aborts or has aborted. */
  async next(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.#waiting.add(wake);
    signal.addEventListener('abort', wake, { once: true });
    await promise;
    this.#waiting.delete(wake);
    signal.removeEventListener('abort', wake);
  }

  tell(): void {
    for (const wake of this.#waiting) wake();
  }
}
