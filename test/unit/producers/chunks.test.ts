import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chunksOf } from '../../../src/producers/chunks.ts';
import { packRecords } from '../../../src/records/record-packer.ts';
import { recordOf } from './fakes.ts';

/** As large as a record without key, value and headers is: three numbers, each of one byte. */
const smallest = 3;

/** Of so many bytes in all, `smallest` or more. */
function record(bytes: number) {
  const one = recordOf(Buffer.alloc(bytes - smallest), { key: '' });
  return packRecords([one]).bytes === bytes ? one : { ...one, value: one.value.subarray(1) };
}
const sizes = (records: readonly number[], maxRecords: number, maxBytes: number) =>
  [...chunksOf(packRecords(records.map(record)), { maxRecords, maxBytes })].map((chunk) =>
    Array.from(chunk.records, (_, index) => chunk.records.bytesOf(index)),
  );

test('a batch is cut before the record that would be one too many, or too large', () => {
  expect(sizes([3, 3, 3, 3, 3], 2, 100)).toEqual([[3, 3], [3, 3], [3]]);
  expect(sizes([60, 40, 3], 10, 100)).toEqual([[60, 40], [3]]);
});

test('a record that is larger than the limit goes alone', () => {
  expect(sizes([3, 500, 3], 10, 100)).toEqual([[3], [500], [3]]);
  expect(sizes([500, 3], 10, 100)).toEqual([[500], [3]]);
});

test('keys and headers count', () => {
  const records = packRecords([1, 2].map(() => recordOf('0123456789', { key: 'key', headers: { name: 'value' } })));
  const counted = (maxBytes: number) =>
    Array.from(chunksOf(records, { maxRecords: 10, maxBytes }), (chunk) => chunk.records.bytes);
  expect(counted(53)).toEqual([27, 27]);
  expect(counted(54)).toEqual([54]);
});

test('nothing is lost, repeated or reordered, no piece passes a limit, and none is empty', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: smallest, max: 60 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 99 }),
      (lengths, maxRecords, maxBytes) => {
        const records = packRecords(lengths.map(record));
        const chunks = [...chunksOf(records, { maxRecords, maxBytes })];
        expect(chunks.flatMap((chunk) => [...chunk.records])).toEqual([...records]);
        let start = 0;
        for (const chunk of chunks) {
          expect(chunk.start).toBe(start);
          start += chunk.records.length;
          expect(chunk.records.length).toBeGreaterThan(0);
          expect(chunk.records.length).toBeLessThanOrEqual(maxRecords);
          if (chunk.records.length > 1) expect(chunk.records.bytes).toBeLessThanOrEqual(maxBytes);
        }
      },
    ),
  );
});
