import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chunksOf } from '../../../src/producers/chunks.ts';

const record = (bytes: number) => ({ value: Buffer.alloc(bytes), timestamp: 0, headers: {} });
const sizes = (records: readonly number[], maxRecords: number, maxBytes: number) =>
  [...chunksOf(records.map(record), { maxRecords, maxBytes })].map((chunk) =>
    chunk.records.map(({ value }) => value.length),
  );

test('a batch is cut before the record that would be one too many, or too large', () => {
  expect(sizes([1, 1, 1, 1, 1], 2, 100)).toEqual([[1, 1], [1, 1], [1]]);
  expect(sizes([60, 40, 1], 10, 100)).toEqual([[60, 40], [1]]);
});

test('a record that is larger than the limit goes alone', () => {
  expect(sizes([1, 500, 1], 10, 100)).toEqual([[1], [500], [1]]);
  expect(sizes([500, 1], 10, 100)).toEqual([[500], [1]]);
});

test('headers count', () => {
  const records = [1, 2].map(() => ({ value: Buffer.alloc(10), timestamp: 0, headers: { name: 'value' } }));
  expect([...chunksOf(records, { maxRecords: 10, maxBytes: 37 })].map(({ bytes }) => bytes)).toEqual([19, 19]);
});

test('nothing is lost, repeated or reordered, and no piece passes a limit', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(50), { maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 99 }),
      (lengths, maxRecords, maxBytes) => {
        const records = lengths.map(record);
        const chunks = [...chunksOf(records, { maxRecords, maxBytes })];
        expect(chunks.flatMap((chunk) => chunk.records)).toEqual(records);
        for (const chunk of chunks) {
          expect(chunk.records.length).toBeLessThanOrEqual(maxRecords);
          if (chunk.records.length > 1) expect(chunk.bytes).toBeLessThanOrEqual(maxBytes);
        }
      },
    ),
  );
});
