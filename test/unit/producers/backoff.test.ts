import { expect, test } from 'vitest';
import { backoffMillis } from '../../../src/producers/backoff.ts';

test('the bound doubles from the base and ends at the cap, also after years', () => {
  const bounds = [0, 1, 2, 8, 9, 5_000].map((attempt) => backoffMillis(attempt, 100, 30_000, 1));
  expect(bounds).toEqual([100, 200, 400, 25_600, 30_000, 30_000]);
});

test('the jitter is full: from nothing to the bound', () => {
  expect(backoffMillis(3, 100, 30_000, 0)).toBe(0);
  expect(backoffMillis(3, 100, 30_000, 0.5)).toBe(400);
});
