import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openLearnedTable, openRecordWriter, type Step } from '../../../src/kernel/record-writer.ts';
import { longBytes, stringBytes } from '../../../src/schemas/avro-bytes.ts';
import { batchOf, program, writeOne, written } from './record-programs.ts';

type AnyStep = Step<number, number>;

const span = { offset: 0, length: 2 };
const time = { offset: 8, bytes: 8 } as const;

/** A text, and a number of nanoseconds. */
function recordOf(text: string, nanos = 0n): Buffer {
  const record = Buffer.alloc(16 + text.length);
  record.writeUInt16LE(16, 0);
  record.writeUInt16LE(text.length, 2);
  record.writeBigUInt64LE(nanos, 8);
  record.write(text, 16, 'latin1');
  return record;
}

const known = (bytes: number, with_ = 'x'): AnyStep => ({ kind: 'bytes', bytes: Buffer.alloc(bytes, with_) });
const withSize = (bytes: Uint8Array) => Buffer.concat([longBytes(bytes.length), bytes]);

/** Around where the number of bytes grows by a byte, and larger than all memory that a writer begins with. */
const sizes = [0, 1, 63, 64, 8191, 8192, 100_000];

describe('steps that are sized', () => {
  test.each(sizes)('have before them how many bytes they are: %d', (bytes) => {
    const content = Buffer.alloc(bytes, 'x');
    const steps: AnyStep[] = [known(3, 'b'), { kind: 'sized', steps: [known(bytes)] }, known(40, 'a')];
    const expected = Buffer.concat([Buffer.alloc(3, 'b'), withSize(content), Buffer.alloc(40, 'a')]);
    expect(written(program(steps), recordOf(''))?.equals(expected)).toBe(true);
  });

  test.each(sizes.filter((bytes) => bytes < 2 ** 16))('may be a text of the record: %d', (bytes) => {
    const text = 'x'.repeat(bytes);
    const steps: AnyStep[] = [{ kind: 'sized', steps: [{ kind: 'text', span }] }, known(1, 'a')];
    const expected = Buffer.concat([withSize(stringBytes(text)), Buffer.from('a')]);
    expect(written(program(steps), recordOf(text))?.equals(expected)).toBe(true);
  });

  test('end the record when one of them does', () => {
    const steps: AnyStep[] = [{ kind: 'sized', steps: [known(100), { kind: 'text', span }] }];
    expect(written(program(steps), recordOf('\xff'))).toBeUndefined();
  });

  interface Tree {
    readonly step: AnyStep;
    readonly bytes: Buffer;
  }
  const size = fc.oneof(fc.nat(70), fc.constantFrom(...sizes));
  const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      size.map((bytes) => ({ step: known(bytes), bytes: Buffer.alloc(bytes, 'x') })),
      fc.array(tie('tree'), { maxLength: 3 }).map((inside) => ({
        step: { kind: 'sized', steps: inside.map(({ step }) => step) } as const,
        bytes: withSize(Buffer.concat(inside.map(({ bytes }) => bytes))),
      })),
    ),
  }));

  test('stand in each other', () => {
    fc.assert(
      fc.property(fc.array(tree, { minLength: 1, maxLength: 3 }), (trees) => {
        const expected = Buffer.concat(trees.map(({ bytes }) => bytes));
        expect(written(program(trees.map(({ step }) => step)), recordOf(''))?.equals(expected)).toBe(true);
      }),
    );
  });

  test('do not change what is kept of them, before them, and around them', () => {
    fc.assert(
      fc.property(fc.array(size, { minLength: 4, maxLength: 4 }), fc.nat(300), (drawn, textBytes) => {
        const [before, first, between, last] = drawn as [number, number, number, number];
        const learned = openLearnedTable({ entries: 10, bytes: 10_000_000 });
        const keep = (part: number, ...steps: AnyStep[]): AnyStep => ({ kind: 'keep', part, steps });
        const inner: AnyStep = { kind: 'sized', steps: [keep(2, known(last, '2')), keep(3, { kind: 'text', span })] };
        const steps = [
          keep(0, known(before + 1, '0')),
          keep(1, { kind: 'sized', steps: [known(first), inner, known(between)] }),
        ];
        const kept = { learned, key: { numbers: [time] }, names: ['a', 'b', 'c', 'd', 'e'] };
        const writer = openRecordWriter(program(steps, { kept }));
        // The second one stands behind the first, in the same batch.
        for (const nanos of [7n, 8n]) {
          const text = `${nanos}`.repeat(textBytes);
          expect(writeOne(writer, recordOf(text, nanos)).isWritten).toBe(true);
          const inside = withSize(Buffer.concat([Buffer.alloc(last, '2'), stringBytes(text)]));
          const around = withSize(Buffer.concat([Buffer.alloc(first, 'x'), inside, Buffer.alloc(between, 'x')]));
          // Nothing was kept of the last part, and perhaps of that of no bytes: both are null.
          const parts = [Buffer.alloc(before + 1, '0'), around, Buffer.alloc(last || 1, last ? '2' : 0)];
          const key = Buffer.alloc(8);
          key.writeBigUInt64LE(nanos);
          const found = learned.get(key)?.map((part) => Buffer.from(part));
          expect(found?.map(String)).toEqual([...parts, stringBytes(text), Buffer.from([0])].map(String));
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('the timestamp of a record', () => {
  const wall = 1_764_000_000_000_123;
  const timed = program([{ kind: 'millis', place: time, of: 1 }], { timestamp: { place: time, of: 1 }, given: 2 });

  test('is its time since boot and the number that is given for that, as the step says it', () => {
    const nanos = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 60n }), fc.constantFrom(0n, 876_999n, 877_000n));
    fc.assert(
      fc.property(nanos, (since) => {
        const writer = openRecordWriter(timed);
        const { timestamp } = writeOne(writer, recordOf('', since), [1, wall]);
        expect(timestamp).toBe(Math.floor((Number(since / 1000n) + wall) / 1000));
        expect(batchOf(writer)).toEqual(longBytes(timestamp as number));
      }),
    );
  });

  test('is said of those that were written, and of no others', () => {
    const steps: AnyStep[] = [{ kind: 'text', span }];
    const writer = openRecordWriter({ ...timed, steps });
    const texts = ['a', 'b', 'c', '\xff', 'e'];
    const records = texts.map((text, index) => recordOf(text, BigInt(index) * 1_000_000n));
    const places = records.map((_, index) => Buffer.concat(records.slice(0, index)).length);
    const numbers = Float64Array.from(texts.flatMap((_, index) => [1, wall + index * 10_000]));
    const timestamps = new Float64Array(texts.length).fill(-1);
    const ends = new Uint32Array(texts.length);
    const memory = Buffer.concat(records);
    expect(writer.write(memory, Uint32Array.from(places), numbers, ends, timestamps, 1, 5)).toBe(3);
    expect([...timestamps]).toEqual([-1, 1_764_000_000_011, 1_764_000_000_022, -1, -1]);
    expect([...ends]).toEqual([0, 2, 4, 0, 0]);
  });
});

describe('a batch', () => {
  const steps: AnyStep[] = [{ kind: 'text', span }];

  test('grows by each call, and by what is known, until it is cleared', () => {
    const writer = openRecordWriter(program(steps));
    const expected: Buffer[] = [];
    const soFar = () => Buffer.concat(expected);
    for (const text of ['first', '', 'x'.repeat(20_000)]) {
      expected.push(stringBytes(text));
      expect(writeOne(writer, recordOf(text))).toMatchObject({ isWritten: true, end: soFar().length });
      expect(writeOne(writer, recordOf('\xff')).isWritten).toBe(false);
      expect(writer.bytes()).toBe(soFar().length);
      expected.push(Buffer.from(`added behind ${text}`));
      expect(writer.add(expected.at(-1) as Buffer)).toBe(soFar().length);
      expect(writer.add(Buffer.alloc(0))).toBe(soFar().length);
      expect(batchOf(writer).equals(soFar())).toBe(true);
    }
    writer.clear();
    expect(writer.bytes()).toBe(0);
    expect(batchOf(writer)).toHaveLength(0);
    expect(writeOne(writer, recordOf('again')).end).toBe(6);
    expect(batchOf(writer)).toEqual(stringBytes('again'));
  });

  test('of which half of a record was written goes on where that began', () => {
    const writer = openRecordWriter(program([known(1_000), ...steps]));
    writeOne(writer, recordOf('a'));
    expect(writeOne(writer, recordOf('\xff')).isWritten).toBe(false);
    writer.add(Buffer.from('b'));
    expect(batchOf(writer)).toEqual(Buffer.concat([Buffer.alloc(1_000, 'x'), stringBytes('a'), Buffer.from('b')]));
  });

  test('is copied into memory that has room for it, and into no other', () => {
    const writer = openRecordWriter(program(steps));
    writeOne(writer, recordOf('text'));
    const memory = Buffer.alloc(7, 0xaa);
    expect(() => writer.copyTo(memory.subarray(0, 4))).toThrow(
      expect.objectContaining({ code: 'ERR_ADDON', message: expect.stringContaining('there is less room than that') }),
    );
    expect(memory).toEqual(Buffer.alloc(7, 0xaa));
    writer.copyTo(memory.subarray(1));
    expect(memory).toEqual(Buffer.concat([Buffer.from([0xaa]), stringBytes('text'), Buffer.from([0xaa])]));
  });

  test('says why it stopped: for a table, for a record that is declined, or not at all', () => {
    const tables = [0, 8].map((offset) => ({
      learned: openLearnedTable({ entries: 10, bytes: 1_000 }),
      key: { numbers: [{ offset, bytes: 8 }] } as const,
    }));
    const writer = openRecordWriter(program(steps, { tables }));
    const stopped = (text: string) => {
      const { isWritten } = writeOne(writer, recordOf(text, 5n));
      return { isWritten, ...writer.stopped() };
    };
    const learn = (index: number, text: string) =>
      tables[index]?.learned.set(recordOf(text, 5n).subarray(index * 8, index * 8 + 8), [Buffer.from('1')], []);
    expect(stopped('a')).toEqual({ isWritten: false, unknown: 0 });
    learn(0, 'a');
    expect(stopped('a')).toEqual({ isWritten: false, unknown: 1 });
    learn(1, 'a');
    expect(stopped('a')).toEqual({ isWritten: true });
    expect(stopped('\xff')).toEqual({ isWritten: false });
    expect(stopped('ab')).toEqual({ isWritten: false, unknown: 0 });
    expect(stopped('b')).toEqual({ isWritten: true });
    expect(batchOf(writer)).toEqual(Buffer.concat(['a', 'b'].map(stringBytes)));
  });
});
