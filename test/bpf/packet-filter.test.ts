import { afterAll, afterEach, beforeAll, beforeEach, expect, type TestContext, test } from 'vitest';
import type { AddressPrefix } from '../../src/kernel/packet-capture.ts';
import { newPinPath, removePins } from '../support/capture.ts';
import { frameTable, type NamedFrame } from '../support/frame-table.ts';
import {
  ethernet,
  etherType,
  extension,
  fragment,
  ipv4,
  ipv6,
  ipv6Address,
  ipv6Chain,
  ports,
  protocol,
} from '../support/frames.ts';
import { removeNetwork, VethPair } from '../support/network.ts';
import { removePacketLeftovers, whyNoPackets } from '../support/packet-tests.ts';
import { closePacketReaders, compareFrames, PacketReader } from '../support/packets.ts';

/** Addresses that are excluded: in the kernel, counted as filtered. */

let pinPath: string;
let pair: VethPair;

beforeAll(() => {
  if (whyNoPackets !== undefined) return;
  removePacketLeftovers();
  pair = new VethPair();
});

beforeEach((ctx: TestContext) => {
  if (whyNoPackets !== undefined) return ctx.skip(whyNoPackets);
  pinPath = newPinPath();
});

afterEach(() => {
  closePacketReaders();
  if (whyNoPackets === undefined) removePins(pinPath);
});

afterAll(() => {
  if (whyNoPackets === undefined) removeNetwork();
});

const v4 = (address: string, prefixLength: number): AddressPrefix => ({
  family: 4,
  address: Uint8Array.from(address.split('.'), Number),
  prefixLength,
});
const v6 = (address: Uint8Array, prefixLength: number): AddressPrefix => ({ family: 6, address, prefixLength });

const udp = ports(40_000, 53);
const from4 = (source: readonly number[], destination: readonly number[] = [192, 0, 2, 255]): NamedFrame => ({
  name: `${source.join('.')} > ${destination.join('.')}`,
  frame: ethernet(etherType.ipv4, ipv4({ source, destination }, udp)),
});
const from6 = (source: Buffer, destination: Buffer = ipv6Address(0xffff, 0xfd000000)): NamedFrame => ({
  name: `${source.toString('hex')} > ${destination.toString('hex')}`,
  frame: ethernet(etherType.ipv6, ipv6({ source, destination }, udp)),
});

/** Each address as source and as destination. */
const bothWays = <Address>(
  addresses: readonly Address[],
  from: (a: Address, b: Address) => NamedFrame,
  other: Address,
) => addresses.flatMap((address) => [from(address, other), from(other, address)]);

async function expectAsReference(excluded: readonly AddressPrefix[], frames: readonly NamedFrame[], filtered?: number) {
  const reader = new PacketReader(pinPath, { excluded });
  reader.packets.attach(pair.index);
  const { actual, expected } = await compareFrames(reader, pair.index, frames, { excluded });
  expect(actual).toEqual(expected);
  if (filtered !== undefined) expect(actual.tally.get('filtered')?.packets ?? 0).toBe(filtered);
}

test.for([0, 1, 9, 24, 31, 32])('an IPv4 prefix of %i bits', async (bits) => {
  // Of addresses that differ in one bit each, those are excluded that differ behind the prefix; the other end is not.
  const address = [203, 0, 113, 77];
  const flipped = Array.from({ length: 32 }, (_, bit) =>
    address.map((byte, i) => (i === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte)),
  );
  const frames = bothWays([address, ...flipped], from4, [10, 1, 2, 3]);
  await expectAsReference([v4('203.0.113.77', bits)], frames, bits === 0 ? frames.length : 2 * (1 + 32 - bits));
});

test.for([0, 1, 33, 64, 127, 128])('an IPv6 prefix of %i bits', async (bits) => {
  const address = Buffer.from('20010db85a5a1234f00dfeed0badcafe', 'hex');
  const flipped = Array.from({ length: 128 }, (_, bit) => {
    const other = Buffer.from(address);
    other[bit >> 3] = (other[bit >> 3] as number) ^ (0x80 >> (bit & 7));
    return other;
  });
  const frames = bothWays([address, ...flipped], from6, ipv6Address(1, 0xfd000000));
  await expectAsReference([v6(address, bits)], frames, bits === 0 ? frames.length : 2 * (1 + 128 - bits));
});

test('both families, many prefixes, inside one another', async () => {
  const excluded = [
    v4('10.0.0.0', 8),
    v4('10.1.0.0', 16),
    v4('10.1.2.3', 32),
    v4('172.16.0.0', 12),
    // What stands behind the prefix does not count.
    v4('198.51.100.77', 25),
    v4('10.0.0.0', 8),
    v6(ipv6Address(0), 64),
    v6(ipv6Address(5, 0x3fff0000), 127),
  ];
  const frames = [
    ...bothWays(
      [
        [10, 9, 9, 9],
        [10, 1, 2, 3],
        [11, 0, 0, 0],
        [172, 31, 255, 255],
        [172, 32, 0, 0],
      ],
      from4,
      [192, 0, 2, 1],
    ),
    ...bothWays(
      [
        [198, 51, 100, 1],
        [198, 51, 100, 128],
      ],
      from4,
      [192, 0, 2, 1],
    ),
    from4([10, 1, 1, 1], [172, 16, 0, 1]),
    ...bothWays(
      [ipv6Address(9), ipv6Address(4, 0x3fff0000), ipv6Address(6, 0x3fff0000)],
      from6,
      ipv6Address(1, 0xfd000000),
    ),
  ];
  await expectAsReference(excluded, frames);
});

test('a prefix of one family leaves the other alone', async () => {
  // An IPv4 address in the first bytes of an IPv6 one is none.
  const frames = [from4([32, 1, 13, 184]), from6(Buffer.from('20010db8000000000000000000000001', 'hex'))];
  await expectAsReference([v4('32.1.13.184', 32)], frames, 1);
});

test('of excluded hosts everything whose addresses can be read is filtered, and nothing else', async () => {
  const source = [10, 0, 0, 1];
  const excluded = [v4('10.0.0.0', 8), v6(ipv6Address(1), 128)];
  const of = (name: string, frame: Buffer): NamedFrame => ({ name, frame });
  const frames = [
    of('a fragment', ethernet(etherType.ipv4, ipv4({ source, fragmentOffset: 5 }, udp))),
    of(
      'a fragment in a VLAN',
      ethernet(etherType.ipv4, ipv4({ source, fragmentOffset: 5 }, udp), [[etherType.vlan, 5]]),
    ),
    of('ports cut off', ethernet(etherType.ipv4, ipv4({ source }, udp.subarray(0, 3)))),
    of('impossible length', ethernet(etherType.ipv4, ipv4({ source, totalBytes: 10 }, udp))),
    of('IPv6 fragment', ethernet(etherType.ipv6, ipv6Chain([fragment(7, true)], protocol.udp, udp))),
    of(
      'IPv6 with too many extensions',
      ethernet(etherType.ipv6, ipv6Chain(new Array(17).fill(extension(60)), protocol.udp, udp)),
    ),
    of('IPv6 of an impossible length', ethernet(etherType.ipv6, ipv6({ payloadBytes: 2000 }, udp))),
    of('a protocol without ports', ethernet(etherType.ipv4, ipv4({ source, protocol: protocol.gre }, udp))),
    // ARP has addresses, too, but not of IP.
    of('ARP', ethernet(etherType.arp, Buffer.alloc(28, 10))),
  ];
  await expectAsReference(excluded, frames, 6);
});

test('the whole table of frames, some hosts excluded', async () => {
  await expectAsReference([v4('192.0.2.0', 24), v6(ipv6Address(2), 127)], frameTable);
});

test('what is excluded is a setting of the start, not of the pins', async () => {
  const frames = [from4([10, 0, 0, 1]), from4([10, 0, 0, 2])];
  await expectAsReference([v4('10.0.0.1', 32)], frames, 1);
  closePacketReaders();
  using second = new PacketReader(pinPath, { excluded: [v4('10.0.0.2', 32)] });
  // As with execs: a program with other settings is another one.
  expect(second.packets.status()).toMatchObject({ resumed: true, replacedProgram: true });
  const excluded = [v4('10.0.0.2', 32)];
  const { actual, expected } = await compareFrames(second, pair.index, frames, { excluded });
  expect(actual).toEqual(expected);
});
