import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TopicFacts } from '../../../src/kafka/topics.ts';
import { assignDestinations } from '../../../src/producers/destinations.ts';
import { partitionFor } from '../../../src/producers/partitioner.ts';
import { fakeLog } from './fakes.ts';

let stateDir: string;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-state-'));
});
afterEach(async () => {
  await rm(stateDir, { recursive: true, force: true });
});

const hostId = '3d1219c7c4c5404aaa1f6d2a48adfda4';

async function assign(partitions: number, clusterId = 'cluster', topic = 'exec-events') {
  const facts: TopicFacts = {
    topic,
    partitions,
    retentionMillis: 1,
    maxBatchBytes: 1,
    replicas: 1,
    minInsyncReplicas: 1,
  };
  const topics = new Map([['exec-events', facts]] as const);
  const destinations = await assignDestinations({ topics, hostId, clusterId, stateDir, log: fakeLog().log });
  return destinations.get('exec-events');
}

test('a host gets the partition of its id', async () => {
  expect(await assign(6)).toMatchObject({ partition: partitionFor(hostId, 6), clusterId: 'cluster', moved: false });
});

test('and keeps it when the topic gains partitions, for the order of its records', async () => {
  const before = partitionFor(hostId, 6);
  expect(partitionFor(hostId, 8)).not.toBe(before); // or this would show nothing
  await assign(6);
  expect(await assign(8)).toMatchObject({ partition: before, moved: false });
});

test('it moves to another cluster, to a topic that lost the partition, and says so once', async () => {
  await assign(6);
  expect(await assign(6, 'other')).toMatchObject({ moved: true });
  expect(await assign(6, 'other')).toMatchObject({ moved: false });
  const lost = partitionFor(hostId, 6);
  expect(await assign(lost, 'other')).toMatchObject({ partition: partitionFor(hostId, lost), moved: true });
});

test('topics with other prefixes are kept apart', async () => {
  await assign(6, 'cluster', 'a.exec-events');
  expect(await assign(8, 'cluster', 'b.exec-events')).toMatchObject({
    partition: partitionFor(hostId, 8),
    moved: false,
  });
});
