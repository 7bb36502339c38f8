import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecentCache } from '../../../src/enrich/recent-cache.ts';

test('keeps what is asked for, and drops what is not', () => {
  const cache = new RecentCache<number, string>({ entries: 10 });
  cache.set(-1, 'asked for');
  cache.set(-2, 'not');
  for (let key = 0; key < 20; key += 1) {
    cache.set(key, 'new');
    expect(cache.get(-1)).toBe('asked for');
  }
  expect(cache.get(-2)).toBeUndefined();
});

test('keeps at least the last half, and never more than its bounds', () => {
  const step = fc.record({ key: fc.nat(30), size: fc.nat(12), get: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const cache = new RecentCache<number, string>({ entries: 8, bytes: 40, bytesOf: (value) => value.length });
      const last = new Map<number, string>();
      for (const { key, size, get } of steps) {
        if (get) {
          const value = cache.get(key);
          if (value !== undefined) expect(value).toBe(last.get(key));
        } else {
          last.delete(key);
          last.set(key, 'x'.repeat(size));
          cache.set(key, 'x'.repeat(size));
          expect(cache.get(key)).toBe(last.get(key));
        }
      }
      // Asking moves a value from one generation to the other, which may drop others, but makes no more of them.
      const kept = [...last].flatMap(([key]) => cache.get(key) ?? []);
      expect(kept.length).toBeLessThanOrEqual(8);
      expect(kept.join('').length).toBeLessThanOrEqual(40);
    }),
  );
});

test('a value that is too large is not kept, and nothing else is lost by it', () => {
  const cache = new RecentCache<string, string>({ entries: 10, bytes: 10, bytesOf: (value) => value.length });
  cache.set('a', '123');
  cache.set('b', '123456');
  expect([cache.get('a'), cache.get('b')]).toEqual(['123', undefined]);
});

test('a value that was replaced counts once, and the old one does not come back', () => {
  const cache = new RecentCache<string, string>({ entries: 10, bytes: 20, bytesOf: (value) => value.length });
  cache.set('b', '1');
  for (let round = 0; round < 20; round += 1) cache.set('a', `${round}`.padEnd(5));
  expect([cache.get('a'), cache.get('b')]).toEqual(['19   ', '1']);
});
