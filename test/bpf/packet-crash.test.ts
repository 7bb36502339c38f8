import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { PacketSettings } from '../../src/kernel/packet-capture.ts';
import { tool } from '../support/capture.ts';
import { frameTable } from '../support/frame-table.ts';
import { VethPair } from '../support/network.ts';
import { type KillPoint, PacketProcess, type PacketStep } from '../support/packet-process.ts';
import { eachWithItsPins } from '../support/packet-tests.ts';
import { PacketReader, sumOf, tallyOf } from '../support/packets.ts';

/** A process that is killed while it gives an epoch up: the next one gives out the same counts, or none of them. */

const pins = eachWithItsPins();

const settings: PacketSettings = { keyKind: 'flow', flows: 32_768, excluded: [] };
/** More keys than one call deletes. */
const flows = 9_000;
const frames = frameTable.filter(({ frame }) => frame.length <= 1500).map(({ frame }) => ({ frame, times: 2 }));

/** Keys and all classes. */
async function sendSome(pair: VethPair, keys: number) {
  const sent = [await pair.sendFlows(keys), await pair.sendFrames(frames)] as const;
  return { packets: sent[0].packets + sent[1].packets, bytes: sent[0].bytes + sent[1].bytes };
}

/** What the next process has to find and do, whatever the one before had come to. */
async function expectWhole(
  pair: VethPair,
  before: Awaited<ReturnType<typeof begin>>,
  acked: boolean,
  cleared: boolean,
) {
  const { frozen, sent } = before;
  // Nobody reads; the program goes on.
  const meanwhile = await sendSome(pair, 100);
  const reader = new PacketReader(pins.path, { flows: 1024, keyKind: 'hosts' });
  expect(reader.packets.status()).toMatchObject({
    resumed: true,
    // Those of the pins.
    keyKind: 'flow',
    flows: settings.flows,
    frozenEpoch: frozen.epoch,
    ackedEpoch: acked ? frozen.epoch : frozen.epoch - 1,
    clearedEpoch: cleared ? frozen.epoch : frozen.epoch - 1,
  });
  if (!cleared)
    await expect(reader.capture.advanceEpoch()).rejects.toMatchObject({
      code: 'ERR_ADDON',
      reason: 'the packets of the one before it are not acknowledged',
    });
  if (!acked) {
    await expect(reader.packets.clearFrozen()).rejects.toMatchObject({
      name: 'Bpf2KafkaError',
      reason: 'they are not acknowledged',
    });
    const again = await reader.read();
    expect(again.frozen).toEqual(frozen);
    expect(sumOf(tallyOf(again.events))).toEqual(sent);
    reader.acknowledge(again.frozen);
  }
  if (!cleared) await reader.packets.clearFrozen();
  expect(reader.packets.table().map(({ published }) => published)).toEqual([sent.packets]);

  const next = await reader.flip();
  expect(next.frozen.epoch).toBe(frozen.epoch + 1);
  expect(sumOf(tallyOf(next.events))).toEqual(meanwhile);
  // The maps of both parities are as new.
  for (let n = 0; n < 2; n += 1) {
    const more = await sendSome(pair, 100);
    expect(more).toEqual(meanwhile);
    expect(sumOf(tallyOf((await reader.flip()).events))).toEqual(more);
  }
  const { frozen: last, cut } = await reader.flip();
  expect(last).toMatchObject({ keys: 0, classes: [] });
  const total = sent.packets + 3 * meanwhile.packets;
  expect(cut.packets).toMatchObject([{ seen: total, overflow: 0 }]);
  expect(reader.packets.table().map(({ published }) => published)).toEqual([total]);
}

/** A process that has read what an epoch has counted. */
async function begin(pair: VethPair) {
  const other = new PacketProcess(pins.path, settings, pair.index);
  await other.counting();
  const sent = await sendSome(pair, flows);
  await other.step('advance');
  const frozen = await other.step('read');
  if (frozen === undefined) throw new Error('nothing was read');
  return { other, sent, frozen };
}

test.each([
  { after: 'reading', steps: [] as PacketStep[], acked: false, cleared: false },
  { after: 'the acknowledgement', steps: ['acknowledge'] as PacketStep[], acked: true, cleared: false },
  { after: 'clearing', steps: ['acknowledge', 'clear'] as PacketStep[], acked: true, cleared: true },
])('killed after $after', async ({ steps, acked, cleared }) => {
  const pair = new VethPair();
  const begun = await begin(pair);
  for (const step of steps) await begun.other.step(step);
  await begun.other.kill();
  await expectWhole(pair, begun, acked, cleared);
});

// The tool sets a debug register of x86-64.
test
  .skipIf(!existsSync(tool('kill_in_clear')))
  .each<{ where: string; point: KillPoint; count: number; acked: boolean; cleared: boolean }>([
    {
      where: 'with the commit written, but for its one store',
      point: 'commit',
      count: 1,
      acked: false,
      cleared: false,
    },
    { where: 'right behind the store of the commit', point: 'acked', count: 1, acked: true, cleared: false },
    { where: 'before the first keys are deleted', point: 'delete', count: 1, acked: true, cleared: false },
    { where: 'with some of the keys deleted', point: 'delete', count: 2, acked: true, cleared: false },
    { where: 'with all keys deleted and the base half written', point: 'base', count: 1, acked: true, cleared: false },
    { where: 'right behind the store that says it is cleared', point: 'cleared', count: 1, acked: true, cleared: true },
  ])('killed $where', async ({ point, count, acked, cleared }) => {
  const pair = new VethPair();
  const begun = await begin(pair);
  const { killed } = await begun.other.killAt(point, count);
  begun.other.begin('acknowledge');
  begun.other.begin('clear');
  await killed;
  await expectWhole(pair, begun, acked, cleared);
});
