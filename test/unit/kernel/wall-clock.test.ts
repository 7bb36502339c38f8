import { expect, test } from 'vitest';
import { WallClock } from '../../../src/kernel/wall-clock.ts';

const offset = (fromBootMicros: number, realtimeMinusBootMicros: number) => ({
  fromBootMicros,
  realtimeMinusBootMicros,
});

test('each offset holds from its moment to the next one', () => {
  const clock = new WallClock([offset(0, 1000), offset(50, 2000), offset(90, 1500)]);
  expect([0, 49, 50, 89, 90, 1e12].map((bootMicros) => clock.offsetAt(bootMicros))).toEqual([
    1000, 1000, 2000, 2000, 1500, 1500,
  ]);
});

test('what is older than the oldest offset gets that one', () => {
  expect(new WallClock([offset(40, 7), offset(50, 8)]).offsetAt(10)).toBe(7);
});

test('a new offset changes nothing of before', () => {
  const clock = new WallClock([offset(0, 1000)]);
  const before = clock.offsetAt(60);
  clock.update([offset(0, 1000), offset(61, 9000)]);
  expect(clock.offsetAt(60)).toBe(before);
  expect(clock.offsetAt(61)).toBe(9000);
});
