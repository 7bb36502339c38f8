import { setTimeout as sleep } from 'node:timers/promises';

/** How much longer than usual everything may take: machines that are emulated set it. */
export const patience = Number(process.env.BPF2KAFKA_TEST_PATIENCE ?? 1);

export interface WaitOptions {
  /** What is awaited, as a sentence part: `the topic has 3 records`. */
  readonly what: string;
  /** Milliseconds, times `patience`. */
  readonly timeout?: number;
  /** Milliseconds between two polls, or as long as a poll takes when that is longer. */
  readonly interval?: number;
}

/**
 * Polls until the condition gives a truthy value, and resolves to it. A condition that throws does not hold yet;
 * what it threw last is told when the time is up.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { what, timeout = 10_000, interval = 25 }: WaitOptions,
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const limit = timeout * patience;
  const deadline = performance.now() + limit;
  for (;;) {
    const begun = performance.now();
    let last: unknown;
    try {
      const value = await condition();
      if (value) return value as Exclude<T, false | null | undefined | 0 | ''>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) {
      throw new Error(`waited ${limit} ms in vain: ${what} (last: ${String(last)})`, { cause: last });
    }
    // What takes long to ask, as a process that reads a whole topic, is asked half of the time at most.
    await sleep(Math.max(interval, performance.now() - begun));
  }
}
