import { expect, test } from 'vitest';
import type { KafkaAdmin, KafkaClient, PartitionOffsets } from '../../../src/kafka/kafka-client.ts';
import type { ReadRecord, TopicReader } from '../../../src/kafka/reader.ts';
import { readSnapshot } from '../../../src/kafka/snapshot.ts';

const offsets = (...bounds: [low: number, high: number][]): PartitionOffsets[] =>
  bounds.map(([low, high], partition) => ({ partition, low: BigInt(low), high: BigInt(high) }));

/** A client whose topics have these offsets, and whose reader gives these records and then waits, as a topic does. */
function clientOf(topics: Record<string, PartitionOffsets[]>, records: readonly (readonly [string, number, number])[]) {
  const asked: string[] = [];
  let read: readonly string[] = [];
  let opened = 0;
  let closed = 0;
  const client = {
    connectAdmin: async () =>
      ({
        clusterId: async () => 'cluster',
        describeTopic: async (topic: string) =>
          topics[topic] && { partitions: topics[topic].length, replicas: 1, ready: true },
        topicOffsets: async (topic: string) => {
          asked.push(topic);
          return topics[topic] ?? [];
        },
        close: async () => {},
        [Symbol.asyncDispose]: async () => {},
      }) as unknown as KafkaAdmin,
    read: async (options: { topics: readonly string[]; signal?: AbortSignal }) => {
      const { signal } = options;
      read = options.topics;
      opened += 1;
      return {
        async *[Symbol.asyncIterator]() {
          for (const [topic, partition, offset] of records) {
            yield { topic, partition, offset: BigInt(offset) } as ReadRecord;
          }
          await new Promise((resolve) => signal?.addEventListener('abort', resolve));
        },
        [Symbol.asyncDispose]: async () => {
          closed += 1;
        },
      } as unknown as TopicReader;
    },
  } as unknown as KafkaClient;
  return { client, seen: () => ({ asked, read, opened, closed }) };
}

async function drain(records: AsyncIterable<ReadRecord>): Promise<string[]> {
  const read: string[] = [];
  for await (const { topic, partition, offset } of records) read.push(`${topic}/${partition}@${offset}`);
  return read;
}

test('ends at the ends that the partitions had, and leaves out what came later', async () => {
  const { client, seen } = clientOf({ a: offsets([0, 2], [5, 5]), b: offsets([3, 4]) }, [
    ['a', 0, 0],
    ['a', 1, 5],
    ['b', 0, 3],
    ['b', 0, 4],
    ['a', 0, 1],
    ['a', 0, 2],
  ]);
  const snapshot = await readSnapshot(client, { topics: ['a', 'b'] });
  expect(await drain(snapshot.records)).toEqual(['a/0@0', 'b/0@3', 'a/0@1']);
  // In the order that was asked for: what the first tells of, the second has.
  expect(seen()).toEqual({ asked: ['a', 'b'], read: ['a', 'b'], opened: 1, closed: 1 });
  expect(snapshot.clusterId).toBe('cluster');
});

test('a record behind an end that is no record ends it, and is left out', async () => {
  const { client } = clientOf({ a: offsets([0, 3]) }, [
    ['a', 0, 1],
    ['a', 0, 3],
  ]);
  const snapshot = await readSnapshot(client, { topics: ['a'] });
  expect(await drain(snapshot.records)).toEqual(['a/0@1']);
});

test('an optional topic that does not exist is left out, and one that exists is read behind the others', async () => {
  const { client, seen } = clientOf({ c: offsets([0, 1]), a: offsets([0, 1]) }, [
    ['c', 0, 0],
    ['a', 0, 0],
  ]);
  const snapshot = await readSnapshot(client, { topics: ['a'], optional: ['b', 'c'] });
  expect(await drain(snapshot.records)).toEqual(['c/0@0', 'a/0@0']);
  expect([...snapshot.offsets.keys()]).toEqual(['a', 'c']);
  expect(seen()).toMatchObject({ asked: ['a', 'c'], read: ['a', 'c'] });
});

test('topics without a record are not read at all', async () => {
  const { client, seen } = clientOf({ a: offsets([0, 0], [7, 7]) }, []);
  const snapshot = await readSnapshot(client, { topics: ['a'] });
  expect(await drain(snapshot.records)).toEqual([]);
  expect(seen().opened).toBe(0);
});

test('an end that is no record, as after a transaction, does not hang', async () => {
  const { client, seen } = clientOf({ a: offsets([0, 3]) }, [
    ['a', 0, 0],
    ['a', 0, 1],
  ]);
  const snapshot = await readSnapshot(client, { topics: ['a'], quietMillis: 50 });
  expect(await drain(snapshot.records)).toEqual(['a/0@0', 'a/0@1']);
  expect(seen().closed).toBe(1);
});
