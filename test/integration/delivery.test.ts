import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { OutgoingBatch } from '../../src/batch.ts';
import { systemClock } from '../../src/clock.ts';
import { createKafkaClient } from '../../src/kafka/client.ts';
import type { KafkaClient } from '../../src/kafka/kafka-client.ts';
import { prepareTopics } from '../../src/kafka/topics.ts';
import { createLog, type Log } from '../../src/log.ts';
import { Delivery, type DeliverySettings } from '../../src/producers/delivery.ts';
import { partitionFor } from '../../src/producers/partitioner.ts';
import type { DeliveryState } from '../../src/producers/sender.ts';
import { packRecords } from '../../src/records/record-packer.ts';
import { limitProducer } from '../support/client-quota.ts';
import { destinationsOf } from '../support/destinations.ts';
import { groupsOf } from '../support/groups.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic } from '../support/kcat.ts';
import { waitFor } from '../support/wait-for.ts';
import { hostId, recordOf } from '../unit/producers/fakes.ts';

const log = createLog('silent');
const clock = systemClock;

let kafka: TestKafka;
let client: KafkaClient;
let prefixes = 0;

beforeAll(async () => {
  kafka = await startKafka();
  client = createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', log });
});

afterAll(async () => {
  await kafka[Symbol.asyncDispose]();
});

/** A delivery into a topic of its own, which it may create. */
async function newDelivery(settings: Partial<DeliverySettings> = {}, compressionOfTopic?: string) {
  prefixes += 1;
  const prefix = `d${prefixes}-`;
  if (compressionOfTopic !== undefined) {
    await kafka.createTopic(`${prefix}exec-events`, { config: { 'compression.type': compressionOfTopic } });
  }
  await using admin = await client.connectAdmin();
  const topics = await prepareTopics(admin, {
    topics: ['exec-events'],
    prefix,
    createTopics: true,
    singleNode: true,
    log,
    clock,
  });
  const delivery = new Delivery({ client, destinations: destinationsOf(topics, hostId), clock, log, settings });
  return { delivery, topic: `${prefix}exec-events`, partitions: topics.get('exec-events')?.partitions ?? 0 };
}

function batchOf(first: number, count: number): OutgoingBatch {
  const records = Array.from({ length: count }, (_, index) =>
    recordOf(`record ${first + index} \u0000\n${'x'.repeat(100)}`, {
      timestamp: Date.now() - 1_000 + index,
      headers: { boot_id: '0b0b0b0b', seq: String(first + index) },
    }),
  );
  return { topic: 'exec-events', records: packRecords(records) };
}

test.each(['zstd', 'lz4', 'snappy', 'gzip', 'none'] as const)(
  'acknowledged means readable, as it was sent, with %s',
  async (compression) => {
    const { delivery, topic, partitions } = await newDelivery({ compression });
    await using _ = delivery;
    const batches = [batchOf(0, 3), batchOf(3, 1_200), batchOf(1_203, 1)];
    const acknowledgements = [];
    for (const batch of batches) acknowledgements.push(await delivery.accept(batch));

    const partition = partitionFor(hostId, partitions);
    expect(acknowledgements).toEqual([
      { topic, partition, firstOffset: 0, lastOffset: 2, records: 3 },
      { topic, partition, firstOffset: 3, lastOffset: 1_202, records: 1_200 },
      { topic, partition, firstOffset: 1_203, lastOffset: 1_203, records: 1 },
    ]);
    const sent = batches.flatMap(({ records }) => [...records]);
    const read = await readTopic(kafka.brokers, topic);
    expect(read).toEqual(
      sent.map(({ value, timestamp, headers }, offset) => ({
        partition,
        offset,
        key: Buffer.from(hostId),
        value,
        headers: { ...headers },
        timestamp,
      })),
    );
    expect(delivery.figures).toMatchObject({ acknowledgedRecords: 1_204, retries: 0, producers: 1 });
  },
);

describe.each(['zstd', 'lz4', 'snappy', 'gzip'] as const)('%s', (compression) => {
  test('is read by the Java client inside the broker, which writes the topic without compression', async () => {
    const { delivery, topic } = await newDelivery({ compression }, 'uncompressed');
    await using _ = delivery;
    const batch = batchOf(0, 300);
    await delivery.accept(batch);
    const read = await readTopic(kafka.brokers, topic);
    expect(read.map(({ value }) => value)).toEqual(Array.from(batch.records, ({ value }) => value));
  });

  test('as the Java client writes it is read by ours', async () => {
    const { delivery, topic } = await newDelivery({ compression: 'none' }, compression);
    await using _ = delivery;
    // More than one block of 32 KiB or 64 KiB.
    const batch = batchOf(0, 900);
    await delivery.accept(batch);
    const stop = new AbortController();
    await using reader = await client.read({ topics: [topic], fromBeginning: true, signal: stop.signal });
    const values: (Buffer | null)[] = [];
    for await (const { value } of reader) {
      values.push(value);
      if (values.length === batch.records.length) break;
    }
    expect(values).toEqual(Array.from(batch.records, ({ value }) => value));
  });
});

test('an event of another time than the broker takes is written all the same, with a header that says so', async () => {
  const { delivery, topic } = await newDelivery();
  await using _ = delivery;
  const event = Date.now() + 2 * 3_600_000;
  await delivery.accept({ topic: 'exec-events', records: packRecords([recordOf('x', { timestamp: event })]) });
  const [read] = await readTopic(kafka.brokers, topic);
  expect(read?.headers.clock_skew).toBe(String(event));
  expect(Math.abs((read?.timestamp ?? 0) - Date.now())).toBeLessThan(60_000);
});

test('a renewed producer goes on where the last one ended', async () => {
  const { delivery, topic } = await newDelivery({ maxRecordsPerProducer: 25 });
  await using _ = delivery;
  for (let first = 0; first < 100; first += 10) await delivery.accept(batchOf(first, 10));
  const read = await readTopic(kafka.brokers, topic);
  expect(read.map(({ headers }) => headers.seq)).toEqual(Array.from({ length: 100 }, (_, seq) => String(seq)));
  expect(delivery.figures).toMatchObject({ producers: 5, retries: 0 });
});

test('an idle producer sets no timers', async () => {
  const { delivery } = await newDelivery();
  await using _ = delivery;
  await delivery.accept(batchOf(0, 10));
  const timers = vi.spyOn(globalThis, 'setTimeout');
  await new Promise((resolve) => setImmediate(resolve));
  const before = timers.mock.calls.length;
  // Not a wait for something: for half a second nothing may happen. Stock kafkajs sets some hundred in that time.
  await clock.sleep(500);
  const during = timers.mock.calls.length - before;
  timers.mockRestore();
  expect(during).toBeLessThan(5);
});

test('a producer refuses a second send while one is outstanding', async () => {
  const { topic } = await newDelivery();
  const producer = client.createProducer();
  await producer.connect();
  const records = packRecords([recordOf('x', { timestamp: Date.now() })]);
  const send = () => producer.send({ topic, partition: 0, records, compression: 'none', timeoutMillis: 5_000 });
  const first = send();
  await expect(send()).rejects.toThrow('outstanding');
  await first;
  await producer.close();
});

test('a quota of the broker is waited out as a state, over the same producer', async () => {
  const limited = createKafkaClient({ brokers: [kafka.brokers], clientId: 'limited', log });
  // The broker takes the average of ten seconds: 150 kB are 15 kB/s, so it asks for 5 s.
  await limitProducer(kafka.port, 'limited', 10_000);
  await using admin = await client.connectAdmin();
  const topics = await prepareTopics(admin, {
    topics: ['exec-events'],
    prefix: 'limited-',
    createTopics: true,
    singleNode: true,
    log,
    clock,
  });
  const states: DeliveryState[] = [];
  const onStateChange = (state: DeliveryState) => states.push(state);
  // The timeout alone would be too short: the throttle time is added to it.
  const settings: Partial<DeliverySettings> = { compression: 'none', timeoutMillis: 3_000 };
  await using delivery = new Delivery({
    client: limited,
    destinations: destinationsOf(topics, hostId),
    clock,
    log,
    settings,
    onStateChange,
  });
  const batch: OutgoingBatch = {
    topic: 'exec-events',
    records: packRecords([recordOf(noise(150_000), { timestamp: Date.now() })]),
  };
  // Connects, and waits for the leader of a new topic.
  await delivery.accept(batchOf(0, 1));
  const { producers, retries } = delivery.figures;
  states.length = 0;
  await delivery.accept(batch);
  const begun = performance.now();
  await delivery.accept(batch);
  expect(performance.now() - begun).toBeGreaterThan(3_000);
  expect(states.map(({ state }) => state)).toEqual(['sending', 'idle', 'throttled', 'idle']);
  expect(delivery.figures).toMatchObject({ producers, retries });
});

test('an outage is a few lines in the log, without stack traces', async () => {
  const lines: { level: string; text: string }[] = [];
  const at = (level: string) => (fields: unknown, message?: string) =>
    lines.push({ level, text: JSON.stringify([fields, message]) });
  const captured = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } as unknown as Log;
  const nobody = createKafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test', log: captured });
  const topics = new Map([
    ['exec-events', { topic: 'x', partitions: 1, retentionMillis: Infinity, maxBatchBytes: 1e6 }],
  ]);
  const delivery = new Delivery({
    client: nobody,
    destinations: destinationsOf(topics, hostId),
    clock,
    log: captured,
    settings: { backoffCapMillis: 100 },
  });
  const accepted = delivery.accept(batchOf(0, 1));
  accepted.catch(() => {});
  await waitFor(() => delivery.figures.retries >= 2, { what: 'it retries', timeout: 20_000 });
  await delivery.close();
  // One from kafkajs and one from us.
  expect(lines.filter(({ level }) => level !== 'debug')).toHaveLength(2);
  expect(lines.filter(({ text }) => text.includes('    at ') || text.includes('record 0'))).toEqual([]);
});

test('what the broker refuses for its content is held, not dropped', async () => {
  const { delivery, topic } = await newDelivery();
  await using _ = delivery;
  const records = packRecords([recordOf(noise(2_000_000), { timestamp: Date.now() })]);
  const tooLarge = { topic: 'exec-events', records };
  const stop = new AbortController();
  const accepted = delivery.accept(tooLarge, stop.signal);
  accepted.catch(() => {});
  await waitFor(() => delivery.state.reason === 'MESSAGE_TOO_LARGE' && delivery.figures.retries >= 2, {
    what: 'the broker refuses it, again',
  });
  stop.abort();
  await expect(accepted).rejects.toMatchObject({ code: 'ERR_UNDELIVERED' });
  await delivery.accept(batchOf(1, 1));
  expect((await readTopic(kafka.brokers, topic)).map(({ headers }) => headers.seq)).toEqual(['1']);
});

test('topics: missing, created as planned, and seen with their settings', async () => {
  await using admin = await client.connectAdmin();
  const options = {
    topics: ['exec-events', 'bpf2kafka-hosts'] as const,
    prefix: 'site.',
    singleNode: true,
    log,
    clock,
  };
  await expect(prepareTopics(admin, { ...options, createTopics: false })).rejects.toMatchObject({
    code: 'ERR_TOPIC',
    subject: 'site.exec-events',
  });
  const facts = await prepareTopics(admin, { ...options, createTopics: true });
  expect(facts.get('exec-events')).toMatchObject({
    topic: 'site.exec-events',
    partitions: 6,
    retentionMillis: 7 * 86_400_000,
  });
  await expect(prepareTopics(admin, { ...options, createTopics: false })).resolves.toEqual(facts);
  expect((await admin.topicSettings('site.bpf2kafka-hosts'))?.get('cleanup.policy')).toBe('compact');
  expect(await admin.clusterId()).toMatch(/^[\w-]{22}$/);
});

test('an event topic that is compacted, or small, is found out on a real broker', async () => {
  await kafka.createTopic('bad.exec-events', { config: { 'cleanup.policy': 'compact' } });
  await kafka.createTopic('small.exec-events', { config: { 'max.message.bytes': '50000' } });
  await using admin = await client.connectAdmin();
  const options = { topics: ['exec-events'] as const, createTopics: false, singleNode: true, log, clock };
  await expect(prepareTopics(admin, { ...options, prefix: 'bad.' })).rejects.toMatchObject({ code: 'ERR_TOPIC' });

  const topics = await prepareTopics(admin, { ...options, prefix: 'small.' });
  await using delivery = new Delivery({
    client,
    destinations: destinationsOf(topics, hostId),
    clock,
    log,
    settings: { compression: 'none' },
  });
  const records = Array.from({ length: 30 }, () => recordOf(noise(9_000), { timestamp: Date.now() }));
  await delivery.accept({ topic: 'exec-events', records: packRecords(records) });
  expect(delivery.figures.retries).toBe(0);
  expect(await readTopic(kafka.brokers, 'small.exec-events')).toHaveLength(30);
});

test('nobody there at start is ERR_BROKER within the deadline', async () => {
  const nobody = createKafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test', log });
  const begun = performance.now();
  await expect(nobody.connectAdmin({ deadlineMillis: 3_000 })).rejects.toMatchObject({
    code: 'ERR_BROKER',
    subject: '127.0.0.1:1',
    remedy: expect.stringContaining('a broker listens there'),
  });
  expect(performance.now() - begun).toBeLessThan(5_000);
});

test('a reader gives the records from the beginning, or those written after it was opened', async () => {
  const { delivery, topic } = await newDelivery();
  await using _ = delivery;
  await delivery.accept(batchOf(0, 5));
  await using all = await client.read({ topics: [topic], fromBeginning: true });
  await using fresh = await client.read({ topics: [topic], fromBeginning: false });
  await delivery.accept(batchOf(5, 600));

  const seqsOf = async (reader: typeof all, count: number) => {
    const seqs: string[] = [];
    for await (const { headers, key, value } of reader) {
      expect(key?.toString()).toBe(hostId);
      expect(value?.toString()).toContain(`record ${headers.seq} `);
      seqs.push(headers.seq ?? '');
      if (seqs.length === count) break;
    }
    return seqs;
  };
  const numbers = (first: number, count: number) => Array.from({ length: count }, (_, index) => String(first + index));
  expect(await seqsOf(all, 605)).toEqual(numbers(0, 605));
  expect(await seqsOf(fresh, 600)).toEqual(numbers(5, 600));
});

test('a reader ends with its signal and leaves no group behind', async () => {
  const { topic } = await newDelivery();
  const stop = new AbortController();
  const reader = await client.read({ topics: [topic], fromBeginning: true, signal: stop.signal });
  stop.abort();
  for await (const _ of reader) throw new Error('the topic is empty');
  await reader.close();
  expect((await groupsOf(kafka.brokers)).filter((group) => group.startsWith('test-tail-'))).toEqual([]);
});

test('a reader of a topic that does not exist says so', async () => {
  await expect(client.read({ topics: ['nowhere'], fromBeginning: true })).rejects.toMatchObject({ code: 'ERR_TOPIC' });
});

test.each([
  ['the broker is there', () => kafka.brokers],
  ['nobody is there', () => '127.0.0.1:1'],
])('after close nothing holds the process, when %s', async (_, brokers) => {
  const { topic } = await newDelivery();
  const source = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
  const script = `
    import { createKafkaClient } from ${source('kafka/client.ts')};
    import { Delivery } from ${source('producers/delivery.ts')};
    import { systemClock as clock } from ${source('clock.ts')};
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const client = createKafkaClient({ brokers: [${JSON.stringify(brokers())}], clientId: 'test', log });
    const topics = new Map([['exec-events', { topic: ${JSON.stringify(topic)}, partition: 0, retentionMillis: Infinity, maxBatchBytes: 1e6 }]]);
    const delivery = new Delivery({ client, destinations: topics, hostId: 'h', clock, log });
    const stop = AbortSignal.timeout(1_000);
    const batch = { topic: 'exec-events', records: [{ value: Buffer.from('x'), timestamp: Date.now(), headers: {} }] };
    await delivery.accept(batch, stop).catch(() => {});
    const begun = performance.now();
    await delivery.close();
    process.on('exit', () => console.log(Math.round(performance.now() - begun)));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
    timeout: 20_000,
  });
  expect(Number(stdout)).toBeLessThan(3_000);
});

/** Bytes that no codec makes smaller. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0, state = 1; index < length; index += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}
