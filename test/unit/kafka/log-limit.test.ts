import { expect, test } from 'vitest';
import { LogLimit } from '../../../src/kafka/log-limit.ts';
import { FakeClock } from '../producers/fakes.ts';

test('one line a minute, with the number of those between', async () => {
  const clock = new FakeClock();
  const limit = new LogLimit(clock);
  expect(limit.pass()).toBe(0);
  for (let second = 0; second < 59; second += 1) {
    await clock.advance(1_000);
    expect(limit.pass()).toBeUndefined();
  }
  await clock.advance(1_000);
  expect(limit.pass()).toBe(59);
});

test('a change passes at once', () => {
  const limit = new LogLimit(new FakeClock());
  limit.pass();
  limit.reset();
  expect(limit.pass()).toBe(0);
});

test('a wall clock that is set neither silences it nor lets more through', async () => {
  const clock = new FakeClock();
  const limit = new LogLimit(clock);
  limit.pass();
  clock.now += 86_400_000;
  expect(limit.pass()).toBeUndefined();
  clock.now -= 2 * 86_400_000;
  await clock.advance(60_000);
  expect(limit.pass()).toBe(1);
});
