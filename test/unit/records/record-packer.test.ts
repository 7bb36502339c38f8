import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryPool } from '../../../src/records/memory-pool.ts';
import { packRecords, RecordPacker, type WriteValue } from '../../../src/records/record-packer.ts';
import { recordOf } from '../producers/fakes.ts';

/** Says how much it would have needed. */
const exact: WriteValue<Buffer> = (value, memory, start) => {
  value.copy(memory, start);
  return start + value.length;
};

/** Ends early when there is no room, as avsc does, and knows only that it was too little. */
const vague: WriteValue<Buffer> = (value, memory, start) => {
  const end = exact(value, memory, start);
  return Math.min(end, memory.length + 1);
};

function pack(packer: RecordPacker<Buffer>, values: readonly Buffer[]) {
  packer.begin(values.length);
  for (const value of values) packer.add(value, recordOf(value));
  return { records: packer.finish(), release: packer.releaser() };
}

const memoryOf = ({ records }: ReturnType<typeof pack>) => records.at(0).value.buffer;

test('a value that is larger than all memory so far is whole', () => {
  for (const bytes of [16 * 1024, 100_000, 2_000_000]) {
    const record = recordOf(Buffer.alloc(bytes, 'x'));
    expect(packRecords([record, record]).at(1).value.equals(record.value)).toBe(true);
  }
});

describe.each([
  ['says how much it needs', exact],
  ['ends early without saying how much it needs', vague],
])('when what writes a value %s', (_, write) => {
  test('batches of any sizes are whole, where their memory has to grow, too', () => {
    const value = fc
      .tuple(fc.oneof(fc.nat(100), fc.nat(20_000), fc.constantFrom(63, 64, 8191, 8192, 100_000)), fc.nat(255))
      .map(([bytes, byte]) => Buffer.alloc(bytes, byte));
    fc.assert(
      fc.property(fc.array(fc.array(value, { maxLength: 10 }), { maxLength: 5 }), (batches) => {
        const packer = new RecordPacker<Buffer>(write);
        const packed = batches.map((values) => pack(packer, values));
        for (const [index, { records }] of packed.entries()) {
          const values = batches[index] as Buffer[];
          expect(records).toHaveLength(values.length);
          for (const [at, record] of [...records].entries()) {
            expect(record.value.equals(values[at] as Buffer)).toBe(true);
            expect(record).toEqual({ ...recordOf(''), value: record.value });
          }
        }
      }),
    );
  });

  test('what stands before a value that the memory has to grow for stays', () => {
    const packer = new RecordPacker<Buffer>(write);
    const [first, large] = [recordOf('first'), recordOf(Buffer.alloc(100_000, 'x'), { key: 'ключ' })];
    packer.begin(2);
    for (const record of [first, large]) packer.add(record.value, record);
    expect([...packer.finish()]).toEqual([first, large]);
  });
});

test('headers that the memory has to grow for are whole', () => {
  const headers = { name: 'ü'.repeat(20_000), other: 'value' };
  const record = recordOf('value', { headers });
  expect([...packRecords([record, record])]).toEqual([record, record]);
});

test('a batch may have fewer records than was said', () => {
  const packer = new RecordPacker<Buffer>(exact);
  packer.begin(3);
  packer.add(Buffer.from('a'), recordOf('a'));
  expect([...packer.finish()]).toEqual([recordOf('a')]);
});

describe('the memory of a batch', () => {
  const values = [Buffer.from('a'), Buffer.from('b')];

  test('is another one than that of each batch that is not released', () => {
    const packer = new RecordPacker<Buffer>(exact);
    const batches = Array.from({ length: 10 }, () => pack(packer, values));
    expect(new Set(batches.map(memoryOf)).size).toBe(10);
    for (const { records } of batches) expect(Array.from(records, ({ value }) => value)).toEqual(values);
  });

  test('is used again when the batch is released', () => {
    const packer = new RecordPacker<Buffer>(exact);
    const first = pack(packer, values);
    first.release();
    expect(memoryOf(pack(packer, values))).toBe(memoryOf(first));
  });

  test('is that of one batch only, however often it is released', () => {
    const packer = new RecordPacker<Buffer>(exact);
    const first = pack(packer, values);
    for (let times = 0; times < 3; times += 1) first.release();
    const [second, third] = [pack(packer, values), pack(packer, values)];
    first.release();
    const later = [second, third, pack(packer, values)].map(memoryOf);
    expect(new Set(later).size).toBe(3);
  });

  test('is used again only where it is large enough', () => {
    const pool = new MemoryPool();
    const memory = pool.take(1_000, 10);
    const [bytes, records] = [memory.bytes.length, memory.ends.length];
    expect(memory.timestamps).toHaveLength(records);
    pool.releaser(memory)();
    expect(pool.take(bytes + 1, records).bytes.length).toBeGreaterThan(bytes);
    expect(pool.take(bytes, records + 1).ends.length).toBeGreaterThan(records);
    expect(pool.take(bytes, records)).toBe(memory);
  });

  test('is kept for some batches, not for all that there were at one time', () => {
    const pool = new MemoryPool();
    const memories = Array.from({ length: 20 }, () => pool.take(1_000, 10));
    for (const memory of memories) pool.releaser(memory)();
    const again = new Set(Array.from({ length: 20 }, () => pool.take(1_000, 10)));
    const kept = memories.filter((memory) => again.has(memory));
    expect(kept).toEqual(memories.slice(-4));
  });
});
