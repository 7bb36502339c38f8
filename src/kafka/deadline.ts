import type { Clock } from '../clock.ts';

/** `work` did not settle in time, or was no longer wanted. What it was doing goes on: the caller must end it. */
export class DeadlineError extends Error {
  readonly kind: 'timeout' | 'abort';

  constructor(kind: 'timeout' | 'abort', millis: number) {
    super(kind === 'timeout' ? `no answer within ${millis} ms` : 'aborted');
    this.name = 'DeadlineError';
    this.kind = kind;
  }
}

const noReason = 'settled';

/** The result of `work`, or a DeadlineError after `millis` or when the signal aborts. Leaves no timer behind. */
export async function withDeadline<T>(
  work: Promise<T>,
  millis: number,
  clock: Clock,
  signal?: AbortSignal,
): Promise<T> {
  const settled = new AbortController();
  // With a reason of our own: without one each abort makes an exception with its stack, on the hot path.
  const cancel = () => settled.abort(noReason);
  let over = false;
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted) cancel();
  const deadline = clock.sleep(millis, settled.signal).then((): undefined => {
    if (over) return undefined;
    throw new DeadlineError(signal?.aborted ? 'abort' : 'timeout', millis);
  });
  try {
    return (await Promise.race([work, deadline])) as T;
  } finally {
    over = true;
    signal?.removeEventListener('abort', cancel);
    settled.abort(noReason);
    // The loser must not become an unhandled rejection.
    deadline.catch(() => {});
    work.catch(() => {});
  }
}

/** Waits until `work` has settled either way, but not longer than `millis`. True when it has. */
export async function settlesWithin(work: Promise<unknown>, millis: number, clock: Clock): Promise<boolean> {
  const settled = work.then(
    () => true,
    () => true,
  );
  return withDeadline(settled, millis, clock).catch(() => false);
}
