import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import type { StructLayout } from '../../../src/kernel/layout.ts';
import {
  type FrozenPackets,
  type InterfaceSlot,
  type PacketKeyKind,
  packetEntryBytes,
  packetEntryCounts,
} from '../../../src/kernel/packet-capture.ts';
import { WallClock } from '../../../src/kernel/wall-clock.ts';
import { createCodec, createDecoder } from '../../../src/schemas/codec.ts';
import { type PacketCount, packetKeyKinds } from '../../../src/schemas/packet-count.ts';
import { createPacketDecoder } from '../../../src/sources/packet-decoder.ts';
import { protocolName } from '../../../src/sources/protocol-names.ts';

/** Not the order of bpf/abi.h, on purpose: the decoder knows a field by its name only. */
const layout: StructLayout = {
  bytes: 44,
  fields: {
    destination: { offset: 0, bytes: 16 },
    source: { offset: 16, bytes: 16 },
    destination_port: { offset: 32, bytes: 2 },
    source_port: { offset: 34, bytes: 2 },
    vlan: { offset: 36, bytes: 2 },
    protocol: { offset: 38, bytes: 1 },
    family: { offset: 39, bytes: 1 },
    interface_index: { offset: 40, bytes: 4 },
  },
  enumerators: {
    PACKET_CLASS_FRAGMENT: 0,
    PACKET_CLASS_MALFORMED: 1,
    PACKET_CLASS_NON_IP: 2,
    PACKET_CLASS_OVERFLOW: 3,
    PACKET_CLASS_FILTERED: 4,
    PACKET_CLASSES: 5,
    PACKET_KEY_FLOW: 0,
  },
};

/** What the kernel side writes for one key, in the words of struct packet_key. */
interface Key {
  interfaceIndex: number;
  family: 4 | 6;
  protocol: number;
  vlan: number;
  sourcePort: number;
  destinationPort: number;
  source: string;
  destination: string;
  packets: bigint;
  bytes: bigint;
}

const flow: Key = {
  interfaceIndex: 7,
  family: 4,
  protocol: 6,
  vlan: 0,
  sourcePort: 51_022,
  destinationPort: 443,
  source: '198.51.100.7',
  destination: '192.0.2.1',
  packets: 3n,
  bytes: 222n,
};

function write(entries: Buffer, at: number, key: Key): void {
  const offset = (field: string) => at + (layout.fields[field]?.offset as number);
  entries.writeUInt32LE(key.interfaceIndex, offset('interface_index'));
  entries.writeUInt8(key.family, offset('family'));
  entries.writeUInt8(key.protocol, offset('protocol'));
  entries.writeUInt16LE(key.vlan, offset('vlan'));
  entries.writeUInt16LE(key.sourcePort, offset('source_port'));
  entries.writeUInt16LE(key.destinationPort, offset('destination_port'));
  for (const end of ['source', 'destination'] as const) {
    if (key[end] !== '') Buffer.from(ipaddr.parse(key[end]).toByteArray()).copy(entries, offset(end));
  }
  entries.writeBigUInt64LE(key.packets, at + packetEntryCounts.packets);
  entries.writeBigUInt64LE(key.bytes, at + packetEntryCounts.bytes);
}

const identity = { hostId: 'host', hostName: 'name', bootId: '01234567-89ab-cdef-0123-456789abcdef', attachId: 77 };
const wallClock = new WallClock([
  { fromBootMicros: 0, realtimeMinusBootMicros: 1_700_000_000_000_000 },
  { fromBootMicros: 6_000_000, realtimeMinusBootMicros: 1_700_000_100_000_000 },
]);
const table: readonly InterfaceSlot[] = [
  { slot: 7, index: 7, name: 'eth0', kind: 'physical', parent: null, mode: 'native', published: 0 },
  { slot: 9, index: 265, name: 'eth0.5', kind: 'vlan', parent: 'eth0', mode: 'generic', published: 5 },
];
const frozen: FrozenPackets = {
  epoch: 81_234,
  beginBootMicros: 5_000_999,
  endBootMicros: 6_000_999,
  keys: 1,
  classes: [],
  packets: [],
};

const decoderOf = (keyKind: PacketKeyKind, options: Partial<{ layout: StructLayout }> = {}) =>
  createPacketDecoder({ layout, identity, wallClock, keyKind, ...options })(frozen, table);

/** The entry stands among others. */
function decode(keyKind: PacketKeyKind, key: Partial<Key>): PacketCount {
  const entries = Buffer.alloc(3 * packetEntryBytes, 0xee);
  entries.fill(0, packetEntryBytes, 2 * packetEntryBytes);
  write(entries, packetEntryBytes, { ...flow, ...key });
  return decoderOf(keyKind).keyed(entries, packetEntryBytes);
}

const decoder = createDecoder({ topic: 'packet-counts' });
const codec = createCodec({ topic: 'packet-counts', framing: { kind: 'single-object' } });

/** The event has to be the same after it went through the topic. */
async function expectRoundTrip(event: PacketCount): Promise<void> {
  const [record] = codec.encode([event]).records;
  expect(await decoder.decode(record?.value ?? null)).toEqual({ ok: true, event });
}

describe('a key', () => {
  test('each field goes to its place', async () => {
    const event = decode('flow', { interfaceIndex: 265, vlan: 6 });
    expect(event).toEqual({
      host_id: 'host',
      host_name: 'name',
      boot_id: identity.bootId,
      attach_id: 77,
      epoch: 81_234,
      interval_start: 1_700_000_005_000,
      interval_end: 1_700_000_106_000,
      interface_name: 'eth0.5',
      interface_index: 265,
      xdp_mode: 'generic',
      interface_kind: 'vlan',
      interface_parent: 'eth0',
      direction: 'ingress',
      key_kind: 'flow',
      address_family: 'ipv4',
      protocol: 'tcp',
      protocol_number: 6,
      source_address: '198.51.100.7',
      destination_address: '192.0.2.1',
      source_port: 51_022,
      destination_port: 443,
      icmp_type: null,
      icmp_code: null,
      vlan_id: 5,
      traffic_class: 'keyed',
      packets: 3,
      bytes: 222,
    });
    await expectRoundTrip(event);
  });

  // The kernel side leaves 0 what does not belong to the key.
  const service = { sourcePort: 0 };
  const hosts = { protocol: 0, vlan: 0, sourcePort: 0, destinationPort: 0 };
  const example = { vlan: 0, destination: '' };
  const ports = { source_port: 51_022, destination_port: 443 };
  const noProtocol = { protocol: null, protocol_number: null, source_port: null, destination_port: null };

  test.each([
    ['flow', { vlan: 1 }, { ...ports, protocol: 'tcp', destination_address: '192.0.2.1', vlan_id: 0 }],
    ['service', { vlan: 4095, ...service }, { ...ports, source_port: null, protocol: 'tcp', vlan_id: 4094 }],
    ['hosts', hosts, { ...noProtocol, destination_address: '192.0.2.1', vlan_id: null }],
    ['example', example, { ...ports, protocol: 'tcp', destination_address: null, vlan_id: null }],
  ] as const)('by %s has its fields, and null for the others', async (keyKind, key, fields) => {
    const event = decode(keyKind, key);
    expect(event).toMatchObject({ ...fields, key_kind: keyKind, source_address: '198.51.100.7' });
    expect([event.icmp_type, event.icmp_code]).toEqual([null, null]);
    await expectRoundTrip(event);
  });

  test('of hosts in whose protocol nobody looked is not HOPOPT, nor ICMP', () => {
    expect(decode('hosts', hosts)).toMatchObject(noProtocol);
  });

  test('of IPv6 is written as RFC 5952 says', async () => {
    const event = decode('flow', { family: 6, source: '2001:db8::1', destination: 'ff02::1:2' });
    expect(event).toMatchObject({
      address_family: 'ipv6',
      source_address: '2001:db8::1',
      destination_address: 'ff02::1:2',
    });
    await expectRoundTrip(event);
  });

  test.each([6, 17, 33, 132, 136])('of protocol %i has ports, 0 among them', (protocol) => {
    const event = decode('flow', { protocol, sourcePort: 0, destinationPort: 65_535 });
    expect(event).toMatchObject({ source_port: 0, destination_port: 65_535, icmp_type: null, icmp_code: null });
    expect(decode('service', { protocol, sourcePort: 0 }).source_port).toBeNull();
  });

  test.each([
    { family: 4, protocol: 1, source: '192.0.2.9', destination: '192.0.2.1' },
    { family: 6, protocol: 58, source: 'fe80::1', destination: 'ff02::1' },
  ] as const)('of ICMP has type and code, whatever the kind of key: IPv$family', async (address) => {
    for (const keyKind of ['flow', 'service', 'example'] as const) {
      const event = decode(keyKind, { ...address, sourcePort: 134, destinationPort: 0 });
      expect(event).toMatchObject({ icmp_type: 134, icmp_code: 0, source_port: null, destination_port: null });
      await expectRoundTrip(event);
    }
  });

  test.each([
    { family: 4, protocol: 58 },
    { family: 6, protocol: 1, source: '::1', destination: '::2' },
    { family: 4, protocol: 47 },
  ] as const)('of protocol $protocol in IPv$family has neither ports nor type', (key) => {
    expect(decode('flow', { ...key, sourcePort: 0, destinationPort: 0 })).toMatchObject({
      protocol_number: key.protocol,
      source_port: null,
      destination_port: null,
      icmp_type: null,
      icmp_code: null,
    });
  });

  test('of a protocol without a keyword has its number', async () => {
    const event = decode('flow', { protocol: 253 });
    expect(event).toMatchObject({ protocol: null, protocol_number: 253 });
    await expectRoundTrip(event);
  });

  test('counts past 2^32 are exact', async () => {
    const event = decode('flow', { packets: 2n ** 32n, bytes: 2n ** 53n - 1n });
    expect(event).toMatchObject({ packets: 4_294_967_296, bytes: Number.MAX_SAFE_INTEGER });
    await expectRoundTrip({ ...event, bytes: 2 ** 52 + 1 });
  });

  test('of an interface that the table does not have is an error', () => {
    expect(() => decode('flow', { interfaceIndex: 8 })).toThrow('of an interface that is not in the table');
  });

  test('any one says what the kernel counted, and goes through the topic as it is', async () => {
    const octets = (count: number) => fc.uint8Array({ minLength: count, maxLength: count });
    const port = fc.integer({ min: 0, max: 65_535 });
    const anyKey = fc
      .record({
        interfaceIndex: fc.constantFrom(7, 265),
        family: fc.constantFrom(4 as const, 6 as const),
        protocol: fc.oneof(fc.constantFrom(1, 6, 17, 58, 132), fc.integer({ min: 0, max: 255 })),
        vlan: fc.integer({ min: 0, max: 4096 }),
        sourcePort: port,
        destinationPort: port,
        packets: fc.bigInt({ min: 1n, max: 2n ** 52n }),
        bytes: fc.bigInt({ min: 1n, max: 2n ** 52n }),
        addresses: octets(32),
      })
      .map(({ addresses, family, ...key }) => {
        const bytes = family === 4 ? 4 : 16;
        const address = (at: number) => ipaddr.fromByteArray(Array.from(addresses.subarray(at, at + bytes))).toString();
        return { ...key, family, source: address(0), destination: address(16) };
      });
    await fc.assert(
      fc.asyncProperty(anyKey, fc.constantFrom(...packetKeyKinds), async (key, keyKind) => {
        const event = decode(keyKind, key);
        await expectRoundTrip(event);
        expect(event).toMatchObject({
          interface_index: key.interfaceIndex,
          address_family: `ipv${key.family}`,
          packets: Number(key.packets),
          bytes: Number(key.bytes),
        });
        expect(ipaddr.parse(event.source_address as string).toString()).toBe(key.source);
        const destination = event.destination_address && ipaddr.parse(event.destination_address).toString();
        expect(destination).toBe(keyKind === 'example' ? null : key.destination);
        const protocol = keyKind === 'hosts' ? null : key.protocol;
        expect(event.protocol_number).toBe(protocol);
        expect(event.protocol).toBe(protocol === null ? null : protocolName(protocol));
        const hasVlan = (keyKind === 'flow' || keyKind === 'service') && key.vlan > 0;
        expect(event.vlan_id).toBe(hasVlan ? key.vlan - 1 : null);
      }),
      { numRuns: 500 },
    );
  });
});

describe('packets without a key', () => {
  test.each(['fragment', 'malformed', 'non_ip', 'overflow', 'filtered'] as const)('%s', async (name) => {
    const trafficClass = ['fragment', 'malformed', 'non_ip', 'overflow', 'filtered'].indexOf(name);
    const event = decoderOf('flow').unkeyed({ slot: 9, trafficClass, packets: 2 ** 33, bytes: 2 ** 40 });
    expect(event).toMatchObject({
      traffic_class: name,
      interface_name: 'eth0.5',
      interface_index: 265,
      key_kind: 'flow',
      packets: 8_589_934_592,
      bytes: 1_099_511_627_776,
    });
    const { address_family, protocol_number, source_address, destination_address, vlan_id } = event;
    expect([address_family, protocol_number, source_address, destination_address, vlan_id]).toEqual(
      Array.from({ length: 5 }, () => null),
    );
    await expectRoundTrip(event);
  });

  test('of a slot that the table does not have, or of a class that has no name, are an error', () => {
    const count = { slot: 7, trafficClass: 0, packets: 1, bytes: 1 };
    expect(() => decoderOf('flow').unkeyed({ ...count, slot: 8 })).toThrow('of no interface or no class');
    expect(() => decoderOf('flow').unkeyed({ ...count, trafficClass: 5 })).toThrow('of no interface or no class');
  });
});

test('what one event is given is not seen in the next', () => {
  const shared = decoderOf('flow');
  const entries = Buffer.alloc(2 * packetEntryBytes);
  write(entries, 0, { ...flow, vlan: 9 });
  write(entries, packetEntryBytes, { ...flow, protocol: 47, packets: 9n });
  const [first, second] = [shared.keyed(entries, 0), shared.keyed(entries, packetEntryBytes)];
  expect(second).toMatchObject({ vlan_id: null, source_port: null, packets: 9 });
  expect(first).toMatchObject({ vlan_id: 8, source_port: 51_022, packets: 3 });
});

test('a layout without a field, or with another width, is refused when the decoder is made', () => {
  const { vlan: _, ...fields } = layout.fields;
  expect(() => decoderOf('flow', { layout: { ...layout, fields } })).toThrow(/the field vlan/);
  const wide = { ...layout.fields, source_port: { offset: 0, bytes: 4 } };
  expect(() => decoderOf('flow', { layout: { ...layout, fields: wide } })).toThrow(/the field source_port of 2 bytes/);
});
