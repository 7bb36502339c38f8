import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { frameTable } from '../support/frame-table.ts';
import { bridgeOver, driverCounter, ip, type Sent, VethPair } from '../support/network.ts';
import { eachWithItsPins } from '../support/packet-tests.ts';
import { add, nameOf, PacketReader, sumOf, type Tally, tallyOf } from '../support/packets.ts';
import { countedAs } from '../support/reference-parser.ts';

/** Real traffic between two interfaces while epochs end: every packet is in one epoch, and in it once. */

const pins = eachWithItsPins();
const long = process.env.BPF2KAFKA_LONG_TESTS === '1';

/** Ends epochs one after the other until the work is done, and once more. */
async function flipDuring<Result>(reader: PacketReader, work: Promise<Result>, pause: () => unknown) {
  const tally: Tally = new Map();
  let flips = 0;
  let done = false;
  const finished = work.finally(() => {
    done = true;
  });
  // It is awaited below; until then a failure of it must not be an unhandled one.
  finished.catch(() => {});
  const flip = async () => {
    const epoch = await reader.flip();
    tallyOf(epoch.events, tally);
    flips += 1;
    // Not at the end alone: what each cut has seen is what the epochs through it have counted.
    const { seen, seenBytes } = epoch.cut.packets[0] ?? {};
    expect({ packets: seen, bytes: seenBytes }).toEqual(sumOf(tally));
    return epoch;
  };
  while (!done) {
    await flip();
    await pause();
  }
  const result = await finished;
  const { cut } = await flip();
  return { result, tally, flips, cut };
}

const atOnce = () => undefined;

/** What the driver has received; its bytes are without the Ethernet header, which it has taken off by then. */
function receivedBy({ name }: { readonly name: string }): Sent {
  const packets = driverCounter(name, 'rx_packets');
  return { packets, bytes: driverCounter(name, 'rx_bytes') + 14 * packets };
}

test('60,000 known frames of all kinds, while epochs end as fast as they can', async () => {
  // The longest of the table is above 2 KiB.
  const pair = new VethPair({ mtu: 9000 });
  const reader = new PacketReader(pins.path);
  reader.packets.attach(pair.index);
  const rounds = Math.ceil(60_000 / frameTable.length);
  const wanted: Tally = new Map();
  for (const { frame } of frameTable) add(wanted, nameOf(countedAs(frame)), rounds, rounds * frame.length);
  // Round after round, so that each epoch has all kinds in it.
  const runs = new Array(rounds).fill(frameTable.map(({ frame }) => ({ frame, times: 1 }))).flat();

  const { result: sent, tally, flips, cut } = await flipDuring(reader, pair.sendFrames(runs), atOnce);
  expect(sent.packets).toBeGreaterThanOrEqual(60_000);
  expect(tally).toEqual(wanted);
  expect(sumOf(tally)).toEqual(sent);
  expect(receivedBy(pair)).toEqual(sent);
  expect(flips).toBeGreaterThan(5);
  const of = (name: string) => tally.get(name)?.packets ?? 0;
  expect(cut.packets).toEqual([
    {
      slot: reader.slotOf(pair.index),
      interfaceIndex: pair.index,
      name: pair.name,
      unobservedMicros: 0,
      seen: sent.packets,
      seenBytes: sent.bytes,
      fragment: of('fragment'),
      malformed: of('malformed'),
      nonIp: of('non_ip'),
      overflow: 0,
      filtered: 0,
    },
  ]);
});

const floodMillis = long ? 20_000 : 2_000;

test(`a flood on two CPUs for ${floodMillis / 1000} s`, { timeout: 2 * floodMillis + 30_000 }, async () => {
  const flows = 3000;
  const pair = new VethPair({ queues: 2 });
  const reader = new PacketReader(pins.path, { flows: 8192 });
  reader.packets.attach(pair.index);
  const flood = Promise.all([pair.flood(floodMillis, flows), pair.flood(floodMillis, flows)]);
  const between = long ? () => new Promise((resolve) => setTimeout(resolve, 900)) : atOnce;
  const { result, tally, flips, cut } = await flipDuring(reader, flood, between);

  const sent = { packets: 0, bytes: 0 };
  for (const { packets, bytes } of result) {
    sent.packets += packets;
    sent.bytes += bytes;
  }
  expect(sumOf(tally)).toEqual(sent);
  expect(receivedBy(pair)).toEqual(sent);
  expect(cut.packets).toMatchObject([{ seen: sent.packets, seenBytes: sent.bytes, overflow: 0, malformed: 0 }]);
  expect(tally.size).toBe(flows);
  expect(flips).toBeGreaterThanOrEqual(long ? 20 : 4);
});

test('300,000 flows into a map for 65,536: the rest is in the overflow class', { timeout: 60_000 }, async () => {
  const flows = 65_536;
  const pair = new VethPair();
  const reader = new PacketReader(pins.path, { flows });
  reader.packets.attach(pair.index);
  // Into both maps.
  for (let round = 0; round < 2; round += 1) {
    const sent = await pair.sendFlows(300_000);
    expect(reader.packets.fill()).toBe(flows);
    const { frozen, events } = await reader.flip();
    const tally = tallyOf(events);
    expect(sent.packets).toBe(300_000);
    expect(sumOf(tally)).toEqual(sent);
    expect(frozen.keys).toBe(flows);
    expect(tally.get('overflow')).toEqual({ packets: 300_000 - flows, bytes: (300_000 - flows) * 64 });
    // Each key that found room has its one packet.
    expect(new Set(events.filter(({ traffic_class }) => traffic_class === 'keyed').map((e) => e.packets))).toEqual(
      new Set([1]),
    );
  }
});

test('an epoch in which nothing came is empty', async () => {
  const pair = new VethPair();
  const reader = new PacketReader(pins.path);
  reader.packets.attach(pair.index);
  for (let n = 0; n < 3; n += 1) {
    const { frozen } = await reader.flip();
    expect(frozen).toMatchObject({ keys: 0, classes: [] });
  }
});

/** Sends so many bytes over TCP from the far end to this one. */
async function sendTcp(pair: VethPair, payload: number) {
  let received = 0;
  const server = createServer((socket) => {
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
  });
  server.listen(0, near);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const script = `
    const socket = net.connect(${port}, '${near}');
    socket.end(Buffer.alloc(${payload}));
    socket.on('close', (failed) => process.exit(failed ? 1 : 0));`;
  const ended = await pair.spawn(process.execPath, '-e', script);
  server.close();
  return { ended, received, port };
}

/** Of the block for tests between networks (RFC 2544). */
const near = '198.18.77.1';
const far = '198.18.77.2';

test.each([
  { device: 'veth', mtu: 1500, mode: 'native', segments: 'one by one' },
  { device: 'veth', mtu: 9000, mode: 'native', segments: 'one by one' },
  { device: 'bridge', mtu: 1500, mode: 'generic', segments: 'put together' },
])('TCP on a $device of MTU $mtu, $mode, segments $segments: bytes exact', async ({ device, mtu, mode, segments }) => {
  const pair = new VethPair({ mtu });
  const counted = device === 'bridge' ? await bridgeOver(pair) : pair;
  ip('address', 'add', `${near}/30`, 'dev', counted.name);
  ip('-n', pair.namespace, 'address', 'add', `${far}/30`, 'dev', pair.far);
  const reader = new PacketReader(pins.path);
  expect(reader.packets.attach(counted.index).mode).toBe(mode);

  const payload = 32 * 1024 * 1024;
  const { result, tally, cut } = await flipDuring(reader, sendTcp(pair, payload), atOnce);
  expect(result).toMatchObject({ ended: [0, null], received: payload });
  const total = sumOf(tally);
  expect(total).toEqual(receivedBy(counted));
  expect(cut.packets).toMatchObject([{ seen: total.packets, seenBytes: total.bytes, malformed: 0, overflow: 0 }]);

  const flows = [...tally].filter(([name]) => name.endsWith(`> ${near}:${result.port} vlan null`));
  expect(flows).toHaveLength(1);
  const [, { packets, bytes }] = flows[0] as (typeof flows)[0];
  // Each with its headers, which are at least 54 bytes; a segment that is sent again costs more.
  expect(bytes).toBeGreaterThanOrEqual(payload + 54 * packets);
  // What the far end hands over in one piece is one packet, larger than any frame.
  if (segments === 'put together') expect(bytes / packets).toBeGreaterThan(mtu + 14);
});
