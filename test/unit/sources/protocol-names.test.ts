import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { protocolName } from '../../../src/sources/protocol-names.ts';

const numbers = Array.from({ length: 256 }, (_, number) => number);

test.each([
  [0, 'hopopt'],
  [1, 'icmp'],
  [4, 'ipv4'],
  [6, 'tcp'],
  [17, 'udp'],
  [33, 'dccp'],
  [39, 'tp++'],
  [41, 'ipv6'],
  [47, 'gre'],
  [50, 'esp'],
  [51, 'ah'],
  [58, 'ipv6-icmp'],
  [59, 'ipv6-nonxt'],
  [62, 'cftp'],
  [64, 'sat-expak'],
  [69, 'sat-mon'],
  [79, 'wb-expak'],
  [89, 'ospfigp'],
  [94, 'ipip'],
  [98, 'encap'],
  [103, 'pim'],
  [109, 'snp'],
  [112, 'vrrp'],
  [115, 'l2tp'],
  [119, 'srp'],
  [129, 'iplt'],
  [132, 'sctp'],
  [136, 'udplite'],
  [139, 'hip'],
  [142, 'rohc'],
  [147, 'bit-emu'],
])('%i is %s', (number, name) => {
  expect(protocolName(number)).toBe(name);
});

test('numbers without a keyword have no name', () => {
  const unassigned = numbers.filter((number) => number >= 148 && number <= 252);
  const without = [61, 63, 68, 99, 114, ...unassigned, 253, 254, 255];
  expect(numbers.filter((number) => protocolName(number) === null)).toEqual(without);
  expect([-1, 256, 6.5, Number.NaN].map(protocolName)).toEqual([null, null, null, null]);
});

test('no name stands twice', () => {
  const names = numbers.map(protocolName).filter((name) => name !== null);
  expect(new Set(names).size).toBe(names.length);
});

describe.runIf(existsSync('/etc/protocols'))("the system's list", () => {
  // What Debian names in its own way, and what is no protocol in a packet.
  const own = ['ip', 'ipencap', 'rspf', 'isis', 'mobility-header', 'mptcp'];

  test('has the same names', () => {
    const entries = readFileSync('/etc/protocols', 'utf8')
      .split('\n')
      .map((line) => /^([^#\s]+)\s+(\d+)\s+(\S+)/.exec(line) ?? [])
      .filter(([, name]) => name !== undefined && !own.includes(name));
    expect(entries.length).toBeGreaterThan(20);
    for (const [line, name, number, alias] of entries) {
      expect([name, alias?.toLowerCase()], line).toContain(protocolName(Number(number)));
    }
  });
});
