import avro from 'avsc';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryPool } from '../../../src/records/memory-pool.ts';
import type { OutgoingRecord, PackedRecords } from '../../../src/records/packed-records.ts';
import { packRecords } from '../../../src/records/record-packer.ts';
import { recordOf } from '../producers/fakes.ts';

const text = fc.oneof(fc.string({ maxLength: 80 }), fc.string({ unit: 'grapheme', maxLength: 40 }));
const valueBytes = fc.oneof(fc.nat(200), fc.constantFrom(0, 1, 62, 63, 64, 65, 8190, 8191, 8192, 8193), fc.nat(20_000));
const record: fc.Arbitrary<OutgoingRecord> = fc.record({
  key: text,
  value: fc.tuple(valueBytes, fc.nat(255)).map(([bytes, byte]) => Buffer.alloc(bytes, byte)),
  timestamp: fc.integer({ min: -1, max: 2 ** 50 }),
  headers: fc.dictionary(
    text.filter((name) => name !== '__proto__'),
    text,
    { maxKeys: 4 },
  ),
});
const someRecords = fc.array(record, { maxLength: 12 });

const long = avro.Type.forSchema('long');
const bytes = avro.Type.forSchema('bytes');
const string = avro.Type.forSchema('string');

/** What a record batch of Kafka has of it, which are the numbers, bytes and texts that Avro has, too. */
function bytesOf({ key, value, headers }: OutgoingRecord): Buffer {
  const entries = Object.entries(headers);
  const texts = entries.flat().map((each) => string.toBuffer(each));
  return Buffer.concat([string.toBuffer(key), bytes.toBuffer(value), long.toBuffer(entries.length), ...texts]);
}

/** As it is copied into a request. */
function copied(records: PackedRecords, index: number): Buffer {
  const around = 3;
  const out = Buffer.alloc(records.bytesOf(index) + 2 * around, 0xaa);
  expect(records.copy(index, out, around)).toBe(out.length - around);
  return out.subarray(around, -around);
}

function expectRecords(packed: PackedRecords, records: readonly OutgoingRecord[]): void {
  expect([...packed]).toEqual(records);
  expect(packed).toHaveLength(records.length);
  const expected = records.map(bytesOf);
  expect(packed.bytes).toBe(Buffer.concat(expected).length);
  for (const [index, { timestamp }] of records.entries()) {
    expect(packed.at(index)).toEqual(records[index]);
    expect(packed.timestampOf(index)).toBe(timestamp);
    expect(packed.bytesOf(index)).toBe(expected[index]?.length);
    expect(copied(packed, index).equals(expected[index] as Buffer)).toBe(true);
  }
}

/** From where to where, in any list. */
const cut = fc.tuple(fc.nat(99), fc.nat(99)).map((two) => {
  const [begin = 0, end = 0] = two.toSorted((a, b) => a - b).map((each) => each / 99);
  return (length: number) => [Math.floor(begin * length), Math.ceil(end * length)] as const;
});

describe('packed records', () => {
  test('are read back as they were, and have the bytes that Kafka has of them', () => {
    fc.assert(fc.property(someRecords, (records) => expectRecords(packRecords(records), records)));
  });

  test('are the same in a slice, and in a slice of it', () => {
    fc.assert(
      fc.property(someRecords, cut, cut, (records, first, second) => {
        let packed = packRecords(records);
        let rest: readonly OutgoingRecord[] = records;
        for (const places of [first, second]) {
          const [begin, end] = places(rest.length);
          packed = packed.slice(begin, end);
          rest = rest.slice(begin, end);
          expectRecords(packed, rest);
        }
        expectRecords(packed.slice(0), rest);
        expectRecords(packed.slice(rest.length), []);
      }),
    );
  });

  test('are the same in memory of their own, whatever happens to that which they came from', () => {
    const pool = new MemoryPool();
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 12 }), cut, (records, places) => {
        const packed = packRecords(records);
        const [begin, end] = places(records.length);
        const clone = packed.slice(begin, end).clone(pool);
        new Uint8Array(packed.at(0).value.buffer).fill(0);
        expectRecords(clone.records, records.slice(begin, end));
        clone.release();
      }),
    );
  });

  test.each([-1, 2, Number.NaN])('%d is the index of none of two', (index) => {
    const two = packRecords(['a', 'b', 'c', 'd'].map((value) => recordOf(value))).slice(1, 3);
    expect(two.at(0).value.toString()).toBe('b');
    expect(two.at(1).value.toString()).toBe('c');
    expect(() => two.at(index)).toThrow(new RangeError(`there is no record ${index} of 2`));
  });

  test('are never cut off where there is no room for them', () => {
    const one = packRecords([recordOf('value')]);
    const bytes = one.bytesOf(0);
    expect(one.copy(0, Buffer.alloc(bytes + 2), 2)).toBe(bytes + 2);
    expect(() => one.copy(0, Buffer.alloc(bytes + 1), 2)).toThrow(`there is no room for ${bytes} bytes of a record`);
  });
});
