/** The only source of time and of waiting, so that a test can put its own in place. */
export interface Clock {
  /** Wall time, milliseconds since 1970. */
  nowMillis(): number;
  /** For durations: milliseconds since some moment; never set back or forth, unlike wall time. */
  elapsedMillis(): number;
  /** Resolves after `millis`, or at once when the signal aborts; never rejects. */
  sleep(millis: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMillis: () => Date.now(),
  elapsedMillis: () => performance.now(),
  sleep: (millis, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, millis);
      signal?.addEventListener('abort', done);
    }),
};
