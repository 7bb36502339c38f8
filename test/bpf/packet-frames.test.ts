import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest';
import { packetKeyKinds } from '../../src/schemas/packet-count.ts';
import { newPinPath, removePins } from '../support/capture.ts';
import { bareTable, frameTable, type NamedFrame } from '../support/frame-table.ts';
import { ethernet, etherType, extension, ipv4, ipv6, ipv6Chain, ports, protocol } from '../support/frames.ts';
import { removeNetwork, Tun, VethPair } from '../support/network.ts';
import { removePacketLeftovers, whyNoPackets } from '../support/packet-tests.ts';
import { closePacketReaders, compareFrames, PacketReader, sumOf, tallyOf } from '../support/packets.ts';
import { countedAs } from '../support/reference-parser.ts';

/** What the program makes of single frames, beside what another parser says they are. */

let pinPath: string;
let pair: VethPair;
let tun: Tun;

beforeAll(() => {
  if (whyNoPackets !== undefined) return;
  removePacketLeftovers();
  pair = new VethPair();
  tun = new Tun();
});

beforeEach((ctx: TestContext) => {
  if (whyNoPackets !== undefined) ctx.skip(whyNoPackets);
});

afterAll(() => {
  if (whyNoPackets === undefined) removeNetwork();
});

/** Shorter frames the kernel does not run (net/bpf/test_run.c). */
const shortestRun = 14;

const cutsOf = (frames: readonly NamedFrame[], shortest: number) =>
  frames.flatMap(({ name, frame }) =>
    Array.from({ length: Math.max(0, frame.length - shortest) }, (_, n) => ({
      name: `${name}, cut to ${shortest + n} bytes`,
      frame: frame.subarray(0, shortest + n),
    })),
  );

test('the table reaches every class that a frame alone decides', () => {
  const reached = new Set(frameTable.map(({ frame }) => countedAs(frame).traffic_class));
  expect([...reached].sort()).toEqual(['fragment', 'keyed', 'malformed', 'non_ip']);
});

describe.each(packetKeyKinds)('by %s', (keyKind) => {
  let reader: PacketReader;

  beforeAll(() => {
    if (whyNoPackets !== undefined) return;
    pinPath = newPinPath();
    reader = new PacketReader(pinPath, { keyKind });
    expect(reader.packets.attach(pair.index)).toEqual({ mode: 'native', nativeRefusal: '' });
    reader.packets.attach(tun.index);
  });

  afterAll(() => {
    closePacketReaders();
    if (whyNoPackets === undefined) removePins(pinPath);
  });

  test('each frame is counted once, as what it is', async () => {
    const { actual, expected } = await compareFrames(reader, pair.index, frameTable, { keyKind });
    expect(actual).toEqual(expected);
  });

  test('each frame, cut at every byte, is counted once, as what is left of it', async () => {
    const { actual, expected } = await compareFrames(reader, pair.index, cutsOf(frameTable, shortestRun), { keyKind });
    expect(actual).toEqual(expected);
  });

  test('frames without a link header, whole and cut', async () => {
    const frames = [...bareTable, ...cutsOf(bareTable, shortestRun)].filter(({ frame }) => frame.length >= shortestRun);
    const { actual, expected } = await compareFrames(reader, tun.index, frames, { keyKind, bare: true });
    expect(actual).toEqual(expected);
  });
});

describe('by flow', () => {
  let reader: PacketReader;

  beforeAll(() => {
    if (whyNoPackets !== undefined) return;
    pinPath = newPinPath();
    reader = new PacketReader(pinPath);
    reader.packets.attach(pair.index);
    reader.packets.attach(tun.index);
  });

  afterAll(() => {
    closePacketReaders();
    if (whyNoPackets === undefined) removePins(pinPath);
  });

  test('a frame that comes a million times is counted a million times', async () => {
    const frame = ethernet(etherType.ipv4, ipv4({}, ports(1, 2)));
    const [result] = reader.runFrames(pair.index, [{ frame, times: 1_000_000 }]);
    expect(result).toEqual({
      verdict: 2,
      seen: { packets: 1_000_000, bytes: 1_000_000 * frame.length },
      classes: {},
      keys: 1,
    });
    const { events } = await reader.flip();
    expect(sumOf(tallyOf(events))).toEqual(result?.seen);
  });

  test('of two CPUs that race for a new key, both are counted under it', async () => {
    const frames = Array.from({ length: 4000 }, (_, port) => ethernet(etherType.ipv4, ipv4({}, ports(port, 9))));
    const results = reader.runFrames(
      pair.index,
      frames.map((frame) => ({ frame, times: 1 })),
      'twice',
    );
    const { length: bytes } = frames[0] as Buffer;
    const once = { verdict: 2, seen: { packets: 2, bytes: 2 * bytes }, classes: {}, keys: 1 };
    expect(results).toEqual(frames.map(() => once));
    const { events } = await reader.flip();
    expect(events).toHaveLength(frames.length);
    expect(new Set(events.map(({ packets }) => packets))).toEqual(new Set([2]));
  });

  test('frames in several buffers count whole', async () => {
    const frames = [4000, 9000, 30_000, 65_000].flatMap((bytes) => [
      { name: `IPv4 of ${bytes}`, frame: ethernet(etherType.ipv4, ipv4({}, ports(1, 2, bytes))) },
      { name: `IPv6 of ${bytes}`, frame: ethernet(etherType.ipv6, ipv6({ next: protocol.tcp }, ports(3, 4, bytes))) },
      { name: `ARP of ${bytes}`, frame: ethernet(etherType.arp, Buffer.alloc(bytes)) },
    ]);
    // Segments that the host put together have no length when it would not fit the field (BIG TCP).
    const { tcp, hopByHop } = protocol;
    for (const bytes of [65_495, 65_515, 65_516, 65_535, 65_536, 67_000])
      frames.push(
        {
          name: `IPv4 of ${bytes}, length 0`,
          frame: ethernet(etherType.ipv4, ipv4({ protocol: tcp, totalBytes: 0 }, ports(5, 6, bytes - 4))),
        },
        {
          name: `IPv6 of ${bytes}, length 0`,
          frame: ethernet(etherType.ipv6, ipv6({ next: tcp, payloadBytes: 0 }, ports(7, 8, bytes - 4))),
        },
        {
          name: `IPv6 of ${bytes} with an extension, length 0`,
          frame: ethernet(
            etherType.ipv6,
            ipv6Chain([extension(hopByHop)], tcp, ports(9, 10, bytes - 4), { payloadBytes: 0 }),
          ),
        },
      );
    const { actual, expected } = await compareFrames(reader, pair.index, frames);
    expect(actual).toEqual(expected);
  });

  test('on a tun device, frames of a single byte and more', async () => {
    // What is neither version the device does not take.
    const frames = bareTable.filter(({ frame }) => [4, 6].includes((frame[0] as number) >> 4)).slice(0, 30);
    const cuts = cutsOf(frames, 1).filter(({ frame }) => frame.length < shortestRun);
    const sent = await tun.receive(cuts.map(({ frame }) => ({ frame, times: 1 })));
    expect(sent.packets).toBe(30 * (shortestRun - 1));
    const { events } = await reader.flip();
    expect(tallyOf(events)).toEqual(new Map([['malformed', { packets: sent.packets, bytes: sent.bytes }]]));
  });
});
