import avro from 'avsc';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { notWritten, writeLong, writeText, writeTexts } from '../../../src/schemas/avro-bytes.ts';

const long = avro.Type.forSchema('long');
const string = avro.Type.forSchema('string');
const strings = avro.Type.forSchema({ type: 'array', items: 'string' });

/** What `write` writes between other bytes, which it must not touch. */
function written(write: (out: Buffer, start: number) => number): Buffer | undefined {
  const out = Buffer.alloc(200_000, 0xee);
  const end = write(out, 3);
  if (end === notWritten) return undefined;
  expect(out.subarray(0, 3)).toEqual(Buffer.alloc(3, 0xee));
  expect(out.subarray(end, end + 8)).toEqual(Buffer.alloc(8, 0xee));
  // With less room the end is the same, and nothing else happens.
  expect(write(Buffer.alloc(5), 3)).toBe(end);
  return out.subarray(3, end);
}

test('longs, as from avsc', () => {
  const powers = Array.from({ length: 53 }, (_, bit) => 2 ** bit);
  const edges = powers.flatMap((power) => [power - 1, power]).filter((value) => value <= 2 ** 53 - 2);
  for (const value of edges)
    expect(
      written((out, at) => writeLong(out, at, value)),
      `${value}`,
    ).toEqual(long.toBuffer(value));
  fc.assert(
    fc.property(
      fc.nat(),
      fc.maxSafeNat().filter((value) => value <= 2 ** 53 - 2),
      (...values) => {
        for (const value of values)
          expect(written((out, at) => writeLong(out, at, value))).toEqual(long.toBuffer(value));
      },
    ),
  );
});

test.each([-1, 2 ** 53 - 1, 2 ** 53, Number.POSITIVE_INFINITY, Number.NaN])('%d is not written', (value) => {
  expect(writeLong(Buffer.alloc(10), 0, value)).toBe(notWritten);
});

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 100 }),
  fc.constantFrom(63, 64, 8191, 8192, 20_000).map((length) => 'x'.repeat(length)),
);

test('texts, as from avsc, and not when they are no UTF-8', () => {
  fc.assert(
    fc.property(text, (drawn) => {
      const bytes = Buffer.from(`<${drawn}>`);
      expect(written((out, at) => writeText(out, at, bytes, 1, bytes.length - 1))).toEqual(string.toBuffer(drawn));
    }),
  );
  expect(writeText(Buffer.alloc(10), 0, Buffer.from([0x61, 0xff]), 0, 2)).toBe(notWritten);
});

test('arrays of texts, as from avsc, the last NUL there or not', () => {
  fc.assert(
    fc.property(
      fc.array(
        text.map((each) => each.replaceAll('\0', '')),
        { maxLength: 8 },
      ),
      (texts) => {
        const bytes = Buffer.from(texts.map((each) => `${each}\0`).join(''));
        const whole = (out: Buffer, at: number) => writeTexts(out, at, bytes, 0, bytes.length, texts.length);
        expect(written(whole)).toEqual(strings.toBuffer(texts));
        if (bytes.length === 0 || texts.at(-1) === '') return;
        const open = (out: Buffer, at: number) => writeTexts(out, at, bytes, 0, bytes.length - 1, texts.length);
        expect(written(open)).toEqual(strings.toBuffer(texts));
      },
    ),
  );
});

test.each([
  ['more than they are', 'a\0b\0', 3],
  ['fewer than they are', 'a\0b\0', 1],
  ['no number at all', 'a\0b\0', -1],
])('texts that are said to be %s are not written', (_name, bytes, count) => {
  const out = Buffer.alloc(20);
  expect(writeTexts(out, 4, Buffer.from(bytes), 0, bytes.length, count)).toBe(notWritten);
  expect(out.subarray(0, 4)).toEqual(Buffer.alloc(4));
});

test('a character that two texts would make together is none', () => {
  expect(writeTexts(Buffer.alloc(20), 0, Buffer.from([0xc3, 0, 0xa9, 0]), 0, 4, 2)).toBe(notWritten);
});
