import fc from 'fast-check';
import { expect, test } from 'vitest';
import { textOf } from '../../../src/sources/text.ts';

test.for([
  [[0x61, 0xff, 0x62], 'a\\xffb'],
  [[0xc3], '\\xc3'],
  [[0xc3, 0x28], '\\xc3('],
  [[0xe2, 0x82], '\\xe2\\x82'],
  [[0xf0, 0x9f, 0x98, 0x80, 0xf0, 0x9f, 0x98], '😀\\xf0\\x9f\\x98'],
  // Overlong, a surrogate, and past the last code point: not UTF-8 (RFC 3629).
  [[0xc0, 0x80], '\\xc0\\x80'],
  [[0xed, 0xa0, 0x80], '\\xed\\xa0\\x80'],
  [[0xf4, 0x90, 0x80, 0x80], '\\xf4\\x90\\x80\\x80'],
  [[0x0a, 0x80, 0x1b], '\n\\x80\x1b'],
] as [number[], string][])('%j', ([bytes, text]) => {
  expect(textOf(Buffer.from(bytes))).toBe(text);
});

test('what is valid stays as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      // A lone surrogate has no UTF-8 of its own.
      fc.pre(text.isWellFormed());
      expect(textOf(Buffer.from(text))).toBe(text);
    }),
  );
});

test('of any bytes: every invalid one is named, every valid sequence is there, and nothing else', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !text.includes('\\')),
    // Never valid, wherever it stands.
    fc.constantFrom(0xc0, 0xc1, 0xf5, 0xfe, 0xff),
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const bytes = Buffer.concat(
        pieces.map((one) => (typeof one === 'string' ? Buffer.from(one) : Buffer.from([one]))),
      );
      const text = pieces.map((one) => (typeof one === 'string' ? one : `\\x${one.toString(16)}`)).join('');
      expect(textOf(bytes)).toBe(text);
    }),
  );
});

test('whatever the bytes, they can be told from the text when it has no backslash of its own', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64, size: 'max' }), (array) => {
      const bytes = Buffer.from(array.filter((byte) => byte !== 0x5c));
      const back = textOf(bytes)
        .split(/(\\x[0-9a-f]{2})/)
        .map((part) => (/^\\x/.test(part) ? Buffer.from(part.slice(2), 'hex') : Buffer.from(part)));
      expect(Buffer.concat(back).equals(bytes)).toBe(true);
    }),
  );
});
