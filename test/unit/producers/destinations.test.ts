import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TopicFacts } from '../../../src/kafka/topics.ts';
import { assignDestinations, type Place } from '../../../src/producers/destinations.ts';
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

/** @param last where the capture that goes on had its newest acknowledgement */
async function assign(partitions: number, clusterId = 'cluster', topic = 'exec-events', last?: Place) {
  const facts: TopicFacts = {
    topic,
    partitions,
    retentionMillis: 1,
    maxBatchBytes: 1,
    replicas: 1,
    minInsyncReplicas: 1,
  };
  const topics = new Map([['exec-events', facts]] as const);
  const acknowledged = new Map(last === undefined ? [] : [['exec-events', last] as const]);
  const { log } = fakeLog();
  const destinations = await assignDestinations({ topics, hostId, clusterId, stateDir, acknowledged, log });
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

const placeIn = (clusterId: string, partitions: number, topic = 'exec-events'): Place => ({
  clusterId,
  topic,
  partition: partitionFor(hostId, partitions),
});

test('it moves to another cluster, and says so until something was acknowledged there', async () => {
  await assign(6);
  const before = placeIn('cluster', 6);
  expect(await assign(6, 'other', 'exec-events', before)).toMatchObject({ moved: true });
  // Killed at once: its newest entry is the one from before, or one that has no offset yet.
  expect(await assign(6, 'other', 'exec-events', before)).toMatchObject({ moved: true });
  expect(await assign(6, 'other')).toMatchObject({ moved: true });
  const there = placeIn('other', 6);
  expect(await assign(6, 'other', 'exec-events', there)).toMatchObject({ moved: false });
  expect(await assign(6, 'other')).toMatchObject({ moved: false });
});

test('it moves when the topic has lost the partition', async () => {
  await assign(6);
  const lost = partitionFor(hostId, 6);
  const place = placeIn('cluster', 6);
  expect(await assign(lost, 'cluster', 'exec-events', place)).toMatchObject({
    partition: partitionFor(hostId, lost),
    moved: true,
  });
});

test('it moves to a topic with another prefix, to which it has never written', async () => {
  await assign(6, 'cluster', 'a.exec-events');
  const last = placeIn('cluster', 6, 'a.exec-events');
  expect(await assign(6, 'cluster', 'b.exec-events', last)).toMatchObject({ moved: true });
});

test('topics with other prefixes are kept apart', async () => {
  await assign(6, 'cluster', 'a.exec-events');
  expect(await assign(8, 'cluster', 'b.exec-events')).toMatchObject({
    partition: partitionFor(hostId, 8),
    moved: false,
  });
});
