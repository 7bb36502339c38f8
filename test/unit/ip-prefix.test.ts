import { BlockList } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { type IpPrefix, parsePrefix, prefixText } from '../../src/ip-prefix.ts';

function prefixOf(text: string): IpPrefix {
  const parsed = parsePrefix(text);
  if ('allowed' in parsed) throw new Error(`${text} was refused: ${parsed.allowed}`);
  return parsed.prefix;
}

function refusal(text: string): string {
  const parsed = parsePrefix(text);
  if ('prefix' in parsed) throw new Error(`${text} was taken as ${prefixText(parsed.prefix)}`);
  return parsed.allowed;
}

test.each([
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['192.0.2.1', '192.0.2.1/32'],
  ['192.0.2.1/32', '192.0.2.1/32'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['2001:DB8::/32', '2001:db8::/32'],
  ['2001:db8::1', '2001:db8::1/128'],
  ['fe80::/10', 'fe80::/10'],
  ['::/0', '::/0'],
  ['::fffe:0:0/95', '::fffe:0:0/95'],
  ['64:ff9b::10.0.0.0/104', '64:ff9b::a00:0/104'],
])('%s is taken', (given, text) => {
  expect(prefixText(prefixOf(given))).toBe(text);
});

test.each([
  '',
  'a',
  '/8',
  '10.0.0.0/',
  '10.0.0.0/08',
  '10.0.0.0/+8',
  '10.0.0.0/8/8',
  '10/8',
  '10.1/16',
  '010.0.0.0/8',
  '0x0a.0.0.0/8',
  '167772160/8',
  '10.0.0.0 /8',
  '10.0.0.256',
  '10.0.0.0/255.0.0.0',
  'fe80::1%eth0',
  'fe80::1%1/64',
  '2001:db8::1::/64',
  '2001:db8/32',
  '12345::',
  '::010.0.0.1',
  '[::1]',
  'localhost',
])('%j is no prefix', (text) => {
  expect(refusal(text)).toBe('an IPv4 or IPv6 address or network, as in 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32');
});

test('a prefix longer than the address is refused with what is allowed', () => {
  expect(refusal('10.0.0.0/33')).toBe('a network of IPv4, its prefix 0 to 32');
  expect(refusal('::/129')).toBe('a network of IPv6, its prefix 0 to 128');
});

test('bits behind the prefix are refused with both readings', () => {
  expect(refusal('10.1.2.3/8')).toBe('10.0.0.0/8 for the network, or 10.1.2.3 for the address');
  expect(refusal('2001:db8::1/64')).toBe('2001:db8::/64 for the network, or 2001:db8::1 for the address');
  expect(refusal('10.0.0.1/0')).toBe('0.0.0.0/0 for the network, or 10.0.0.1 for the address');
});

test('IPv4 inside IPv6 is refused with the IPv4 network', () => {
  expect(refusal('::ffff:10.0.0.0/104')).toMatch(/^10\.0\.0\.0\/8; /);
  expect(refusal('::ffff:10.1.2.3')).toMatch(/^10\.1\.2\.3\/32; /);
  expect(refusal('::ffff:a00:1/104')).toMatch(/^10\.0\.0\.0\/8; /);
  expect(refusal('::ffff:0:0/96')).toMatch(/^0\.0\.0\.0\/0; /);
});

describe('any network', () => {
  const network = fc.oneof(
    fc.record({ family: fc.constant(4 as const), bytes: fc.uint8Array({ minLength: 4, maxLength: 4 }) }),
    fc.record({ family: fc.constant(6 as const), bytes: fc.uint8Array({ minLength: 16, maxLength: 16 }) }),
  );

  test('is cut at its prefix as the library does, and holds the address that it was made of', () => {
    fc.assert(
      fc.property(network, fc.nat(128), ({ family, bytes }, length) => {
        const prefixLength = Math.min(length, bytes.length * 8);
        const address = ipaddr.fromByteArray(Array.from(bytes)).toString();
        const kind = family === 4 ? ipaddr.IPv4 : ipaddr.IPv6;
        const text = `${kind.networkAddressFromCIDR(`${address}/${prefixLength}`).toString()}/${prefixLength}`;

        const prefix = prefixOf(text);
        expect(prefixText(prefix)).toBe(text);
        expect([prefix.family, prefix.prefixLength]).toEqual([family, prefixLength]);
        const list = new BlockList();
        list.addSubnet(
          ipaddr.fromByteArray(Array.from(prefix.address)).toString(),
          prefix.prefixLength,
          `ipv${prefix.family}`,
        );
        expect(list.check(address, `ipv${family}`)).toBe(true);
        if (prefixText(prefix) !== `${address}/${prefixLength}`) {
          expect(refusal(`${address}/${prefixLength}`)).toContain(text);
        }
      }),
    );
  });
});
