export interface StopRequest {
  /** Resolves at the first SIGINT or SIGTERM. */
  readonly stop: Promise<void>;
  /** Aborts when the user asks again: do not wait any longer. */
  readonly force: AbortSignal;
}

/**
 * npm and a terminal send one ^C twice, to the group and by hand-over; within this time it is the same
 * request (milliseconds).
 */
const sameRequest = 2000;

/** Takes SIGINT and SIGTERM until it is disposed. */
export function stopSignals(): StopRequest & Disposable {
  const { promise: stop, resolve } = Promise.withResolvers<void>();
  const force = new AbortController();
  let first: number | undefined;
  const receive = () => {
    const now = performance.now();
    if (first === undefined) {
      first = now;
      resolve();
    } else if (now - first > sameRequest) {
      force.abort();
    }
  };
  process.on('SIGINT', receive);
  process.on('SIGTERM', receive);
  return {
    stop,
    force: force.signal,
    [Symbol.dispose]() {
      process.off('SIGINT', receive);
      process.off('SIGTERM', receive);
    },
  };
}
