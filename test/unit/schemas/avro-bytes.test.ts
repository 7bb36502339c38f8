import avro from 'avsc';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { longBytes, textBytes, textOfBytes, textsBytes, textsOfBytes } from '../../../src/schemas/avro-bytes.ts';

const long = avro.Type.forSchema('long');
const string = avro.Type.forSchema(['null', 'string']);
const strings = avro.Type.forSchema(['null', { type: 'array', items: 'string' }]);

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 100 }),
  fc.constantFrom(63, 64, 8191, 8192, 20_000).map((length) => 'x'.repeat(length)),
);

test('longs, as from avsc', () => {
  const powers = Array.from({ length: 53 }, (_, bit) => 2 ** bit);
  for (const value of powers.flatMap((power) => [power - 1, power]).filter((each) => each <= 2 ** 53 - 2))
    expect(longBytes(value), `${value}`).toEqual(long.toBuffer(value));
});

test.each([-1, 0.5, 2 ** 53 - 1, 2 ** 53, Number.POSITIVE_INFINITY, Number.NaN])('%d is no long', (value) => {
  expect(() => longBytes(value)).toThrow(RangeError);
});

test('texts and arrays of them, or null, as from avsc, and back', () => {
  fc.assert(
    fc.property(fc.option(text), fc.option(fc.array(text, { maxLength: 8 })), (one, several) => {
      expect(Buffer.from(textBytes(one))).toEqual(string.toBuffer(one));
      expect(textOfBytes(textBytes(one))).toBe(one);
      expect(Buffer.from(textsBytes(several))).toEqual(strings.toBuffer(several));
      expect(textsOfBytes(textsBytes(several))).toEqual(several);
    }),
  );
});
