import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { secretTriggers } from '../../../src/enrich/secret-triggers.ts';
import {
  type Key,
  openLearnedTable,
  openRecordWriter,
  type RecordProgram,
  type Step,
} from '../../../src/kernel/record-writer.ts';
import { program, writeOne, written } from './record-programs.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const span = { offset: 0, length: 2 };

describe('a table of what was learned', () => {
  const keys = (table: ReturnType<typeof openLearnedTable>, ...names: string[]) =>
    names.filter((name) => table.get(bytes(name)) !== undefined);

  test('gives the parts of a value back, the newest one', () => {
    const table = openLearnedTable({ entries: 10, bytes: 10_000 });
    expect(table.get(bytes('a'))).toBeUndefined();
    table.set(bytes('a'), [bytes('1'), bytes(''), bytes('3')], ['x']);
    expect(table.get(bytes('a'))).toEqual([bytes('1'), bytes(''), bytes('3')]);
    table.set(bytes('a'), [bytes('4')], []);
    expect(table.get(bytes('a'))).toEqual([bytes('4')]);
    table.clear();
    expect(table.get(bytes('a'))).toBeUndefined();
  });

  test('forgets what is over half of its entries ago, but not what is asked for', () => {
    const table = openLearnedTable({ entries: 4, bytes: 10_000 });
    const set = (name: string) => table.set(bytes(name), [bytes(name)], []);
    for (const name of ['a', 'b', 'c', 'd']) set(name);
    expect(keys(table, 'a')).toEqual(['a']);
    set('e');
    set('f');
    expect(keys(table, 'a', 'b', 'c', 'd', 'e', 'f')).toEqual(['a', 'e', 'f']);
  });

  test('forgets by bytes, and keeps nothing that is over half of them', () => {
    const table = openLearnedTable({ entries: 1_000, bytes: 2_000 });
    const set = (name: string, size: number) => table.set(bytes(name), [Buffer.alloc(size, name)], []);
    set('x', 1_000);
    expect(keys(table, 'x')).toEqual([]);
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) set(name, 300);
    expect(keys(table, 'a', 'b', 'e', 'f')).toEqual(['e', 'f']);
    expect(table.get(bytes('f'))).toEqual([Buffer.alloc(300, 'f')]);
  });

  test('holds what a map would, while nothing has to be forgotten', () => {
    const key = fc.string({ maxLength: 3 });
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.string({ unit: 'binary', maxLength: 20 })), { maxLength: 200 }), (sets) => {
        const table = openLearnedTable({ entries: 400, bytes: 100_000 });
        for (const [name, value] of sets) table.set(bytes(name), [bytes(value), bytes(name)], []);
        for (const [name, value] of new Map(sets)) expect(table.get(bytes(name))).toEqual([bytes(value), bytes(name)]);
      }),
    );
  });

  test('a value of too many parts is refused', () => {
    const table = openLearnedTable({ entries: 4, bytes: 1_000 });
    expect(() =>
      table.set(
        bytes('a'),
        Array.from({ length: 7 }, () => bytes('')),
        [],
      ),
    ).toThrow('too many parts');
  });
});

test('a text is written when it is UTF-8, and only then', () => {
  const header = (length: number) => Buffer.from([16, 0, length, 0, ...Buffer.alloc(12)]);
  const text = program([{ kind: 'text', span }]);
  const piece = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }).map((drawn) => Buffer.from(drawn)),
    fc.uint8Array({ maxLength: 4 }).map((drawn) => Buffer.from(drawn)),
    fc
      .constantFrom(
        'c080',
        'c1bf',
        'e09fbf',
        'eda080',
        'ed9fbf',
        'f08fbfbf',
        'f48fbfbf',
        'f4908080',
        'f5808080',
        'e282',
      )
      .map((hex) => Buffer.from(hex, 'hex')),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 4 }), (pieces) => {
      const drawn = Buffer.concat(pieces);
      const avro = written(text, Buffer.concat([header(drawn.length), drawn]));
      expect(avro !== undefined, drawn.toString('hex')).toBe(isUtf8(drawn));
      if (avro !== undefined) expect(avro.subarray(avro.length - drawn.length)).toEqual(drawn);
    }),
    { numRuns: 2_000 },
  );
});

test.each([-1, 0.5, 2 ** 53 - 1, Number.NaN, Number.POSITIVE_INFINITY])('a given %d is no long: declined', (value) => {
  const given = program([{ kind: 'given', of: 0 }]);
  expect(written(given, Buffer.alloc(16), [value])).toBeUndefined();
  expect(written(given, Buffer.alloc(16), [2 ** 53 - 2])).toHaveLength(8);
});

test('a number is read wherever it stands in its record, up to its end', () => {
  const record = Buffer.from(Array.from({ length: 16 }, (_, at) => 0x81 + at));
  for (const size of [1, 2, 4] as const)
    for (let offset = 0; offset <= 16 - size; offset += 1) {
      const avro = written(program([{ kind: 'decimal', place: { offset, bytes: size } }]), record);
      expect(avro?.subarray(1).toString(), `${size} at ${offset}`).toBe(`${record.readUIntLE(offset, size)}`);
    }
});

describe('records in whose texts there may be a secret', () => {
  const places = [span, { offset: 4, length: 6 }];
  const harmless = places.map((place) => ({ kind: 'harmless', span: place }) as const);

  /** Writes one record of two texts, and says whether it was suspect. */
  function opened() {
    const writer = openRecordWriter(program([], { whole: harmless, secrets: secretTriggers, recordBytes: 8 }));
    return (texts: readonly string[], cleared?: number) => {
      const [first = '', second = ''] = texts;
      const record = Buffer.alloc(8 + first.length + second.length);
      record.writeUInt16LE(8, 0);
      record.writeUInt16LE(first.length, 2);
      record.writeUInt16LE(8 + first.length, 4);
      record.writeUInt16LE(second.length, 6);
      record.write(first + second, 8, 'latin1');
      const { isWritten } = writeOne(writer, record, [0], cleared);
      const isSuspect = writer.stopped().suspect === true;
      expect(isWritten).toBe(!isSuspect);
      return isSuspect;
    };
  }

  test('are suspect, wherever it stands, and no others', () => {
    const isSuspect = opened();
    for (let before = 0; before < 13; before += 1)
      for (let after = 0; after < 13; after += 1) {
        const around = (text: string) => [`${'x'.repeat(before)}${text}${'y'.repeat(after)}`];
        for (const text of ['toke', 'ToKe', '://u:p@h']) expect(isSuspect(around(text)), `${around(text)}`).toBe(true);
        for (const text of ['tok', 'oken', '://u:p']) expect(isSuspect(around(text)), `${around(text)}`).toBe(false);
      }
  });

  test('are not once they were cleared, with the same text in the same place', () => {
    const isSuspect = opened();
    expect(isSuspect(['/a/token', '/b'])).toBe(true);
    expect(isSuspect(['/a/token', '/b'], 0)).toBe(false);
    expect(isSuspect(['/a/token', '/c'])).toBe(false);
    expect(isSuspect(['/a/tokens', '/b'])).toBe(true);
    expect(isSuspect(['/a', '/a/token'])).toBe(true);
    expect(isSuspect(['/a/token', '/b/token'])).toBe(true);
  });
});

const u32 = (offset: number) => ({ offset, bytes: 4 }) as const;
const learned = openLearnedTable({ entries: 2, bytes: 1_000 });
const inside: readonly Step<number, number>[] = [{ kind: 'number', place: u32(13), most: 'int' }];

test.each<[what: string, steps: readonly Step<number, number>[], more?: Partial<RecordProgram>]>([
  ['a number behind the record', [{ kind: 'number', place: u32(13), most: 'int' }]],
  ['a number of three bytes', [{ kind: 'bit', place: { offset: 0, bytes: 3 as never }, index: 0 }]],
  ['a name that ends behind the record', [{ kind: 'name', offset: 1 }]],
  ['a span behind the record', [{ kind: 'text', span: { offset: 0, length: 15 } }]],
  ['a number that is not given', [{ kind: 'given', of: 1 }]],
  ['a table that is not there', [{ kind: 'learned', of: 0, part: 0 }]],
  ['names of a table that is not there', [{ kind: 'missing', names: [], of: [1] }]],
  ['a place to keep something that is not there', [{ kind: 'keep', part: 0, steps: [] }]],
  ['items of no bytes', [{ kind: 'items', span, itemBytes: 0, steps: [] }]],
  [
    'a number in items that have no eight bytes',
    [{ kind: 'items', span, itemBytes: 7, steps: [{ kind: 'bit', place: { offset: 0, bytes: 1 }, index: 0 }] }],
  ],
  [
    'a number behind an item',
    [{ kind: 'items', span, itemBytes: 8, steps: [{ kind: 'micros', place: { offset: 4, bytes: 8 } }] }],
  ],
  [
    'an item that depends on a table',
    [{ kind: 'items', span, itemBytes: 8, steps: [{ kind: 'learned', of: 0, part: 0 }] }],
    { tables: [{ learned, key: { numbers: [u32(0)] } }] },
  ],
  ['a step inside of sized ones', [{ kind: 'sized', steps: inside }]],
  ['items whose parts are sized', [{ kind: 'items', span, itemBytes: 8, steps: [{ kind: 'sized', steps: [] }] }]],
  ['a timestamp behind the record', [], { timestamp: { place: { offset: 12, bytes: 8 }, of: 0 } }],
  ['a timestamp of a number that is not given', [], { timestamp: { place: u32(0), of: 1 } }],
  [
    'a step inside of another',
    [{ kind: 'when', condition: { kind: 'equal', place: u32(0), value: 0 }, steps: inside }],
  ],
  [
    'a condition behind the record',
    [{ kind: 'when', condition: { kind: 'equal', place: u32(14), value: 0 }, steps: [] }],
  ],
  [
    'a key that is too long',
    [],
    { tables: [{ learned, key: { numbers: Array(9).fill({ offset: 0, bytes: 8 }) } as Key }] },
  ],
  ['secrets that nothing is known of', [], { whole: [{ kind: 'harmless', span }] }],
  ['a step that there is not', [{ kind: 'float' } as never]],
])('a program is refused for %s', (_what, steps, more) => {
  expect(() => openRecordWriter(program(steps, more))).toThrow(expect.objectContaining({ code: 'ERR_ADDON' }));
});

test('records that say anything about their strings are written or declined, and nothing outside is read', () => {
  const all = program([
    { kind: 'text', span },
    { kind: 'texts', span: { offset: 4, length: 6 }, place: u32(8) },
    {
      kind: 'items',
      span: { offset: 12, length: 14 },
      itemBytes: 8,
      steps: [{ kind: 'bit', place: { offset: 7, bytes: 1 }, index: 0 }],
    },
  ]);
  const writer = openRecordWriter(all);
  const outcomes = new Set<boolean>();
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.array(fc.nat(70), { minLength: 1, maxLength: 6 }),
      (memory, places) => {
        const ends = new Uint32Array(places.length);
        const numbers = new Float64Array(places.length);
        writer.clear();
        const end = writer.write(memory, Uint32Array.from(places), numbers, ends, numbers, 0, places.length);
        expect(writer.bytes()).toBe(end === 0 ? 0 : ends[end - 1]);
        outcomes.add(end > 0);
      },
    ),
    { numRuns: 5_000, examples: [[new Uint8Array(32), [0, 16]]] },
  );
  expect(outcomes).toEqual(new Set([true, false]));
});

test('more records than there are places, numbers or room for their ends and timestamps are refused', () => {
  const writer = openRecordWriter(program([]));
  const write = (places: number, given: number, ends: number, timestamps: number, begin = 0) =>
    writer.write(
      Buffer.alloc(16),
      new Uint32Array(places),
      new Float64Array(given),
      new Uint32Array(ends),
      new Float64Array(timestamps),
      begin,
      2,
    );
  expect(write(2, 2, 2, 2)).toBe(2);
  for (const sizes of [
    [1, 2, 2, 2],
    [2, 1, 2, 2],
    [2, 2, 1, 2],
    [2, 2, 2, 1],
    [2, 2, 2, 2, 3],
  ] as const)
    expect(() => write(...(sizes as readonly [number, number, number, number])), `${sizes}`).toThrow(
      'there are fewer than that',
    );
});
