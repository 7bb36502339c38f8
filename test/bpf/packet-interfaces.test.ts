import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { startOther, tool } from '../support/capture.ts';
import { ethernet, etherType, ipv4, ports, type Run } from '../support/frames.ts';
import { addLink, bridgeOver, ip, newNetworkName, Tun, VethPair, xdpProgramOf } from '../support/network.ts';
import { eachWithItsPins, failure } from '../support/packet-tests.ts';
import { PacketReader } from '../support/packets.ts';

/** On which interfaces packets are counted, and how: what refuses is told why, and keeps no other from it. */

const pins = eachWithItsPins();
const holders = new Set<ChildProcess>();

afterEach(() => {
  for (const holder of holders) holder.kill('SIGKILL');
});

const frame = ethernet(etherType.ipv4, ipv4({}, ports(1, 2)));
const some = (times: number): Run[] => [{ frame, times }];

/** Ends the epoch; packets by the name and index of the interface. */
async function countedOn(reader: PacketReader) {
  const { events } = await reader.flip();
  return events.map((event) => [event.interface_name, event.interface_index, event.packets]);
}

const namesOf = (reader: PacketReader) => reader.packets.table().map(({ name }) => name);

/** Puts a program on the interface that is not ours; returns its id. */
async function holdWithAnother(name: string, mode: 'native' | 'generic'): Promise<number> {
  const holder = spawn(tool('xdp_hold'), [name, mode], { stdio: ['pipe', 'pipe', 'inherit'] });
  holders.add(holder);
  holder.once('exit', () => holders.delete(holder));
  const [output] = await once(holder.stdout, 'data');
  return Number(output);
}

describe('modes', () => {
  test('in the driver where it can, in the stack where it refuses, and the refusal is told', async () => {
    const pair = new VethPair();
    const other = new VethPair();
    const bridge = await bridgeOver(other);
    const reader = new PacketReader(pins.path);
    expect(reader.packets.attach(pair.index)).toEqual({ mode: 'native', nativeRefusal: '' });
    expect(reader.packets.attach(bridge.index)).toEqual({
      mode: 'generic',
      nativeRefusal: 'it has no XDP of its own',
    });
    // It is in the order of the places, which are those of the indices, modulo 256.
    expect(reader.packets.table().toSorted((a, b) => a.index - b.index)).toMatchObject([
      { name: pair.name, index: pair.index, kind: 'veth', mode: 'native', parent: null, published: 0 },
      { name: bridge.name, index: bridge.index, kind: 'bridge', mode: 'generic', parent: null },
    ]);
    await pair.sendFrames(some(3));
    const { events } = await reader.flip();
    expect(events).toMatchObject([
      { interface_name: pair.name, xdp_mode: 'native', interface_kind: 'veth', packets: 3 },
    ]);
  });

  test('one packet that passes two interfaces is counted on both, each with its kind and parent', async () => {
    const pair = new VethPair();
    const bridge = await bridgeOver(pair);
    ip('link', 'set', bridge.name, 'address', '02:00:00:00:00:02');
    const reader = new PacketReader(pins.path);
    reader.packets.attach(pair.index);
    reader.packets.attach(bridge.index);
    // Of a protocol for experiments: a firewall of this machine may look at IP on bridges.
    await pair.sendFrames([{ frame: ethernet(0x88b5, Buffer.alloc(46)), times: 5 }]);
    const { events } = await reader.flip();
    const byName = events.toSorted((a, b) => a.interface_index - b.interface_index);
    expect(byName).toMatchObject([
      { interface_name: pair.name, interface_kind: 'veth', interface_parent: bridge.name, packets: 5 },
      { interface_name: bridge.name, interface_kind: 'bridge', interface_parent: null, packets: 5 },
    ]);
  });
});

describe('what there is', () => {
  const listed = (reader: PacketReader, name: string) =>
    reader.packets.interfaces().find((found) => found.name === name);

  test('every interface with its kind, whether it is up, and whether it is counted on', async () => {
    const pair = new VethPair();
    const tun = new Tun();
    const bridge = await bridgeOver(pair);
    const reader = new PacketReader(pins.path);
    reader.packets.attach(pair.index);
    ip('link', 'set', tun.name, 'down');
    expect(listed(reader, 'lo')).toMatchObject({ index: 1, kind: 'loopback', attached: false });
    expect(listed(reader, pair.name)).toEqual({
      index: pair.index,
      name: pair.name,
      kind: 'veth',
      up: true,
      attached: true,
    });
    expect(listed(reader, bridge.name)).toMatchObject({ kind: 'bridge', up: true, attached: false });
    expect(listed(reader, tun.name)).toMatchObject({ kind: 'tun', up: false, attached: false });
  });

  test('the loopback interface, in a network namespace of its own', async () => {
    const pair = new VethPair();
    const script = `
      const capture = openCapture(pinPath, 64 * 1024);
      const packets = openPackets(capture, { keyKind: 'flow', flows: 16, excluded: [] });
      const { index } = packets.interfaces().find(({ kind }) => kind === 'loopback');
      const { mode, nativeRefusal } = packets.attach(index);
      const socket = process.getBuiltinModule('node:dgram').createSocket('udp4');
      socket.bind(7, '127.0.0.1', () => socket.send('ping', 7, '127.0.0.1'));
      await new Promise((resolve) => socket.once('message', resolve));
      socket.close();
      await capture.advanceEpoch();
      const { keys, classes, packets: counted } = await packets.readFrozen();
      const [{ name, kind }] = packets.table();
      console.log(JSON.stringify({ name, kind, mode, nativeRefusal, keys, classes, packets: counted[index] }));
      capture.close();`;
    pair.run('ip', 'link', 'set', 'lo', 'up');
    const other = startOther(script, pins.path, ['nsenter', `--net=/run/netns/${pair.namespace}`, process.execPath]);
    expect(await other.exited).toEqual([0, null]);
    expect(JSON.parse(other.stdout)).toEqual({
      name: 'lo',
      kind: 'loopback',
      mode: 'generic',
      nativeRefusal: 'it has no XDP of its own',
      keys: 1,
      classes: [],
      packets: 1,
    });
  });

  test.for([
    { kind: 'dummy', type: () => ['type', 'dummy'], parent: () => null },
    { kind: 'bond', type: () => ['type', 'bond'], parent: () => null },
    {
      kind: 'vlan',
      type: (pair: VethPair) => ['link', pair.name, 'type', 'vlan', 'id', '7'],
      parent: (pair: VethPair) => pair.name,
    },
    {
      kind: 'macvlan',
      type: (pair: VethPair) => ['link', pair.name, 'type', 'macvlan'],
      parent: (pair: VethPair) => pair.name,
    },
  ])('a $kind interface', ({ kind, type, parent }, ctx) => {
    const pair = new VethPair();
    const name = newNetworkName();
    try {
      addLink(name, ...type(pair));
    } catch (error) {
      // A kernel has each of them or not.
      if (/Unknown device type/.test(String(error))) return ctx.skip(`this kernel has no ${kind} interfaces`);
      throw error;
    }
    const reader = new PacketReader(pins.path);
    const { index } = listed(reader, name) as { index: number };
    const { mode, nativeRefusal } = reader.packets.attach(index);
    expect(nativeRefusal === '').toBe(mode === 'native');
    expect(reader.packets.table()).toMatchObject([{ name, kind, parent: parent(pair), mode }]);
  });
});

describe('what cannot be counted on', () => {
  test.each(['native', 'generic'] as const)(
    'an interface with another %s program: it is named, and stays',
    async (mode) => {
      const pair = new VethPair();
      const other = new VethPair();
      const id = await holdWithAnother(pair.name, mode);
      const reader = new PacketReader(pins.path);
      const { code, message } = failure(() => reader.packets.attach(pair.index));
      expect(code).toBe('ERR_BPF');
      expect(message).toBe(
        `cannot count packets on ${pair.name}: it has another XDP program, program ${id} (someone_elses), which is left alone`,
      );
      expect(xdpProgramOf(pair.name)).toBe(id);
      // It has no part in the account, and the other one has.
      reader.packets.attach(other.index);
      expect(namesOf(reader)).toEqual([other.name]);
      await other.sendFrames(some(2));
      expect(await countedOn(reader)).toEqual([[other.name, other.index, 2]]);
    },
  );

  test('when the other program is gone, the interface is taken', async () => {
    const pair = new VethPair();
    await holdWithAnother(pair.name, 'native');
    const reader = new PacketReader(pins.path);
    expect(failure(() => reader.packets.attach(pair.index)).code).toBe('ERR_BPF');
    const [holder] = holders;
    holder?.stdin?.end();
    await once(holder as ChildProcess, 'exit');
    expect(reader.packets.attach(pair.index).mode).toBe('native');
  });

  test('an interface that refuses both modes: the reason of each, and no trace in the account', async () => {
    const pair = new VethPair();
    const bridge = await bridgeOver(pair);
    const reader = new PacketReader(pins.path);
    reader.packets.attach(bridge.index);
    // The kernel takes the ones below only before the ones above (dev_xdp_attach, net/core/dev.c).
    const why = 'an interface above it has an XDP program';
    expect(failure(() => reader.packets.attach(pair.index))).toMatchObject({
      code: 'ERR_BPF',
      message: `cannot count packets on ${pair.name}: native: ${why}; generic: ${why}`,
    });
    expect(namesOf(reader)).toEqual([bridge.name]);
    const { cut } = await reader.flip();
    expect(cut.packets.map(({ name }) => name)).toEqual([bridge.name]);
  });

  test.each([0, 2 ** 31 - 1])('index %i, of no interface', (index) => {
    const reader = new PacketReader(pins.path);
    expect(failure(() => reader.packets.attach(index))).toMatchObject({
      code: 'ERR_BPF',
      message: `cannot count packets on interface ${index}: it is gone`,
    });
    expect(reader.packets.table()).toEqual([]);
  });

  test('the place of an interface is taken by others: a clear error, and the others go on', async () => {
    // The table has 256 places, and an index may stand 8 places behind its own at most.
    const first = 40_000 * 256 + 11;
    const reader = new PacketReader(pins.path);
    const pairs = Array.from({ length: 9 }, (_, n) => new VethPair({ index: first + 256 * n }));
    for (const { index } of pairs.slice(0, 8)) reader.packets.attach(index);
    const ninth = pairs[8] as VethPair;
    const { code, message } = failure(() => reader.packets.attach(ninth.index));
    expect(code).toBe('ERR_BPF');
    expect(message).toBe(
      `cannot count packets on ${ninth.name}: the table of interfaces has no place left for it; it is made anew when the capture is detached`,
    );
    expect(xdpProgramOf(ninth.name)).toBeUndefined();

    // One whose own place is taken, but not the eighth behind it.
    const neighbour = new VethPair({ index: first + 256 * 20 + 1 });
    reader.packets.attach(neighbour.index);
    const counted = [...pairs.slice(0, 8), neighbour];
    for (const [n, pair] of counted.entries()) await pair.sendFrames(some(n + 1));
    expect(new Set(await countedOn(reader))).toEqual(
      new Set(counted.map(({ name, index }, n) => [name, index, n + 1])),
    );
  });
});
