import { expect, test } from 'vitest';
import { settlesWithin, withDeadline } from '../../../src/kafka/deadline.ts';
import { FakeClock } from '../producers/fakes.ts';

const forever = new Promise<never>(() => {});

test('work in time gives its result or its error, and leaves no timer', async () => {
  const clock = new FakeClock();
  await expect(withDeadline(Promise.resolve(1), 100, clock)).resolves.toBe(1);
  await expect(withDeadline(Promise.reject(new Error('own')), 100, clock)).rejects.toThrow('own');
  expect(clock.waits).toEqual([]);
});

test('work that is late, and work that is not wanted any more, are told apart', async () => {
  const clock = new FakeClock();
  const late = withDeadline(forever, 100, clock);
  const checked = expect(late).rejects.toMatchObject({ kind: 'timeout' });
  await clock.advance(100);
  await checked;
  const stop = new AbortController();
  const unwanted = withDeadline(forever, 100, clock, stop.signal);
  stop.abort();
  await expect(unwanted).rejects.toMatchObject({ kind: 'abort' });
  await expect(withDeadline(forever, 100, clock, AbortSignal.abort())).rejects.toMatchObject({ kind: 'abort' });
  expect(clock.waits).toEqual([]);
});

test('waiting for the end of something is bounded, whatever its outcome', async () => {
  const clock = new FakeClock();
  await expect(settlesWithin(Promise.reject(new Error('x')), 100, clock)).resolves.toBe(true);
  const never = settlesWithin(forever, 100, clock);
  await clock.advance(100);
  await expect(never).resolves.toBe(false);
});
