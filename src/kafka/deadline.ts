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

/** The result of `work`, or a DeadlineError after `millis` or when the signal aborts. Leaves no timer behind. */
export function withDeadline<T>(work: Promise<T>, millis: number, clock: Clock, signal?: AbortSignal): Promise<T> {
  // On the way of every batch: a timer and a listener, and no controller, whose abort costs more than both.
  return new Promise<T>((resolve, reject) => {
    const giveUp = (kind: DeadlineError['kind']) => {
      settle();
      reject(new DeadlineError(kind, millis));
    };
    const abort = () => giveUp('abort');
    const cancel = clock.after(millis, () => giveUp('timeout'));
    const settle = () => {
      cancel();
      signal?.removeEventListener('abort', abort);
    };
    signal?.addEventListener('abort', abort);
    if (signal?.aborted) abort();
    work.then(resolve, reject).finally(settle);
  });
}

/** Waits until `work` has settled either way, but not longer than `millis`. True when it has. */
export async function settlesWithin(work: Promise<unknown>, millis: number, clock: Clock): Promise<boolean> {
  const settled = work.then(
    () => true,
    () => true,
  );
  return withDeadline(settled, millis, clock).catch(() => false);
}
