import { expect, test } from 'vitest';
import { CaptureReader, newToken, run, storm, tool } from '../support/capture.ts';
import { frameTable } from '../support/frame-table.ts';
import { VethPair } from '../support/network.ts';
import { eachWithItsPins } from '../support/packet-tests.ts';
import { PacketReader } from '../support/packets.ts';
import { waitFor } from '../support/wait-for.ts';

/** A capture that nobody reads any more stops by itself, and the time that it stood still is told. */

const pins = eachWithItsPins();
const exitRingBytes = 1024 * 1024;
const open = (orphanAfterMillis: number) =>
  new CaptureReader(pins.path, undefined, { exitRingBytes, orphanAfterMillis });

/** Execs something again and again until the kernel side counts it no more. */
async function orphaned({ capture }: Pick<CaptureReader, 'capture'>): Promise<void> {
  await waitFor(
    () => {
      const before = capture.exec.status().entered;
      run(tool('noop'), []);
      return capture.exec.status().entered === before;
    },
    { what: 'the programs have stopped' },
  );
}

const unobserved = ({ capture }: Pick<CaptureReader, 'capture'>) => ({
  exec: capture.exec.status().unobservedMicros,
  exit: capture.exit?.status().unobservedMicros,
});

test('without a heartbeat execs and exits stop, with it they go on, and the time between is unobserved', async () => {
  using reader = open(300);
  const exits = reader.exits();
  await orphaned(reader);
  const token = newToken();
  await storm(`${token}-unseen`, 50);
  expect(unobserved(reader)).toEqual({ exec: 0, exit: 0 });
  const before = process.hrtime.bigint();
  reader.capture.heartbeat();
  const { exec, exit } = unobserved(reader);
  expect(exec).toBeGreaterThan(0);
  expect(exit).toBe(exec);
  // Since the last exec that was counted, at most.
  expect(exec).toBeLessThan(Number(before) / 1000);

  const { pid } = run(tool('noop'), [`${token}-seen`]);
  await reader.find(({ args }) => args?.[1] === `${token}-seen`, 'an exec');
  await exits.find((event) => event.pid === pid, 'its exit');
  expect(reader.events.filter(({ args }) => args?.[1]?.startsWith(`${token}-unseen`))).toEqual([]);

  // Every number was given to a record: what was not observed is no hole.
  const { entered, nextSeq, attachId } = reader.status;
  reader.read();
  expect(nextSeq - attachId).toBe(entered);
  const { exec: cut } = await reader.capture.advanceEpoch();
  reader.read();
  expect(reader.events.filter(({ epoch }) => epoch < reader.status.epoch)).toHaveLength(cut.entered);
});

test('with heartbeats nothing stops, however long it takes', async () => {
  using reader = open(400);
  const token = newToken();
  for (let round = 0; round < 15; round += 1) {
    reader.capture.heartbeat();
    await storm(`${token}-${round}`, 20);
  }
  reader.read();
  const found = new Set(reader.events.map(({ args }) => args?.[1]).filter((arg) => arg?.startsWith(token)));
  expect(found.size).toBe(15 * 20);
  expect(unobserved(reader)).toEqual({ exec: 0, exit: 0 });
});

test('what was captured before is there for the next owner, with whom it goes on', async () => {
  const token = newToken();
  const first = open(300);
  run(tool('noop'), [`${token}-before`]);
  await orphaned(first);
  first.close();
  run(tool('noop'), [`${token}-unseen`]);
  using second = open(60_000);
  expect(unobserved(second).exec).toBeGreaterThan(0);
  run(tool('noop'), [`${token}-after`]);
  await second.find(({ args }) => args?.[1] === `${token}-after`, 'an exec');
  const seen = second.events.map(({ args }) => args?.[1]).filter((arg) => arg?.startsWith(token));
  expect(seen).toEqual([`${token}-before`, `${token}-after`]);
  const counted = unobserved(second);
  second.close();
  // Once, and not again with every owner.
  using third = open(60_000);
  expect(unobserved(third)).toEqual(counted);
});

test('packets are not counted either, and their interface has the same time', async () => {
  const pair = new VethPair({ mtu: 9000 });
  const reader = new PacketReader(pins.path, {}, 300);
  reader.packets.attach(pair.index);
  const frame = frameTable[0]?.frame;
  if (frame === undefined) throw new Error('there is no frame');
  const send = () => reader.runFrames(pair.index, [{ frame, times: 10 }]);
  const totals = async () => (await reader.flip()).cut.packets.find(({ name }) => name === pair.name);
  const seen = async () => (await totals())?.seen ?? 0;
  reader.capture.heartbeat();
  send();
  const before = await seen();
  expect(before).toBeGreaterThanOrEqual(10);
  await orphaned(reader);
  const stopped = await seen();
  send();
  expect(await seen()).toBe(stopped);
  reader.capture.heartbeat();
  send();
  const after = await totals();
  expect(after?.seen).toBeGreaterThanOrEqual(stopped + 10);
  expect(after?.unobservedMicros).toBe(reader.capture.exec.status().unobservedMicros);
  expect(after?.unobservedMicros).toBeGreaterThan(0);
});
