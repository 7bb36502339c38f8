import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { detachPinned, openCapture, openPackets } from '../../src/kernel/addon.ts';
import type { FinalTotals } from '../../src/kernel/counts.ts';
import { acknowledging } from '../support/capture.ts';
import { ethernet, etherType, ipv4, ports } from '../support/frames.ts';
import { VethPair, xdpProgramOf } from '../support/network.ts';
import { eachWithItsPins, failure } from '../support/packet-tests.ts';
import { PacketReader, sumOf, tallyOf } from '../support/packets.ts';

/** How counting ends, and how it does not begin: what is left, and whose account says so. */

const pins = eachWithItsPins();

const packetOf = (source: readonly number[]) => ethernet(etherType.ipv4, ipv4({ source }, ports(1, 2)));
const plain = packetOf([192, 0, 2, 1]);
const filtered = packetOf([10, 0, 0, 1]);
const tooShort = ethernet(etherType.ipv4, Buffer.alloc(4));
const excluded = [{ family: 4, address: Uint8Array.of(10, 0, 0, 0), prefixLength: 8 }] as const;

const settings = { keyKind: 'flow', flows: 1024, excluded: [] } as const;
const packetPins = () => readdirSync(`${pins.path}/v1`).filter((name) => name.startsWith('packet_'));

test('detached and unpinned, nothing is left', async () => {
  const pair = new VethPair();
  const reader = new PacketReader(pins.path);
  reader.packets.attach(pair.index);
  await pair.sendFrames([{ frame: plain, times: 3 }]);
  reader.capture.detach();
  expect(xdpProgramOf(pair.name)).toBeUndefined();
  await pair.sendFrames([{ frame: plain, times: 5 }]);
  // What was counted is there until the pins are gone.
  expect(sumOf(tallyOf((await reader.flip()).events)).packets).toBe(3);
  reader.capture.unpin();
  expect(existsSync(pins.path)).toBe(false);
});

/** Execs of the whole host wait in the ring, too; they are given up here until packets alone are in the way, if any. */
async function withoutRecords<Result>(attempt: () => Result): Promise<Result> {
  const buffer = Buffer.alloc(64 * 1024);
  for (let n = 0; n < 50; n += 1) {
    const capture = openCapture(pins.path, 64 * 1024);
    for (let read = capture.exec.read(buffer, 1000); read.records > 0; read = capture.exec.read(buffer, 1000))
      capture.exec.commit(read.position, acknowledging(read.records));
    capture.close();
    try {
      return attempt();
    } catch (error) {
      if (!/ records in the kernel/.test(String(error))) throw error;
    }
    await sleep(10);
  }
  throw new Error('there were execs at each of 50 attempts');
}

test('packets that wait are not thrown away without a word; with it, each slot has its exact account', async () => {
  const pair = new VethPair();
  const other = new VethPair();
  const reader = new PacketReader(pins.path, { excluded });
  reader.packets.attach(pair.index);
  reader.packets.attach(other.index);
  const runs = (times: number) => [
    { frame: plain, times: 10 * times },
    { frame: tooShort, times },
    { frame: filtered, times: 2 * times },
  ];
  // An epoch that is published, one that is frozen, and one that is being counted.
  await pair.sendFrames(runs(1));
  await other.sendFrames(runs(2));
  await reader.flip();
  await pair.sendFrames(runs(3));
  await reader.capture.advanceEpoch();
  await pair.sendFrames(runs(5));
  reader.close();

  await expect(withoutRecords(() => detachPinned(pins.path, false))).rejects.toMatchObject({
    code: 'ERR_BACKLOG',
    message: expect.stringContaining(`${11 * (3 + 5)} packets in the kernel have not been acknowledged`),
  });
  expect(packetPins().length).toBeGreaterThan(0);

  const totals = detachPinned(pins.path, true) as FinalTotals;
  const account = { firstOffset: -1, lastOffset: -1 };
  expect(new Map(totals.packets.map((packets) => [packets.name, packets]))).toEqual(
    new Map([
      [
        pair.name,
        {
          ...account,
          name: pair.name,
          seen: 13 * 9,
          filtered: 18,
          published: 11,
          discarded: 88,
        },
      ],
      [
        other.name,
        {
          ...account,
          name: other.name,
          seen: 13 * 2,
          filtered: 4,
          published: 22,
          discarded: 0,
        },
      ],
    ]),
  );
  for (const { seen, filtered: out, published, discarded } of totals.packets)
    expect(out + published + discarded).toBe(seen);
  expect(xdpProgramOf(pair.name)).toBeUndefined();
  expect(existsSync(pins.path)).toBe(false);
});

test('counts that are acknowledged and not yet cleared are not in the way, and are not counted as discarded', async () => {
  const pair = new VethPair();
  const reader = new PacketReader(pins.path);
  reader.packets.attach(pair.index);
  await pair.sendFrames([{ frame: plain, times: 4 }]);
  await reader.capture.advanceEpoch();
  reader.acknowledge((await reader.read()).frozen);
  reader.close();
  expect(detachPinned(pins.path, true)?.packets).toMatchObject([{ seen: 4, published: 4, discarded: 0 }]);
});

test('filtered packets alone are no backlog', async () => {
  const pair = new VethPair();
  const reader = new PacketReader(pins.path, { excluded });
  reader.packets.attach(pair.index);
  await pair.sendFrames([{ frame: filtered, times: 4 }]);
  reader.close();
  const totals = await withoutRecords(() => detachPinned(pins.path, false));
  expect(totals?.packets).toMatchObject([{ seen: 4, filtered: 4, published: 0, discarded: 0 }]);
});

test('maps that are too large: one line that names the flag, and nothing stays', () => {
  using capture = Object.assign(openCapture(pins.path, 64 * 1024), {
    [Symbol.dispose]() {
      capture.close();
    },
  });
  // More buckets than the kernel counts: it refuses before it takes any memory (htab_map_alloc).
  const { code, message } = failure(() => openPackets(capture, { ...settings, flows: 2 ** 31 }));
  expect(code).toBe('ERR_BPF');
  expect(message).toMatch(/^cannot make room for 2147483648 packet keys, twice: .*lower --packet-flows$/);
  expect(message?.split('\n')).toHaveLength(1);
  expect(packetPins()).toEqual([]);
  // The capture goes on, and counts with fewer.
  expect(openPackets(capture, settings).status()).toMatchObject({ resumed: false, flows: settings.flows });
});
