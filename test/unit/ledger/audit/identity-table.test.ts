import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdentityTable } from '../../../../src/ledger/audit/identity-table.ts';

const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const value = fc.integer({ min: 1, max: 2 ** 32 - 1 });
/** Few enough that identities repeat, and at both ends of the table. */
const high = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 2 ** 32 - 4, max: 2 ** 32 - 1 }), value);
const low = fc.oneof(fc.nat({ max: 4 }), word);

test('keeps the first value of each identity, in whatever epoch it stands', () => {
  const added = fc.record({ epoch: fc.nat({ max: 300 }), high, low, value });
  fc.assert(
    fc.property(fc.array(added, { maxLength: 400 }), (all) => {
      const table = new IdentityTable();
      const model = new Map<string, number>();
      for (const { epoch, high, low, value } of all) {
        const key = [Math.floor(epoch / 64), high, low].join();
        expect(table.add(epoch, high, low, value)).toBe(model.get(key) ?? 0);
        if (!model.has(key)) model.set(key, value);
      }
    }),
    { numRuns: 300 },
  );
});

test('an identity costs at most 24 bytes while its epochs are written, and 14 afterwards', () => {
  const table = new IdentityTable();
  const identities = 200_000;
  const spread = (i: number) => Math.imul(i, 0x9e3779b1) >>> 0 || 1;
  for (let i = 1; i <= identities; i += 1) {
    table.add(7, spread(i), i, 1);
    if (i > 1000) expect(table.bytes / i).toBeLessThanOrEqual(24.1);
  }
  table.add(7 + 64, 1, 1, 1);
  expect(table.bytes / identities).toBeLessThan(14);
  // What is given back is not forgotten, and late ones still find room.
  for (let i = 1; i <= identities; i += 1) expect(table.add(7, spread(i), i, 2)).toBe(1);
  expect(table.add(7, 5, identities + 1, 1)).toBe(0);
  expect(table.add(7, 5, identities + 1, 1)).toBe(1);
});
