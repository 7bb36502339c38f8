import { expect, test } from 'vitest';
import { ByteBudget } from '../../../src/producers/byte-budget.ts';
import { FakeClock } from './fakes.ts';

const never = new AbortController().signal;

async function timeOf(clock: FakeClock, work: Promise<void>): Promise<number> {
  const start = clock.now;
  let done = false;
  void work.then(() => {
    done = true;
  });
  await clock.advance(0);
  while (!done) await clock.advance(1);
  return clock.now - start;
}

test('a second is free, the rest is paid for in time', async () => {
  const clock = new FakeClock();
  const budget = new ByteBudget(1_000, clock);
  expect(await timeOf(clock, budget.take(1_000, never))).toBe(0);
  expect(await timeOf(clock, budget.take(250, never))).toBe(250);
  await clock.advance(10_000);
  expect(await timeOf(clock, budget.take(1_000, never))).toBe(0);
  expect(await timeOf(clock, budget.take(100, never))).toBe(100);
});

test('a request larger than the bucket passes, and the next one waits for it', async () => {
  const clock = new FakeClock();
  const budget = new ByteBudget(1_000, clock);
  expect(await timeOf(clock, budget.take(3_000, never))).toBe(0);
  expect(await timeOf(clock, budget.take(1_000, never))).toBe(3_000);
});

test('an abort ends the wait', async () => {
  const clock = new FakeClock();
  const budget = new ByteBudget(10, clock);
  const stop = new AbortController();
  await budget.take(1_000, never);
  const wait = budget.take(10, stop.signal);
  stop.abort();
  await wait;
  expect(clock.waits).toEqual([]);
});

test('no limit never waits', async () => {
  const clock = new FakeClock();
  const budget = new ByteBudget(Number.POSITIVE_INFINITY, clock);
  expect(await timeOf(clock, budget.take(1e12, never))).toBe(0);
});
