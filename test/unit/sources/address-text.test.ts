import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { addressText } from '../../../src/sources/address-text.ts';

/** 16 bytes from groups. */
function bytesOf(...groups: number[]): Uint8Array {
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

describe('IPv6 as RFC 5952 says', () => {
  test.each([
    ['::', [0, 0, 0, 0, 0, 0, 0, 0]],
    ['::1', [0, 0, 0, 0, 0, 0, 0, 1]],
    ['1::', [1, 0, 0, 0, 0, 0, 0, 0]],
    // 4.1: no leading zeros. 4.3: lower case.
    ['2001:db8::abcd', [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xabcd]],
    // 4.2.2: one group alone is not shortened.
    ['2001:db8:0:1:1:1:1:1', [0x2001, 0xdb8, 0, 1, 1, 1, 1, 1]],
    // 4.2.3: the longest run, and of equal ones the first.
    ['2001:0:0:1::1', [0x2001, 0, 0, 1, 0, 0, 0, 1]],
    ['2001:db8::1:0:0:1', [0x2001, 0xdb8, 0, 0, 1, 0, 0, 1]],
    ['::1:0:0:1:1:1', [0, 0, 1, 0, 0, 1, 1, 1]],
    ['1:2:3:4:5:6:7:8', [1, 2, 3, 4, 5, 6, 7, 8]],
  ])('%s', (text, groups) => {
    expect(addressText(bytesOf(...groups), 0, 6)).toBe(text);
  });

  test('an IPv4 address inside is never shown as one', () => {
    expect(addressText(bytesOf(0, 0, 0, 0, 0, 0xffff, 0x0102, 0x0304), 0, 6)).toBe('::ffff:102:304');
    expect(addressText(bytesOf(0, 0, 0, 0, 0, 0, 0x0a00, 0x0001), 0, 6)).toBe('::a00:1');
    expect(addressText(bytesOf(0x64, 0xff9b, 0, 0, 0, 0, 0x0102, 0x0304), 0, 6)).toBe('64:ff9b::102:304');
  });

  test('every address is what the URL standard writes for it, and reads back', () => {
    const group = fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.tuple(group, group, group, group, group, group, group, group), (groups) => {
        const bytes = bytesOf(...groups);
        const text = addressText(bytes, 0, 6);
        expect(isIPv6(text)).toBe(true);
        const written = new URL(`http://[${groups.map((part) => part.toString(16)).join(':')}]/`);
        expect(`[${text}]`).toBe(written.hostname);
        expect(ipaddr.IPv6.parse(text).toByteArray()).toEqual(Array.from(bytes));
      }),
      { numRuns: 2000 },
    );
  });
});

test('IPv4 has dots and no leading zeros', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (bytes) => {
      const text = addressText(bytes, 0, 4);
      expect(isIPv4(text)).toBe(true);
      expect(ipaddr.IPv4.parse(text).toByteArray()).toEqual(Array.from(bytes));
    }),
  );
});

test('the address is read where it stands in a larger buffer', () => {
  const record = Uint8Array.from([9, 9, 192, 0, 2, 7, 9, ...bytesOf(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9]);
  expect(addressText(record, 2, 4)).toBe('192.0.2.7');
  expect(addressText(record, 7, 6)).toBe('2001:db8::1');
  expect(addressText(Buffer.from(record), 7, 6)).toBe('2001:db8::1');
});
