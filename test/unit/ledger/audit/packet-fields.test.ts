import { expect, test } from 'vitest';
import { laneA, laneB } from '../../../../src/ledger/audit/field-hash.ts';
import {
  hashPacketFields,
  hashPacketIdentity,
  packetIdentityFields,
  packetKernelFields,
} from '../../../../src/ledger/audit/packet-fields.ts';
import type { PacketCount } from '../../../../src/schemas/packet-count.ts';
import { fullCount } from '../../schemas/packets.ts';

const other = (value: PacketCount[keyof PacketCount]) =>
  typeof value === 'number' ? [value + 1, value + 2 ** 32] : [`${value}x`];

test.each([...packetIdentityFields])('another %s is another identity in both lanes, and so is none', (name) => {
  for (const value of [...other(fullCount[name]), null]) {
    const changed = { ...fullCount, [name]: value } as PacketCount;
    for (const lane of [laneA, laneB]) {
      expect(hashPacketIdentity(changed, lane)).not.toBe(hashPacketIdentity(fullCount, lane));
    }
    expect(hashPacketFields(changed)).toBe(hashPacketFields(fullCount));
  }
});

test.each([...packetKernelFields])('another %s is another content of the same identity', (name) => {
  for (const value of [...other(fullCount[name]), null]) {
    const changed = { ...fullCount, [name]: value } as PacketCount;
    expect(hashPacketFields(changed)).not.toBe(hashPacketFields(fullCount));
    expect(hashPacketIdentity(changed, laneA)).toBe(hashPacketIdentity(fullCount, laneA));
  }
});

test('what user space adds may differ between two records of one count', () => {
  const again = { ...fullCount, host_name: 'renamed', protocol: null };
  expect(hashPacketFields(again)).toBe(hashPacketFields(fullCount));
  expect(hashPacketIdentity(again, laneB)).toBe(hashPacketIdentity(fullCount, laneB));
});

test('a million keys that are near each other have a million identities', () => {
  const seen = new Set<bigint>();
  const count = { ...fullCount };
  for (let port = 0; port < 1000; port += 1) {
    for (let host = 0; host < 1000; host += 1) {
      count.source_port = port;
      count.source_address = `192.0.${host >> 8}.${host & 255}`;
      seen.add((BigInt(hashPacketIdentity(count, laneA)) << 32n) | BigInt(hashPacketIdentity(count, laneB)));
    }
  }
  expect(seen.size).toBe(1_000_000);
});
