import { describe, expect, test } from 'vitest';
import type { OutgoingBatch } from '../../src/batch.ts';
import { systemClock as clock } from '../../src/clock.ts';
import { createKafkaClient } from '../../src/kafka/client.ts';
import type { KafkaClient } from '../../src/kafka/kafka-client.ts';
import { prepareTopics } from '../../src/kafka/topics.ts';
import { createLog } from '../../src/log.ts';
import type { DeadLetters, RefusedRecord } from '../../src/producers/dead-letters.ts';
import { Delivery, type DeliverySettings } from '../../src/producers/delivery.ts';
import { packRecords } from '../../src/records/record-packer.ts';
import { destinationsOf } from '../support/destinations.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic } from '../support/kcat.ts';
import { startBehindProxy } from '../support/lossy-proxy.ts';
import { flipBit, makeInvalid } from '../support/record-batches.ts';
import { waitFor } from '../support/wait-for.ts';
import { hostId, recordOf, textsOf } from '../unit/producers/fakes.ts';

const log = createLog('silent');
const topic = 'exec-events';

/** Quick retries, so that a test does not wait for the jitter. */
async function newDelivery(
  client: KafkaClient,
  settings: Partial<DeliverySettings> = {},
  deadLetters: { readonly deadLetters?: DeadLetters } = {},
) {
  await using admin = await client.connectAdmin();
  const topics = await prepareTopics(admin, {
    topics: [topic],
    prefix: '',
    createTopics: true,
    singleNode: true,
    log,
    clock,
  });
  return new Delivery({
    client,
    destinations: destinationsOf(topics, hostId),
    clock,
    log,
    settings: { backoffCapMillis: 500, ...settings },
    ...deadLetters,
  });
}

/** Ten records, all batches of one size: `name` has a fixed length. */
function batchOf(name: string): OutgoingBatch {
  const records = Array.from({ length: 10 }, (_, index) => recordOf(`${name}:${index}`, { timestamp: Date.now() }));
  return { topic, records: packRecords(records) };
}

const valuesOf = ({ records }: OutgoingBatch) => textsOf(records);

async function readValues(brokers: string): Promise<string[]> {
  return (await readTopic(brokers, topic)).map(({ value }) => value.toString());
}

/** Delivers batches without a break until told to stop. */
function deliverMeanwhile(delivery: Delivery) {
  let going = true;
  let acknowledged = 0;
  const sent: string[] = [];
  const done = (async () => {
    for (let number = 0; going; number += 1) {
      const batch = batchOf(String(number).padStart(6, '0'));
      await delivery.accept(batch);
      sent.push(...valuesOf(batch));
      acknowledged += 1;
    }
  })();
  const stop = async () => {
    going = false;
    await done;
  };
  return { sent, stop, acknowledged: () => acknowledged };
}

/** Every value at least once, and in order when repeats are left out. */
function expectAll(read: readonly string[], sent: readonly string[]): void {
  expect([...new Set(read)]).toEqual(sent);
}

describe.each([
  ['is stopped for seconds', (kafka: TestKafka) => kafka.stop()],
  ['is killed', (kafka: TestKafka) => kafka.kill()],
])('when the broker %s in the middle', (_, takeAway) => {
  test('delivery waits for it, and nothing is missing', async () => {
    await using kafka = await startKafka();
    const client = createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', log });
    await using delivery = await newDelivery(client);
    const load = deliverMeanwhile(delivery);
    await waitFor(() => load.acknowledged() > 100, { what: '100 batches are acknowledged' });
    await takeAway(kafka);
    await waitFor(() => delivery.state.state === 'retrying' && delivery.figures.retries >= 2, {
      what: 'delivery retries',
      timeout: 30_000,
    });
    const before = load.acknowledged();
    await kafka.start();
    await waitFor(() => load.acknowledged() > before + 100, {
      what: '100 more batches are acknowledged',
      timeout: 30_000,
    });
    await load.stop();
    expectAll(await readValues(kafka.brokers), load.sent);
  });
});

test('a broker that hangs with its connections open is left after the timeout, and found again', async () => {
  await using kafka = await startKafka();
  const client = createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', log });
  await using delivery = await newDelivery(client, { timeoutMillis: 1_000 });
  const load = deliverMeanwhile(delivery);
  await waitFor(() => load.acknowledged() > 10, { what: '10 batches are acknowledged' });
  await kafka.pause();
  const paused = performance.now();
  await waitFor(() => delivery.state.reason === 'no answer within 1000 ms', { what: 'the timeout passes' });
  // kafkajs alone would wait for 30 s, and then for ever (see Sockets).
  expect(performance.now() - paused).toBeLessThan(4_000);
  await waitFor(() => delivery.figures.retries >= 2, { what: 'a new connection hangs as well' });
  kafka.resume();
  const before = load.acknowledged();
  await waitFor(() => load.acknowledged() > before + 10, { what: '10 more batches are acknowledged', timeout: 30_000 });
  await load.stop();
  expectAll(await readValues(kafka.brokers), load.sent);
});

describe('a question about a topic, when the broker hangs and then dies with it', () => {
  async function ask(goOn: (kafka: TestKafka) => Promise<void>) {
    await using kafka = await startKafka();
    await kafka.createTopic(topic);
    const client = createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', log });
    await using admin = await client.connectAdmin();
    await kafka.pause();
    const described = admin.describeTopic(topic);
    described.catch(() => {});
    await goOn(kafka);
    return await described;
  }

  test('is asked again until it is back', async () => {
    const described = await ask(async (kafka) => {
      await kafka.kill();
      await kafka.start();
    });
    expect(described).toMatchObject({ partitions: 1, ready: true });
  });

  test('fails with the reason when it does not come back', async () => {
    await expect(ask((kafka) => kafka.kill())).rejects.toMatchObject({
      code: 'ERR_BROKER',
      message: expect.stringContaining('ECONNREFUSED'),
      remedy: expect.stringContaining('check --brokers'),
    });
  });
});

test('close returns soon although the broker hangs', async () => {
  await using kafka = await startKafka();
  const client = createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', log });
  const delivery = await newDelivery(client);
  await delivery.accept(batchOf('before'));
  await kafka.pause();
  const accepted = delivery.accept(batchOf('during'));
  accepted.catch(() => {});
  await waitFor(() => delivery.state.state === 'sending', { what: 'the batch is on its way' });
  const begun = performance.now();
  await delivery.close();
  expect(performance.now() - begun).toBeLessThan(3_000);
  await expect(accepted).rejects.toMatchObject({ code: 'ERR_UNDELIVERED' });
});

async function setUp() {
  const stack = new AsyncDisposableStack();
  const { proxy } = stack.use(await startBehindProxy());
  const client = createKafkaClient({ brokers: [proxy.brokers], clientId: 'test', log });
  return { stack, proxy, client };
}

test('a connection that ended while nothing was sent is made anew, and no attempt fails', async () => {
  const { stack, proxy, client } = await setUp();
  await using _ = stack;
  await using delivery = await newDelivery(client);
  await delivery.accept(batchOf('before'));
  const { producers, retries } = delivery.figures;
  // As a broker does with who was silent for connections.max.idle.ms. The proxy is in this process, too.
  const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  proxy.cut();
  await waitFor(() => sockets() === 0, { what: 'both ends know' });
  await delivery.accept(batchOf('behind'));
  expect(delivery.figures).toMatchObject({ producers, retries });
});

describe('when the answer to a produce request is lost', () => {
  // It would go under the same sequence number, and a broker takes it for the first one's repeat: success, and nothing
  // written.
  test('its producer sends nothing any more', async () => {
    const { stack, proxy, client } = await setUp();
    await using _ = stack;
    await using delivery = await newDelivery(client);
    const { partition } = await delivery.accept(batchOf('before'));

    const producer = client.createProducer();
    stack.defer(() => producer.close());
    await producer.connect();
    const send = (name: string) =>
      producer.send({
        topic,
        partition,
        compression: 'none',
        timeoutMillis: 5_000,
        records: batchOf(name).records,
      });
    await send('zeroth');
    proxy.loseProduceAnswers = true;
    await expect(send('first-')).rejects.toMatchObject({ code: 'ERR_BROKER' });
    proxy.loseProduceAnswers = false;
    await expect(send('second')).rejects.toThrow('this producer has ended');

    const read = await readValues(proxy.brokers);
    expect(read).toContain('first-:0');
    expect(read).not.toContain('second:0');
  });

  test('the next batches of the same size are all written, also when the first was given up', async () => {
    const { stack, proxy, client } = await setUp();
    await using _ = stack;
    // A long wait after the failure, so that it is given up with nothing outstanding.
    await using delivery = await newDelivery(client, { backoffBaseMillis: 1e9, backoffCapMillis: 1e9 });
    await delivery.accept(batchOf('before'));

    proxy.loseProduceAnswers = true;
    const stop = new AbortController();
    const givenUp = delivery.accept(batchOf('first-'), stop.signal);
    givenUp.catch(() => {});
    await waitFor(() => delivery.state.state === 'retrying' && proxy.lost > 0, {
      what: 'an answer is lost for good',
      timeout: 30_000,
    });
    stop.abort();
    await expect(givenUp).rejects.toMatchObject({ code: 'ERR_UNDELIVERED' });
    proxy.loseProduceAnswers = false;

    const after = ['second', 'third-', 'fourth'].map(batchOf);
    for (const batch of after) await delivery.accept(batch);
    const read = await readValues(proxy.brokers);
    for (const value of after.flatMap(valuesOf)) expect(read).toContain(value);
  });

  test('the batch itself is delivered, at worst with repeats, before the next one', async () => {
    const { stack, proxy, client } = await setUp();
    await using _ = stack;
    await using delivery = await newDelivery(client);
    proxy.loseProduceAnswers = true;
    const batches = ['first-', 'second', 'third-'].map(batchOf);
    const accepted = Promise.all(batches.map((batch) => delivery.accept(batch)));
    await waitFor(() => delivery.state.state === 'retrying' && proxy.lost > 0, {
      what: 'an answer is lost for good',
      timeout: 30_000,
    });
    proxy.loseProduceAnswers = false;
    await accepted;
    expectAll(await readValues(proxy.brokers), batches.flatMap(valuesOf));
  });
});

describe('when a batch is damaged on its way to the broker', () => {
  test('once, it is sent again: nothing is missing, and nothing is there twice', async () => {
    const { stack, proxy, client } = await setUp();
    await using _ = stack;
    await using delivery = await newDelivery(client);
    proxy.damage = ({ batch }) => proxy.damaged === 0 && flipBit(batch);
    const batches = ['first-', 'second', 'third-'].map(batchOf);
    for (const batch of batches) await delivery.accept(batch);
    expect(proxy.damaged).toBe(1);
    expect(await readValues(proxy.brokers)).toEqual(batches.flatMap(valuesOf));
  });

  test('whenever it is sent, it is held: none of it is a dead letter, and it arrives when that ends', async () => {
    const { stack, proxy, client } = await setUp();
    await using _ = stack;
    const refused: RefusedRecord[] = [];
    const deadLetters = { take: async (record: RefusedRecord) => void refused.push(record) };
    await using delivery = await newDelivery(client, {}, { deadLetters });
    await delivery.accept(batchOf('before'));
    proxy.damage = ({ batch }) => flipBit(batch);
    const accepted = delivery.accept(batchOf('damaged'));
    await waitFor(() => delivery.figures.retries >= 3, { what: 'delivery has tried several times', timeout: 60_000 });
    expect(delivery.state).toMatchObject({ state: 'retrying', reason: 'CORRUPT_MESSAGE' });
    proxy.damage = () => false;
    await accepted;
    expect(refused).toEqual([]);
    expect(await readValues(proxy.brokers)).toEqual(['before', 'damaged'].map(batchOf).flatMap(valuesOf));
  });

  test('so that the broker finds one of its records invalid, that one is a dead letter and all others arrive', async () => {
    const { stack, proxy, client } = await setUp();
    await using _ = stack;
    const refused: RefusedRecord[] = [];
    const deadLetters = { take: async (record: RefusedRecord) => void refused.push(record) };
    await using delivery = await newDelivery(client, { compression: 'none' }, { deadLetters });
    proxy.damage = ({ batch }) => batch.includes('second:7') && makeInvalid(batch);
    const batches = ['first-', 'second', 'third-'].map(batchOf);
    for (const batch of batches) await delivery.accept(batch);
    expect(refused).toMatchObject([{ topic, record: { value: Buffer.from('second:7') } }]);
    expect(refused[0]?.refusal.code).toBe('INVALID_RECORD');
    const sent = batches.flatMap(valuesOf).filter((value) => value !== 'second:7');
    expect(await readValues(proxy.brokers)).toEqual(sent);
  });
});
