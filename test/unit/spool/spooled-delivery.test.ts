import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Acknowledgement, Kept, OutgoingBatch } from '../../../src/batch.ts';
import type { DeliveryState } from '../../../src/producers/sender.ts';
import type { PackedRecords } from '../../../src/records/packed-records.ts';
import { packRecords } from '../../../src/records/record-packer.ts';
import type { AvroSchema } from '../../../src/schemas/fingerprint.ts';
import { openSpool } from '../../../src/spool/open-spool.ts';
import type { Spool } from '../../../src/spool/spool.ts';
import { SpooledDelivery } from '../../../src/spool/spooled-delivery.ts';
import { waitFor } from '../../support/wait-for.ts';
import { FakeClock, fakeLog, hostId, recordOf } from '../producers/fakes.ts';
import { identity, ModelRing } from './model-ring.ts';

const frame = Buffer.from('frame:');
const schema: AvroSchema = { type: 'record', name: 'Event', fields: [] };

/** A broker that answers when the test says so; the order in which batches came to it. */
class FakeDelivery {
  state: DeliveryState = { state: 'idle', since: 0 };
  readonly sent: {
    readonly text: string;
    readonly records: PackedRecords;
    readonly answer: PromiseWithResolvers<Acknowledgement>;
  }[] = [];
  readonly announced: OutgoingBatch[] = [];

  announce(batch: OutgoingBatch): void {
    this.announced.push(batch);
  }

  withdraw(): boolean {
    return false;
  }

  accept({ records }: OutgoingBatch): Promise<Acknowledgement> {
    const answer = Promise.withResolvers<Acknowledgement>();
    this.sent.push({ text: String(records.at(0).value), records, answer });
    return answer.promise;
  }

  acknowledge(index: number): void {
    const first = index * 2;
    const offsets = { firstOffset: first, lastOffset: first + 1 };
    this.sent[index]?.answer.resolve({ topic: 'exec-events', partition: 0, records: 2, ...offsets });
  }
}

let stateDir: string;
let ring: ModelRing;
let clock: FakeClock;
let spool: Spool;
let broker: FakeDelivery;
let delivery: SpooledDelivery;
let stop: AbortController;
let draining: Promise<void>;
const frames: AvroSchema[] = [];

async function start(now: AvroSchema = schema): Promise<void> {
  const { log } = fakeLog();
  const settings = { stateDir, bytes: 2 ** 20, full: 'keep' } as const;
  spool = await openSpool({ settings, identity, capture: ring, clock, log });
  broker = new FakeDelivery();
  const frameOf = async (old: AvroSchema) => {
    frames.push(old);
    return Buffer.from('older:');
  };
  delivery = new SpooledDelivery({
    spool,
    delivery: broker,
    topic: 'exec-events',
    key: hostId,
    frames: { schema: now, frame, frameOf },
    ring,
    clock,
    log,
  });
  stop = new AbortController();
  draining = delivery.drain(stop.signal);
}

async function end(): Promise<void> {
  stop.abort();
  for (const { answer } of broker.sent) answer.reject(new Error('stopped'));
  await draining.catch(() => {});
  await spool.close();
}

beforeEach(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-spool-'));
  ring = new ModelRing();
  clock = new FakeClock();
  frames.length = 0;
  await start();
});
afterEach(async () => {
  await end();
  rmSync(stateDir, { recursive: true, force: true });
});

let next = 0;
/** Gives a batch on, with the next one behind it, commits it as its source would, and tells what it came to. */
function accept(text: string): { kept?: Kept; readonly done: Promise<void> } {
  const start = next;
  next += 200;
  const span = { start, end: next, undecodable: 0, epochs: () => [[1, 2]] as const };
  const value = Buffer.concat([frame, Buffer.from(text)]);
  const record = recordOf(value, { timestamp: 5, headers: { seq: text } });
  const result: { kept?: Kept; done: Promise<void> } = { done: Promise.resolve() };
  const records = packRecords([record, record]);
  result.done = delivery.accept({ topic: 'exec-events', records, span }, stop.signal).then((kept) => {
    result.kept = kept;
    if (!('spoolId' in kept)) return;
    const { spoolId } = kept;
    const counts = { acknowledged: 0, undecodable: 0, firstOffset: -1, lastOffset: -1 };
    ring.commit(span.end, { ...counts, spooled: 2, spoolId });
    kept.committed();
  });
  result.done.catch(() => {});
  delivery.announce({ topic: 'exec-events', records });
  return result;
}

const isSpooled = (kept: Kept | undefined) => kept !== undefined && 'spoolId' in kept;

/** Time goes by for the code under test, and for the disk. */
async function until(condition: () => boolean, what: string, millis = 20): Promise<void> {
  await waitFor(
    async () => {
      await clock.advance(millis);
      return condition();
    },
    { what, interval: 5 },
  );
}

test('while the broker answers nothing goes to the disk, however full the ring is', async () => {
  ring.waitingBytes = ring.ringBytes;
  const first = accept('a');
  broker.acknowledge(0);
  await first.done;
  expect(isSpooled(first.kept)).toBe(false);
  expect(spool.id).toBeUndefined();
});

test('the ring is looked at when there is more in it, and no timer is set before', async () => {
  broker.state = { state: 'retrying', since: 0 };
  ring.waitingBytes = ring.ringBytes / 2;
  const records = packRecords([recordOf('alone')]);
  const span = { start: 0, end: 200, undecodable: 0, epochs: () => [[1, 1]] as const };
  const kept = delivery.accept({ topic: 'exec-events', records, span }, stop.signal);
  await clock.advance(1_000);
  expect(clock.waits).toEqual([]);
  ring.waitingBytes = ring.ringBytes;
  delivery.announce({ topic: 'exec-events', records });
  expect(await kept).toMatchObject({ spoolId: spool.id });
});

test('while the broker is away and the ring has room, the batch stays there', async () => {
  broker.state = { state: 'retrying', since: 0 };
  ring.waitingBytes = ring.ringBytes / 2;
  const first = accept('a');
  await clock.advance(60_000);
  expect(first.kept).toBeUndefined();
  broker.acknowledge(0);
  await first.done;
  expect(isSpooled(first.kept)).toBe(false);
});

test.each([
  ['retries', 'retrying', 0.51, 20],
  ['says nothing for a second', 'sending', 0.51, 1_000],
  ['says nothing for a tenth of it, and the ring is nearly full', 'sending', 0.76, 100],
] as const)('a broker that %s, with a ring that fills: the disk keeps the batch', async (_, state, fill, after) => {
  broker.state = { state, since: 0 };
  ring.waitingBytes = ring.ringBytes * fill;
  const begun = clock.elapsedMillis();
  const first = accept('a');
  await until(() => isSpooled(first.kept), 'the batch is spooled');
  expect(clock.elapsedMillis() - begun).toBeGreaterThanOrEqual(after);
  expect(spool.state.records).toBe(2);
  // It is sent once: what is under way is not sent again by who empties the spool.
  broker.acknowledge(0);
  await until(() => spool.isEmpty, 'the spool is empty');
  expect(broker.sent.map(({ text }) => text)).toEqual(['frame:a']);
});

test('nothing passes what is on disk: the spool is sent first, in order, framed as it was', async () => {
  broker.state = { state: 'retrying', since: 0 };
  ring.waitingBytes = ring.ringBytes;
  for (const text of ['a', 'b']) {
    const batch = accept(text);
    await until(() => isSpooled(batch.kept), `${text} is spooled`);
  }
  ring.waitingBytes = 0;
  broker.state = { state: 'idle', since: 0 };
  const third = accept('c');
  await clock.advance(5_000);
  expect(broker.sent.map(({ text }) => text)).toEqual(['frame:a']);
  broker.acknowledge(0);
  await until(() => broker.sent.length === 2, 'the second is sent');
  await clock.advance(5_000);
  expect(broker.sent).toHaveLength(2);
  broker.acknowledge(1);
  await until(() => broker.sent.length === 3, 'the third is sent');
  broker.acknowledge(2);
  await third.done;
  expect(broker.sent.map(({ text }) => text)).toEqual(['frame:a', 'frame:b', 'frame:c']);
  expect(isSpooled(third.kept)).toBe(false);
});

test('what comes back from disk is what was given, with its key', async () => {
  broker.state = { state: 'retrying', since: 0 };
  ring.waitingBytes = ring.ringBytes;
  const large = 'x'.repeat(200_000);
  for (const text of ['a', large]) {
    const batch = accept(text);
    await until(() => isSpooled(batch.kept), 'it is spooled');
  }
  broker.acknowledge(0); // the first was on its way before it was spooled
  await until(() => broker.sent.length === 2, 'the second is sent');
  const record = recordOf(`frame:${large}`, { timestamp: 5, headers: { seq: large } });
  expect([...(broker.sent[1]?.records ?? [])]).toEqual([record, record]);
});

test('what does not go to disk waits until nothing is there any more, and then goes like anything else', async () => {
  broker.state = { state: 'retrying', since: 0 };
  ring.waitingBytes = ring.ringBytes;
  const first = accept('a');
  await until(() => isSpooled(first.kept), 'the first is spooled');
  const records = packRecords([recordOf('bare', { timestamp: 5 })]);
  const bare = delivery.behind.accept({ topic: 'exec-events', records }, stop.signal);
  await clock.advance(60_000);
  expect(broker.sent.map(({ text }) => text)).toEqual(['frame:a']);
  broker.acknowledge(0);
  await until(() => broker.sent.length === 2, 'the bare one is sent');
  expect(broker.sent[1]?.text).toBe('bare');
  broker.acknowledge(1);
  expect(await bare).toMatchObject({ lastOffset: 3 });
  expect(spool.state.batches).toBe(0);
});

test('while the spool is emptied and the ring fills, batches still go to its end', async () => {
  broker.state = { state: 'retrying', since: 0 };
  ring.waitingBytes = ring.ringBytes;
  const first = accept('a');
  await until(() => isSpooled(first.kept), 'the first is spooled');
  broker.state = { state: 'idle', since: 0 };
  const second = accept('b');
  // At once: who waits is not the broker, but the batches before it.
  await until(() => isSpooled(second.kept), 'the second is spooled', 0);
});

test('records of an earlier version are framed for their schema, which the spool has kept', async () => {
  broker.state = { state: 'retrying', since: 0 };
  ring.waitingBytes = ring.ringBytes;
  const first = accept('a');
  await until(() => isSpooled(first.kept), 'the batch is spooled');
  await end();
  await start({ type: 'record', name: 'Event', fields: [{ name: 'more', type: 'long' }] });
  await until(() => broker.sent.length === 1, 'it is sent');
  expect(broker.sent[0]?.text).toBe('older:a');
  expect(frames).toEqual([schema]);
});

test('an end keeps what was not acknowledged', async () => {
  broker.state = { state: 'retrying', since: 0 };
  ring.waitingBytes = ring.ringBytes;
  const first = accept('a');
  await until(() => isSpooled(first.kept), 'the batch is spooled');
  ring.waitingBytes = 0;
  const second = accept('b');
  await end();
  await expect(second.done).rejects.toThrow();
  await start();
  await until(() => broker.sent.length === 1, 'it is sent');
  expect(broker.sent[0]?.text).toBe('frame:a');
});
