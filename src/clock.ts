/** The only source of time and of waiting, so that a test can put its own in place. */
export interface Clock {
  /** Wall time, milliseconds since 1970. */
  nowMillis(): number;
  /** For durations: milliseconds since some moment; never set back or forth, unlike wall time. */
  elapsedMillis(): number;
  /** Calls once after `millis`, unless what it returns is called before. */
  after(millis: number, callback: () => void): () => void;
  /** Resolves after `millis`, or at once when the signal aborts; never rejects. */
  sleep(millis: number, signal?: AbortSignal): Promise<void>;
}

/** A clock's `sleep`, by its `after`. */
export function sleepBy(after: Clock['after'], millis: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = after(millis, done);
    signal?.addEventListener('abort', done);
  });
}

const after: Clock['after'] = (millis, callback) => {
  const timer = setTimeout(callback, millis);
  return () => clearTimeout(timer);
};

export const systemClock: Clock = {
  nowMillis: () => Date.now(),
  elapsedMillis: () => performance.now(),
  after,
  sleep: (millis, signal) => sleepBy(after, millis, signal),
};
