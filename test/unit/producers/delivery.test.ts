import { expect, test } from 'vitest';
import { Delivery, type DeliveryOptions } from '../../../src/producers/delivery.ts';
import type { DeliveryState } from '../../../src/producers/sender.ts';
import { packRecords } from '../../../src/records/record-packer.ts';
import {
  acknowledge,
  after,
  batchOf,
  destination,
  FakeClient,
  FakeClock,
  fail,
  fakeLog,
  hostId,
  recordOf,
  settle,
  silence,
  textsOf,
} from './fakes.ts';

const { partition } = destination;

function setUp(options: Partial<DeliveryOptions> = {}) {
  const client = new FakeClient();
  const clock = new FakeClock();
  const { log, lines } = fakeLog();
  const states: DeliveryState[] = [];
  const delivery = new Delivery({
    client,
    destinations: new Map([['exec-events', destination]]),
    clock,
    log,
    random: () => 1,
    onStateChange: (state) => states.push(state),
    ...options,
  });
  return { client, clock, delivery, lines, states, stateNames: () => states.map(({ state }) => state) };
}

test('an acknowledgement names the partition of the host and the first offset', async () => {
  const { client, delivery } = setUp();
  client.replies = [acknowledge(41)];
  await expect(delivery.accept(batchOf('a', 'b'))).resolves.toEqual({
    topic: 'test.exec-events',
    partition,
    firstOffset: 41,
    lastOffset: 42,
    records: 2,
  });
  expect(client.sends[0]?.send).toMatchObject({ topic: 'test.exec-events', partition, compression: 'zstd' });
  expect(client.sends[0]?.send.records.at(1)).toEqual({
    key: hostId,
    value: Buffer.from('b'),
    timestamp: 1_764_000_000_000 - 999,
    headers: { boot_id: 'b', seq: '1' },
  });
});

test('each record keeps its key', async () => {
  const { client, delivery } = setUp();
  const records = packRecords([recordOf('a', { key: 'another host' }), recordOf('b')]);
  await delivery.accept({ topic: 'exec-events', records });
  const keys = client.sends.flatMap(({ send }) => Array.from(send.records, ({ key }) => key));
  expect(keys).toEqual(['another host', hostId]);
});

test('a record that cannot have the time of its event says so in a header, in every attempt the same', async () => {
  const { client, clock, delivery } = setUp();
  client.replies = [fail('away')];
  const event = clock.now + 3_600_000;
  const accepted = delivery.accept({
    topic: 'exec-events',
    records: packRecords([recordOf('a', { timestamp: event, headers: { seq: '1' } })]),
  });
  const sent = clock.now;
  await clock.advance(60_000);
  await accepted;
  expect(client.sends.map(({ send }) => send.records.at(0))).toEqual([
    expect.objectContaining({ timestamp: sent, headers: { seq: '1', clock_skew: String(event) } }),
    expect.objectContaining({ timestamp: sent, headers: { seq: '1', clock_skew: String(event) } }),
  ]);
});

test('after any failure the identical batch goes through a new producer', async () => {
  const { client, clock, delivery, stateNames } = setUp();
  client.replies = [
    acknowledge(),
    fail('connection closed'),
    fail('out of order', 'OUT_OF_ORDER_SEQUENCE_NUMBER'),
    acknowledge(7),
  ];
  await delivery.accept(batchOf('before'));
  const accepted = delivery.accept(batchOf('x', 'y'));
  await clock.advance(10_000);
  expect((await accepted).firstOffset).toBe(7);
  expect(client.sends.map(({ producer }) => producer)).toEqual([0, 0, 1, 2]);
  expect(client.producers.map(({ ended }) => ended)).toEqual(['discarded', 'discarded', undefined]);
  const [, first, second, third] = client.sends.map(({ send }) => send);
  expect(second).toEqual(first);
  expect(third).toEqual(first);
  expect(delivery.figures).toMatchObject({ acknowledgedRecords: 3, retries: 2, producers: 3 });
  expect(stateNames()).toEqual(['sending', 'idle', 'sending', 'retrying', 'retrying', 'idle']);
});

test('it tries for ever, ever more slowly to the cap, and quickly again after a success', async () => {
  const { client, clock, delivery } = setUp();
  client.replies = Array.from({ length: 200 }, () => fail('away'));
  const accepted = delivery.accept(batchOf('x'));
  const waits: number[] = [];
  for (let attempt = 0; attempt < 200; attempt += 1) {
    await settle();
    const [wait = Number.NaN] = clock.waits;
    waits.push(wait);
    await clock.advance(wait);
  }
  await accepted;
  expect(waits.slice(0, 4)).toEqual([100, 200, 400, 800]);
  expect(new Set(waits.slice(9))).toEqual(new Set([30_000]));
  client.replies = [fail('away')];
  const again = delivery.accept(batchOf('y'));
  await settle();
  expect(clock.waits).toEqual([100]);
  await clock.advance(100);
  await again;
});

test('an outage of an hour is some lines in the log, not one an attempt, and its end is told', async () => {
  const { client, clock, delivery, lines } = setUp({ random: () => 0.5 });
  client.replies = Array.from({ length: 250 }, () => fail('away'));
  const accepted = delivery.accept(batchOf('secret-argument'));
  await clock.advance(3_600_000);
  client.replies = [];
  await clock.advance(60_000);
  await accepted;
  const warnings = lines.filter(({ level }) => level === 'warn');
  expect(warnings.length).toBeGreaterThan(1);
  expect(warnings.length).toBeLessThanOrEqual(62);
  expect(lines.at(-1)).toMatchObject({ level: 'info', message: 'the broker acknowledges again' });
  expect(lines.at(-1)?.fields.outageMillis).toBeGreaterThan(3_500_000);
  expect(JSON.stringify(lines)).not.toContain('secret-argument');
});

test('an outage is one state from its first failure, each new reason is told once', async () => {
  const { client, clock, delivery, states, lines } = setUp();
  client.replies = [fail('refused'), fail('refused'), fail('timed out')];
  const begun = clock.now;
  const accepted = delivery.accept(batchOf('x'));
  await clock.advance(100 + 200 + 400);
  await accepted;
  expect(states.slice(1)).toEqual([
    { state: 'retrying', since: begun, reason: 'refused' },
    { state: 'retrying', since: begun, reason: 'timed out' },
    { state: 'idle', since: begun + 700 },
  ]);
  expect(lines.at(-1)?.fields).toMatchObject({ attempts: 4, outageMillis: 700 });
});

test('a second outage within a minute is told at once', async () => {
  const { client, clock, delivery, lines } = setUp();
  for (const value of ['x', 'y']) {
    client.replies = [fail('away')];
    const accepted = delivery.accept(batchOf(value));
    await clock.advance(100);
    await accepted;
  }
  expect(lines.map(({ level }) => level)).toEqual(['warn', 'info', 'warn', 'info']);
});

test('a batch that is refused for its content is held, and the log names code and topic', async () => {
  const { client, clock, delivery, lines, states } = setUp();
  client.replies = Array.from({ length: 5 }, () => fail('too large', 'MESSAGE_TOO_LARGE'));
  const accepted = delivery.accept(batchOf('x'));
  await clock.advance(10_000);
  await accepted;
  expect(lines.filter(({ level }) => level === 'error')).toEqual([
    expect.objectContaining({
      fields: expect.objectContaining({ code: 'MESSAGE_TOO_LARGE', topic: 'test.exec-events' }),
    }),
  ]);
  expect(states.find(({ state }) => state === 'retrying')?.reason).toBe('MESSAGE_TOO_LARGE');
  expect(client.sends).toHaveLength(6);
});

test.each([
  ['no partition at all, as kafkajs answers for one that it does not know', []],
  ['another partition', [{ topic: destination.topic, partition: partition + 1, errorCode: 0, baseOffset: 1 }]],
  ['another topic', [{ topic: 'other', partition, errorCode: 0, baseOffset: 1 }]],
  [
    'one partition too many',
    [0, 1].map((more) => ({ topic: destination.topic, partition: partition + more, errorCode: 0, baseOffset: 1 })),
  ],
  ['an error code', [{ topic: destination.topic, partition, errorCode: 6, baseOffset: 1 }]],
  ['no offset', [{ topic: destination.topic, partition, errorCode: 0, baseOffset: undefined }]],
  ['offset -1', [{ topic: destination.topic, partition, errorCode: 0, baseOffset: -1 }]],
])('an answer with %s is a failure', async (_, partitions) => {
  const { client, clock, delivery } = setUp();
  client.replies = [() => ({ partitions, throttleMillis: 0 }), acknowledge(5)];
  const accepted = delivery.accept(batchOf('x'));
  await clock.advance(1_000);
  expect((await accepted).firstOffset).toBe(5);
  expect(client.sends.map(({ producer }) => producer)).toEqual([0, 1]);
});

test('a broker that says nothing is left after the timeout', async () => {
  const { client, clock, delivery, states } = setUp();
  client.replies = [silence];
  const accepted = delivery.accept(batchOf('x'));
  await clock.advance(9_999);
  expect(client.sends).toHaveLength(1);
  await clock.advance(1 + 100);
  await accepted;
  expect(client.sends.map(({ producer }) => producer)).toEqual([0, 1]);
  expect(client.producers[0]?.ended).toBe('discarded');
  expect(states.find(({ state }) => state === 'retrying')?.reason).toBe('no answer within 10000 ms');
});

test('throttling is a state and gives the next send more time, no new producer', async () => {
  const { client, clock, delivery, stateNames } = setUp();
  client.replies = [acknowledge(0, 25_000), after(clock, 30_000, acknowledge(9)), silence];
  await delivery.accept(batchOf('x'));
  const second = delivery.accept(batchOf('y'));
  await settle();
  expect(delivery.state.state).toBe('throttled');
  await clock.advance(30_000);
  expect((await second).firstOffset).toBe(9);
  expect(delivery.figures).toMatchObject({ producers: 1, retries: 0 });
  expect(stateNames()).toEqual(['sending', 'idle', 'throttled', 'idle']);
  // And the time is the last one: this answer did not throttle.
  const third = delivery.accept(batchOf('z'));
  await clock.advance(10_000 + 100);
  await third;
  expect(delivery.figures.producers).toBe(2);
});

test('the producer is renewed before it has sent too many records, and nothing is retried for it', async () => {
  const { client, delivery } = setUp({ settings: { maxRecordsPerProducer: 5 } });
  for (const _ of [1, 2, 3, 4]) await delivery.accept(batchOf('a', 'b'));
  expect(client.sends.map(({ producer }) => producer)).toEqual([0, 0, 1, 1]);
  expect(client.producers.map(({ ended }) => ended)).toEqual(['closed', undefined]);
  expect(delivery.figures).toMatchObject({ producers: 2, retries: 0 });
});

test('a batch over the limits is sent in pieces, in order, and acknowledged as a whole', async () => {
  const { client, delivery } = setUp({ settings: { maxRecords: 2 } });
  client.replies = [acknowledge(10), acknowledge(12), acknowledge(14)];
  await expect(delivery.accept(batchOf('a', 'b', 'c', 'd', 'e'))).resolves.toMatchObject({
    firstOffset: 10,
    lastOffset: 14,
    records: 5,
  });
  expect(client.sends.map(({ send }) => textsOf(send.records))).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
});

test('a piece that fails is sent again before the next one', async () => {
  const { client, clock, delivery } = setUp({ settings: { maxRecords: 1 } });
  client.replies = [acknowledge(), fail('away')];
  const accepted = delivery.accept(batchOf('a', 'b', 'c'));
  await clock.advance(1_000);
  await accepted;
  expect(client.sends.flatMap(({ send }) => textsOf(send.records))).toEqual(['a', 'b', 'b', 'c']);
});

test('the topic may lower the size of a batch', async () => {
  const small = { ...destination, maxBatchBytes: 40 };
  const { client, delivery } = setUp({ destinations: new Map([['exec-events', small]]) });
  await delivery.accept(batchOf('x'.repeat(20), 'y'.repeat(20)));
  expect(client.sends).toHaveLength(2);
});

test('callers at the same time are served one after the other', async () => {
  const { client, delivery } = setUp();
  const values = ['a', 'b', 'c'];
  await Promise.all(values.map((value) => delivery.accept(batchOf(value))));
  expect(client.sends.flatMap(({ send }) => textsOf(send.records))).toEqual(values);
  expect(delivery.figures.retries).toBe(0);
});

test('an abort while it waits for the broker ends it, and the next batch goes through a new producer', async () => {
  const { client, clock, delivery } = setUp();
  client.replies = [silence];
  const stop = new AbortController();
  const accepted = delivery.accept(batchOf('x'), stop.signal);
  const queued = delivery.accept(batchOf('y'));
  await settle();
  stop.abort();
  await expect(accepted).rejects.toMatchObject({ code: 'ERR_UNDELIVERED' });
  await queued;
  expect(client.sends.map(({ producer }) => producer)).toEqual([0, 1]);
  expect(client.producers[0]?.ended).toBe('discarded');
  expect(clock.waits).toEqual([]);
});

test('an abort during the backoff says what the trouble was', async () => {
  const { client, clock, delivery } = setUp();
  client.replies = [fail('connection refused')];
  const stop = new AbortController();
  const accepted = delivery.accept(batchOf('x'), stop.signal);
  await settle();
  stop.abort();
  await expect(accepted).rejects.toThrow('connection refused');
  expect(clock.waits).toEqual([]);
});

test('an abort of a caller who still waits for its turn leaves the others alone', async () => {
  const { client, clock, delivery } = setUp();
  client.replies = [after(clock, 50, acknowledge(1))];
  const stop = new AbortController();
  const first = delivery.accept(batchOf('a'));
  const second = delivery.accept(batchOf('b'), stop.signal);
  const third = delivery.accept(batchOf('c'));
  stop.abort();
  await expect(second).rejects.toMatchObject({ code: 'ERR_UNDELIVERED' });
  await clock.advance(50);
  await Promise.all([first, third]);
  expect(client.sends.flatMap(({ send }) => textsOf(send.records))).toEqual(['a', 'c']);
  expect(client.producers).toHaveLength(1);
});

test('close ends what is outstanding, the producer and every timer, and may be called twice', async () => {
  const { client, clock, delivery } = setUp();
  client.replies = [acknowledge(), silence];
  await delivery.accept(batchOf('x'));
  const accepted = delivery.accept(batchOf('y'));
  await settle();
  const closed = Promise.all([delivery.close(), delivery.close()]);
  await expect(accepted).rejects.toMatchObject({ code: 'ERR_UNDELIVERED' });
  await closed;
  await expect(delivery.accept(batchOf('z'))).rejects.toMatchObject({ code: 'ERR_UNDELIVERED' });
  expect(client.producers.map(({ ended }) => ended)).toEqual(['discarded']);
  expect(clock.waits).toEqual([]);
});

test('close ends an idle producer in order', async () => {
  const { client, delivery } = setUp();
  await delivery.accept(batchOf('x'));
  await delivery.close();
  expect(client.producers.map(({ ended }) => ended)).toEqual(['closed']);
});

test('the byte cap spreads what waited over time', async () => {
  const { client, clock, delivery } = setUp({ settings: { maxBytesPerSecond: 100 } });
  const batch = batchOf('x'.repeat(74));
  expect(batch.records.bytes).toBe(100);
  const accepted = Promise.all([delivery.accept(batch), delivery.accept(batch), delivery.accept(batch)]);
  await clock.advance(1_500);
  expect(client.sends).toHaveLength(2);
  await clock.advance(500);
  await accepted;
});

test('a topic that was not prepared and an empty batch are errors of the caller', async () => {
  const { delivery } = setUp();
  await expect(delivery.accept({ topic: 'other', records: batchOf('x').records })).rejects.toThrow(TypeError);
  await expect(delivery.accept(batchOf())).rejects.toThrow(TypeError);
});
