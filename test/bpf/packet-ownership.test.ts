import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openCapture, openPackets } from '../../src/kernel/addon.ts';
import { failureOf } from '../support/capture.ts';
import { ethernet, etherType, ipv4, ports } from '../support/frames.ts';
import { VethPair, xdpProgramOf } from '../support/network.ts';
import { eachWithItsPins, failure } from '../support/packet-tests.ts';
import { PacketReader, sumOf, type Tally, tallyOf } from '../support/packets.ts';
import { waitFor } from '../support/wait-for.ts';

/** Whose the counts are, and in which order an epoch is given up. */

const pins = eachWithItsPins();

const packetOf = (source: readonly number[]) => ethernet(etherType.ipv4, ipv4({ source }, ports(1, 2)));
const plain = packetOf([192, 0, 2, 1]);

const settings = { keyKind: 'flow', flows: 1024, excluded: [] } as const;

describe('one owner', () => {
  test('the packets of a capture are opened once', () => {
    const reader = new PacketReader(pins.path);
    expect(failure(() => openPackets(reader.capture, settings))).toMatchObject({
      code: 'ERR_ADDON',
      message: 'cannot open the packets: they are open already',
    });
  });

  test('with the capture the packets are closed: every call is an error, and the pins are free', async () => {
    const reader = new PacketReader(pins.path);
    reader.close();
    const calls: (() => unknown)[] = [
      () => reader.packets.status(),
      () => reader.packets.table(),
      () => reader.packets.layout(),
      () => reader.packets.interfaces(),
      () => reader.packets.attach(1),
      () => reader.packets.detach(1),
      () => reader.packets.readFrozen(),
      () => reader.packets.acknowledge({ firstOffset: -1, lastOffset: -1, published: [] }),
      () => reader.packets.clearFrozen(),
      () => reader.packets.fill(),
    ];
    for (const call of calls)
      expect(failure(call)).toMatchObject({
        name: 'Bpf2KafkaError',
        code: 'ERR_ADDON',
        message: expect.stringMatching(/it is closed/),
      });
    using again = new PacketReader(pins.path);
    expect(again.packets.status().resumed).toBe(true);
  });

  test('a capture that is closed while its counts are read ends when they are', async () => {
    const reader = new PacketReader(pins.path);
    await reader.capture.advanceEpoch();
    const reading = reader.packets.readFrozen();
    const { epoch } = reader.capture.status();
    reader.close();
    expect(await reading).toMatchObject({ epoch: epoch - 1, keys: 0 });
    await waitFor(
      () => {
        openCapture(pins.path, 64 * 1024).close();
        return true;
      },
      { what: 'the pins are free' },
    );
  });

  test('another network namespace is refused, and its interfaces are left alone', async () => {
    const pair = new VethPair();
    const reader = new PacketReader(pins.path);
    reader.packets.attach(pair.index);
    reader.close();
    const elsewhere = ['nsenter', `--net=/run/netns/${pair.namespace}`, process.execPath];
    const script = `openPackets(openCapture(pinPath, 65536), ${JSON.stringify(settings)})`;
    const { code, message } = await failureOf(script, pins.path, elsewhere);
    expect(code).toBe('ERR_PIN_LAYOUT');
    expect(message).toMatch(/the capture that goes on was begun in another network namespace/);
    expect(message.split('\n')).toHaveLength(1);
    await pair.sendFrames([{ frame: plain, times: 4 }]);
    const again = new PacketReader(pins.path);
    expect(sumOf(tallyOf((await again.flip()).events)).packets).toBe(4);
  });
});

describe('the order of an epoch', () => {
  test('it ends, is acknowledged and cleared, and nothing of that twice or early', async () => {
    const pair = new VethPair();
    const reader = new PacketReader(pins.path);
    reader.packets.attach(pair.index);
    await pair.sendFrames([{ frame: plain, times: 3 }]);
    await reader.capture.advanceEpoch();
    const { frozen, events } = await reader.read();
    await expect(reader.packets.clearFrozen()).rejects.toMatchObject({
      name: 'Bpf2KafkaError',
      reason: 'they are not acknowledged',
    });
    await expect(reader.capture.advanceEpoch()).rejects.toMatchObject({ name: 'Bpf2KafkaError', code: 'ERR_ADDON' });
    reader.acknowledge(frozen);
    expect(failure(() => reader.acknowledge(frozen)).message).toMatch(/acknowledged already/);
    await expect(reader.capture.advanceEpoch()).rejects.toMatchObject({ name: 'Bpf2KafkaError', code: 'ERR_ADDON' });
    await reader.packets.clearFrozen();
    await reader.packets.clearFrozen();
    expect(reader.packets.table()).toMatchObject([{ published: 3 }]);
    expect(sumOf(tallyOf(events)).packets).toBe(3);
    expect((await reader.flip()).frozen).toMatchObject({ keys: 0, classes: [] });
  });

  test('what is read twice is the same, and what comes meanwhile is of the next epoch', async () => {
    const pair = new VethPair();
    const reader = new PacketReader(pins.path);
    reader.packets.attach(pair.index);
    await pair.sendFrames([{ frame: plain, times: 3 }]);
    await reader.capture.advanceEpoch();
    const first = await reader.read();
    await pair.sendFrames([{ frame: plain, times: 5 }]);
    expect(await reader.read()).toEqual(first);
    reader.acknowledge(first.frozen);
    await reader.packets.clearFrozen();
    expect(sumOf(tallyOf((await reader.flip()).events)).packets).toBe(5);
  });
});

test('a program that is replaced under load, again and again, loses nothing', async () => {
  const pair = new VethPair();
  let reader = new PacketReader(pins.path);
  reader.packets.attach(pair.index);
  const programs = new Set([xdpProgramOf(pair.name)]);
  let flooding = true;
  const flood = pair.flood(1_500, 500).finally(() => {
    flooding = false;
  });
  const tally: Tally = new Map();
  while (flooding) {
    reader.close();
    reader = new PacketReader(pins.path);
    programs.add(xdpProgramOf(pair.name));
    tallyOf((await reader.flip()).events, tally);
    await sleep(0);
  }
  const sent = await flood;
  const { events, cut } = await reader.flip();
  tallyOf(events, tally);
  expect(programs.size).toBeGreaterThan(2);
  expect(sumOf(tally)).toEqual(sent);
  expect(cut.packets).toMatchObject([{ seen: sent.packets, seenBytes: sent.bytes, unobservedMicros: 0 }]);
  expect(reader.packets.table()).toMatchObject([{ published: sent.packets }]);
});
