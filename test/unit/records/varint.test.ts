import avro from 'avsc';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  mostTextBytes,
  mostVarintBytes,
  VarintReader,
  varintBytes,
  writeText,
  writeVarint,
} from '../../../src/records/varint.ts';

const room = 16;
const hexOf = (value: number) => {
  const out = Buffer.alloc(room);
  return out.toString('hex', 0, writeVarint(out, 0, value));
};

describe('a number', () => {
  // The first ones are those of avro.apache.org/docs/1.12.0/specification/#binary-encoding
  test.each([
    [0, '00'],
    [-1, '01'],
    [1, '02'],
    [-2, '03'],
    [2, '04'],
    [-64, '7f'],
    [64, '8001'],
    [63, '7e'],
    [-65, '8101'],
    [8191, 'fe7f'],
    [8192, '808001'],
    [2 ** 31, '8080808010'],
    [-(2 ** 31), 'ffffffff0f'],
    [2 ** 52, '8080808080808010'],
    [-(2 ** 52), 'ffffffffffffff0f'],
  ])('%d has the bytes %s', (value, hex) => {
    expect(hexOf(value)).toBe(hex);
    expect(varintBytes(value)).toBe(hex.length / 2);
  });

  const long = avro.Type.forSchema('long');
  const any = fc.oneof(
    fc.integer({ min: -(2 ** 52), max: 2 ** 52 }),
    fc.integer({ min: -10_000, max: 10_000 }),
    fc.tuple(fc.nat(52), fc.constantFrom(-1, 1), fc.constantFrom(-1, 0)).map(([bits, sign, less]) => {
      return sign * (2 ** bits + less);
    }),
  );

  test('has the bytes that avsc gives it, stands where it is wanted, and is as long as was said', () => {
    fc.assert(
      fc.property(any, fc.nat(5), (value, start) => {
        const out = Buffer.alloc(room, 0xaa);
        const end = writeVarint(out, start, value);
        expect(out.subarray(start, end)).toEqual(long.toBuffer(value));
        expect([...out.subarray(0, start), ...out.subarray(end)].every((byte) => byte === 0xaa)).toBe(true);
        expect(varintBytes(value)).toBe(end - start);
        expect(end - start).toBeLessThanOrEqual(mostVarintBytes);
      }),
    );
  });

  test('is read back as a length', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.nat(2 ** 31 - 1), fc.nat(10_000)), { maxLength: 5 }), (lengths) => {
        const out = Buffer.alloc(5 * mostVarintBytes);
        let end = 0;
        for (const length of lengths) end = writeVarint(out, end, length);
        const reader = new VarintReader(out, 0);
        expect(lengths.map(() => reader.length())).toEqual(lengths);
        expect(reader.at).toBe(end);
      }),
    );
  });

  test('that does not end is an error, not a read behind the memory', () => {
    expect(() => new VarintReader(Buffer.from([0x80, 0x80]), 0).length()).toThrow(RangeError);
  });
});

describe('a text', () => {
  test('with half of a character has in its place the sign for what is none', () => {
    const out = Buffer.alloc(20);
    expect(out.toString('latin1', 0, writeText(out, 0, 'a\ud83db'))).toBe('\x0aa\xef\xbf\xbdb');
  });

  const string = avro.Type.forSchema('string');
  const any = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc.string({ unit: 'binary', maxLength: 100 }),
    fc.constantFrom('', 'x'.repeat(63), 'x'.repeat(64), 'ü'.repeat(32), `${'x'.repeat(62)}ü`, '\u{1f40b}'),
  );

  test('has the bytes that avsc gives it, is no longer than was said, and is read back', () => {
    fc.assert(
      fc.property(any, fc.nat(5), (text, start) => {
        const out = Buffer.alloc(start + mostTextBytes(text));
        const end = writeText(out, start, text);
        expect(out.subarray(start, end)).toEqual(string.toBuffer(text));
        const reader = new VarintReader(out, start);
        expect(reader.text()).toBe(text);
        expect(reader.at).toBe(end);
      }),
    );
  });
});
