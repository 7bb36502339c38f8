import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ethernet, etherType, ipv4, ports, type Run } from '../support/frames.ts';
import { ip, newNetworkName, VethPair, xdpProgramOf } from '../support/network.ts';
import { eachWithItsPins, failure } from '../support/packet-tests.ts';
import { PacketReader, sumOf, tallyOf } from '../support/packets.ts';

/** Interfaces that go, come again, move or change their name while packets are counted on them. */

const pins = eachWithItsPins();

const frame = ethernet(etherType.ipv4, ipv4({}, ports(1, 2)));
const some = (times: number): Run[] => [{ frame, times }];

/** Ends the epoch; packets by the name and index of the interface. */
async function countedOn(reader: PacketReader) {
  const { events } = await reader.flip();
  return events.map((event) => [event.interface_name, event.interface_index, event.packets]);
}

const namesOf = (reader: PacketReader) => reader.packets.table().map(({ name }) => name);

test('an interface that is removed: what it has counted is there, and published', async () => {
  const pair = new VethPair();
  const other = new VethPair();
  const reader = new PacketReader(pins.path);
  reader.packets.attach(pair.index);
  reader.packets.attach(other.index);
  await pair.sendFrames(some(7));
  await other.sendFrames(some(1));
  pair.remove();
  expect(reader.packets.interfaces().map(({ name }) => name)).not.toContain(pair.name);
  const { events, cut } = await reader.flip();
  expect(new Map(events.map((e) => [e.interface_name, e.packets]))).toEqual(
    new Map([
      [pair.name, 7],
      [other.name, 1],
    ]),
  );
  expect(cut.packets.map(({ name, seen }) => [name, seen])).toContainEqual([pair.name, 7]);
  expect(reader.packets.table().find(({ name }) => name === pair.name)?.published).toBe(7);
  // Its link is not kept.
  expect(readdirSync(`${pins.path}/v1`).filter((pin) => pin.startsWith('packet_link'))).toEqual([
    `packet_link_${other.index}`,
  ]);
});

test('an interface that is made again under its name has another place, and the name adds up', async () => {
  const pair = new VethPair();
  const reader = new PacketReader(pins.path);
  reader.packets.attach(pair.index);
  await pair.sendFrames(some(3));
  ip('link', 'delete', pair.name);
  const again = new VethPair({ name: pair.name });
  expect(again.index).not.toBe(pair.index);
  expect(reader.packets.interfaces().find(({ name }) => name === pair.name)).toMatchObject({ attached: false });
  reader.packets.attach(again.index);
  await again.sendFrames(some(4));
  const { events, cut } = await reader.flip();
  expect(sumOf(tallyOf(events)).packets).toBe(7);
  expect(events.map((e) => [e.interface_name, e.packets]).sort()).toEqual([
    [pair.name, 3],
    [pair.name, 4],
  ]);
  expect(new Set(cut.packets.map(({ slot }) => slot)).size).toBe(2);
  expect(cut.packets.map(({ name, seen }) => [name, seen]).sort()).toEqual([
    [pair.name, 3],
    [pair.name, 4],
  ]);
});

test('an interface that is made again with its index and name goes on at its place', async () => {
  const index = 41_000 * 256 + 5;
  const pair = new VethPair({ index });
  const reader = new PacketReader(pins.path);
  reader.packets.attach(index);
  await pair.sendFrames(some(3));
  ip('link', 'delete', pair.name);
  const again = new VethPair({ index, name: pair.name });
  reader.packets.interfaces();
  reader.packets.attach(index);
  await again.sendFrames(some(4));
  const { cut } = await reader.flip();
  expect(cut.packets).toMatchObject([{ name: pair.name, interfaceIndex: index, seen: 7 }]);
  expect(cut.packets[0]?.unobservedMicros).toBeGreaterThan(0);
});

test('another interface with the index of a gone one is not taken for it', async () => {
  const index = 42_000 * 256 + 5;
  const pair = new VethPair({ index });
  const reader = new PacketReader(pins.path);
  reader.packets.attach(index);
  ip('link', 'delete', pair.name);
  const other = new VethPair({ index });
  reader.packets.interfaces();
  expect(failure(() => reader.packets.attach(index)).message).toBe(
    `cannot count packets on ${other.name}: its index ${index} is that of ${pair.name} in the account of this capture`,
  );
  expect(xdpProgramOf(other.name)).toBeUndefined();
});

test('an interface that is renamed is counted on under the name that it had', async () => {
  const pair = new VethPair();
  const reader = new PacketReader(pins.path);
  reader.packets.attach(pair.index);
  const renamed = newNetworkName();
  ip('link', 'set', pair.name, 'down');
  ip('link', 'set', pair.name, 'name', renamed);
  ip('link', 'set', renamed, 'up');
  await pair.sendFrames(some(2));
  expect(reader.packets.interfaces().find(({ name }) => name === renamed)).toMatchObject({ attached: true });
  expect(await countedOn(reader)).toEqual([[pair.name, pair.index, 2]]);
  expect(namesOf(reader)).toEqual([pair.name]);
  // Attached anew it would be another one in the account.
  reader.packets.detach(pair.index);
  expect(failure(() => reader.packets.attach(pair.index)).message).toMatch(`is that of ${pair.name} in the account`);
});

test('an interface that moves to another network namespace takes no program along', async () => {
  const pair = new VethPair();
  const other = new VethPair({ index: pair.index + 500 });
  const reader = new PacketReader(pins.path);
  reader.packets.attach(pair.index);
  reader.packets.attach(other.index);
  await pair.sendFrames(some(3));
  // There it gets an index that is another one's here: its packets would be counted as that one's.
  pair.run('ip', 'link', 'add', 'index', String(pair.index), 'type', 'bridge');
  ip('link', 'set', pair.name, 'netns', pair.namespace, 'index', String(other.index));
  pair.run('ip', 'link', 'set', pair.name, 'up');
  expect(reader.packets.interfaces().find(({ index }) => index === pair.index)).toBeUndefined();
  await pair.sendFrames(some(100));
  await other.sendFrames(some(5));
  expect(new Set(await countedOn(reader))).toEqual(
    new Set([
      [pair.name, pair.index, 3],
      [other.name, other.index, 5],
    ]),
  );
  expect(readdirSync(`${pins.path}/v1`).filter((pin) => pin.startsWith('packet_link'))).toEqual([
    `packet_link_${other.index}`,
  ]);
});

test('an interface that comes with the index of one that moved away is not taken for it', async () => {
  const index = 43_000 * 256 + 5;
  const pair = new VethPair({ index });
  const reader = new PacketReader(pins.path);
  reader.packets.attach(index);
  ip('link', 'set', pair.name, 'netns', pair.namespace);
  const again = new VethPair({ index, name: pair.name });
  expect(reader.packets.interfaces().find(({ name }) => name === pair.name)).toMatchObject({ attached: false });
  reader.packets.attach(index);
  await again.sendFrames(some(2));
  expect(await countedOn(reader)).toEqual([[pair.name, index, 2]]);
});

test('detached, nothing is counted; attached again, its time without is told', async () => {
  const pair = new VethPair();
  const reader = new PacketReader(pins.path);
  reader.packets.attach(pair.index);
  const slot = reader.slotOf(pair.index);
  await pair.sendFrames(some(2));
  reader.packets.detach(pair.index);
  expect(xdpProgramOf(pair.name)).toBeUndefined();
  await pair.sendFrames(some(100));
  expect(await countedOn(reader)).toEqual([[pair.name, pair.index, 2]]);
  reader.packets.attach(pair.index);
  await pair.sendFrames(some(3));
  const { events, cut } = await reader.flip();
  expect(events).toMatchObject([{ interface_index: pair.index, packets: 3 }]);
  expect(cut.packets).toMatchObject([{ slot, seen: 5 }]);
  expect(cut.packets[0]?.unobservedMicros).toBeGreaterThan(0);
  // What has no program already is as it should be.
  reader.packets.detach(pair.index);
  reader.packets.detach(pair.index);
});
