import type { networkInterfaces } from 'node:os';
import { expect, test } from 'vitest';
import { addressesOf, parseOsRelease, readHostFacts } from '../../../src/enrich/host.ts';

test('os-release: quoted in both ways, escaped, plain, empty, and what is no assignment', () => {
  const content = [
    '# a comment',
    'NAME="Debian GNU/Linux"',
    'VERSION_ID=12',
    "PRETTY_NAME='It is one'",
    'VARIANT="a \\"quoted\\" \\$word"',
    'EMPTY=',
    'BROKEN="no end',
    'not an assignment',
  ].join('\n');
  expect(parseOsRelease(content)).toEqual({
    NAME: 'Debian GNU/Linux',
    VERSION_ID: '12',
    PRETTY_NAME: 'It is one',
    VARIANT: 'a "quoted" $word',
  });
});

test('addresses: sorted and once, without loopback, link-local and interfaces that have none', () => {
  const address = (text: string, internal = false) => ({ address: text, internal });
  const interfaces = {
    lo: [address('127.0.0.1', true), address('::1', true)],
    eth0: [address('192.0.2.7'), address('fe80::1'), address('2001:db8::7'), address('169.254.3.4')],
    eth1: [address('10.1.2.3'), address('192.0.2.7'), address('febf::1'), address('fec0::1')],
    down: undefined,
  } as unknown as ReturnType<typeof networkInterfaces>;
  expect(addressesOf(interfaces)).toEqual(['10.1.2.3', '192.0.2.7', '2001:db8::7', 'fec0::1']);
});

test('this host has a kernel, an architecture and a distribution', () => {
  expect(readHostFacts()).toMatchObject({
    osName: expect.stringMatching(/./),
    kernelRelease: expect.stringMatching(/^\d+\.\d+/),
    architecture: expect.stringMatching(/^(x86_64|aarch64)$/),
  });
});
