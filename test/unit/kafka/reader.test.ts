import { expect, test } from 'vitest';
import { Bpf2KafkaError } from '../../../src/errors.ts';
import { type GroupConsumer, TopicReader } from '../../../src/kafka/reader.ts';
import { settle } from '../producers/fakes.ts';

/** A consumer whose group, fetches and end are in the hands of the test. */
class FakeConsumer implements GroupConsumer {
  readonly seeks: string[] = [];
  closed = 0;
  join = () => {};
  end: (error: Error) => void = () => {};
  #eachBatch: Parameters<GroupConsumer['run']>[0] | undefined;

  async connect() {}
  async subscribe() {}
  async run(eachBatch: Parameters<GroupConsumer['run']>[0]) {
    this.#eachBatch = eachBatch;
    this.join();
  }
  seek({ topic, partition, offset }: { topic: string; partition: number; offset: string }) {
    this.seeks.push(`${topic}/${partition}@${offset}`);
  }
  onJoin(listener: () => void) {
    this.join = listener;
  }
  onEnd(listener: (error: Error) => void) {
    this.end = listener;
  }
  async close() {
    this.closed += 1;
  }

  fetch(partition: number, ...offsets: number[]): Promise<void> | undefined {
    const messages = offsets.map((offset) => ({
      offset: String(offset),
      timestamp: '1764000000000',
      key: Buffer.from('host'),
      value: Buffer.from(`v${offset}`),
      headers: { seq: Buffer.from('7'), twice: [Buffer.from('a'), Buffer.from('b')] },
    }));
    return this.#eachBatch?.({
      batch: { topic: 't', partition, messages },
      heartbeat: async () => {},
      resolveOffset: () => {},
      isRunning: () => true,
      isStale: () => false,
    });
  }
}

async function open(start: bigint[], signal?: AbortSignal) {
  const consumer = new FakeConsumer();
  const fail = (cause: unknown) => new Bpf2KafkaError('ERR_BROKER', { operation: 'read', reason: String(cause) });
  const reader = await TopicReader.open({
    consumer,
    start: new Map([['t', start]]),
    fail,
    ...(signal ? { signal } : {}),
  });
  return { consumer, reader, records: reader[Symbol.asyncIterator]() };
}

test('a record has its place, key, value, headers as text and time', async () => {
  const { consumer, records } = await open([5n]);
  void consumer.fetch(0, 5);
  expect((await records.next()).value).toEqual({
    topic: 't',
    partition: 0,
    offset: 5n,
    key: Buffer.from('host'),
    value: Buffer.from('v5'),
    headers: { seq: '7', twice: 'b' },
    timestamp: 1_764_000_000_000,
  });
});

test('after a rebalance or restart it goes on where it was: nothing twice, nothing left out', async () => {
  const { consumer, records } = await open([5n, 0n]);
  expect(consumer.seeks).toEqual(['t/0@5', 't/1@0']);
  void consumer.fetch(0, 4, 5, 6);
  consumer.join();
  expect(consumer.seeks.slice(2)).toEqual(['t/0@7', 't/1@0']);
  void consumer.fetch(0, 6, 7);
  const offsets = [];
  for (let count = 0; count < 3; count += 1) offsets.push((await records.next()).value?.offset);
  expect(offsets).toEqual([5n, 6n, 7n]);
});

test('a slow iterator holds the fetch back', async () => {
  const { consumer, records } = await open([0n]);
  let fetched = false;
  void consumer.fetch(0, ...Array.from({ length: 501 }, (_, offset) => offset))?.then(() => {
    fetched = true;
  });
  await settle();
  expect(fetched).toBe(false);
  await records.next();
  await settle();
  expect(fetched).toBe(true);
});

test('an abort ends the iteration and the consumer, once', async () => {
  const stop = new AbortController();
  const { consumer, reader, records } = await open([0n], stop.signal);
  const next = records.next();
  stop.abort();
  expect((await next).done).toBe(true);
  await reader.close();
  expect(consumer.closed).toBe(1);
});

test('a consumer that gave up is an error of the iteration', async () => {
  const { consumer, records } = await open([0n]);
  const next = records.next();
  consumer.end(new Error('not authorised'));
  await expect(next).rejects.toMatchObject({ code: 'ERR_BROKER' });
});
