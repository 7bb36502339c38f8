import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SparseCounters } from '../../../../src/ledger/audit/sparse-counters.ts';

const near = fc.integer({ min: -3000, max: 3000 });
const far = fc.integer({ min: 2 ** 52, max: 2 ** 52 + 3000 });
const writes = fc.array(fc.tuple(fc.oneof(near, far), fc.nat({ max: 2 ** 32 - 1 })), { maxLength: 60 });

test('answers like a map, for any range', () => {
  fc.assert(
    fc.property(writes, near, near, fc.boolean(), (sets, a, b, everything) => {
      const counters = new SparseCounters();
      const model = new Map<number, number>();
      for (const [index, value] of sets) {
        counters.set(index, value);
        model.set(index, value);
      }
      const start = everything ? Number.NEGATIVE_INFINITY : a;
      const end = everything ? Number.POSITIVE_INFINITY : b;
      const within = [...model].filter(([index]) => index >= start && index < end).map(([, value]) => value);
      for (const [index, value] of model) expect(counters.get(index)).toBe(value);
      expect(counters.sum(start, end)).toBe(within.reduce((total, value) => total + value, 0));
      expect(counters.occupied(start, end)).toBe(within.filter((value) => value !== 0).length);
      if (everything) return;
      const empty = Array.from({ length: Math.max(0, b - a) }, (_, i) => a + i).filter((i) => !model.get(i));
      expect(counters.firstEmpty(a, b, 4)).toEqual(empty.slice(0, 4));
    }),
    { numRuns: 500 },
  );
});

test('a range that a hostile ledger names costs no time', () => {
  const counters = new SparseCounters();
  counters.set(5, 1);
  expect(counters.occupied(0, Number.MAX_SAFE_INTEGER)).toBe(1);
  expect(counters.firstEmpty(0, Number.MAX_SAFE_INTEGER, 3)).toEqual([0, 1, 2]);
});

test('sums beyond 32 bits, when it is made for them', () => {
  const counters = new SparseCounters(Float64Array);
  counters.add(-1, 2 ** 40);
  counters.add(-1, 1);
  counters.add(2000, 2 ** 33);
  expect(counters.sum(-1, 2001)).toBe(2 ** 40 + 2 ** 33 + 1);
});
