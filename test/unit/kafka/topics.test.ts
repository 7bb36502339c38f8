import { describe, expect, test } from 'vitest';
import type { KafkaAdmin, NewTopic, TopicDescription } from '../../../src/kafka/kafka-client.ts';
import { batchBytes, type PrepareTopicsOptions, prepareTarget, prepareTopics } from '../../../src/kafka/topics.ts';
import { FakeClock, fakeLog } from '../producers/fakes.ts';

const day = 86_400_000;

interface FakeTopic {
  description?: TopicDescription;
  settings?: Record<string, string> | undefined;
}

class FakeAdmin implements Partial<KafkaAdmin> {
  readonly created: NewTopic[] = [];
  readonly topics: Map<string, FakeTopic>;
  readonly brokers: number;
  /** How often a new topic is described before its leaders are there. */
  electing = 0;

  constructor(topics: Record<string, FakeTopic>, brokers = 3) {
    this.topics = new Map(Object.entries(topics));
    this.brokers = brokers;
  }

  async brokerCount() {
    return this.brokers;
  }

  async describeTopic(topic: string) {
    const found = this.topics.get(topic);
    if (found === undefined) return undefined;
    if (this.electing > 0) {
      this.electing -= 1;
      return { partitions: 0, replicas: 0, ready: false };
    }
    return found.description ?? { partitions: 6, replicas: 3, ready: true };
  }

  async topicSettings(topic: string) {
    const found = this.topics.get(topic);
    return found !== undefined && 'settings' in found && found.settings === undefined
      ? undefined
      : new Map(
          Object.entries(
            found?.settings ?? {
              'cleanup.policy': 'delete',
              'retention.ms': String(7 * day),
              'min.insync.replicas': '2',
              'max.message.bytes': '1048588',
            },
          ),
        );
  }

  async createTopic(topic: NewTopic) {
    this.created.push(topic);
    this.topics.set(topic.topic, {
      description: { partitions: topic.partitions, replicas: topic.replicas, ready: true },
    });
    return true;
  }
}

function prepare(admin: FakeAdmin, options: Partial<PrepareTopicsOptions> = {}) {
  const { log, lines } = fakeLog();
  const clock = new FakeClock();
  const facts = prepareTopics(admin as unknown as KafkaAdmin, {
    topics: ['exec-events'],
    prefix: '',
    createTopics: false,
    log,
    clock,
    ...options,
  });
  return { facts, clock, warnings: () => lines.filter(({ level }) => level === 'warn') };
}

test('a topic that is there is described by name without prefix', async () => {
  const { facts, warnings } = prepare(new FakeAdmin({ 'siteexec-events': {} }), { prefix: 'site' });
  expect(Object.fromEntries(await facts)).toEqual({
    'exec-events': {
      topic: 'siteexec-events',
      partitions: 6,
      retentionMillis: 7 * day,
      maxBatchBytes: batchBytes,
      replicas: 3,
      minInsyncReplicas: 2,
    },
  });
  expect(warnings()).toEqual([]);
});

test('a missing topic is an error that says how to get it', async () => {
  const admin = new FakeAdmin({});
  await expect(prepare(admin).facts).rejects.toMatchObject({
    code: 'ERR_TOPIC',
    subject: 'exec-events',
    remedy: expect.stringContaining('--create-topics'),
  });
  expect(admin.created).toEqual([]);
});

test('a missing topic is created when asked, with three copies of which two must be written', async () => {
  const admin = new FakeAdmin({}, 5);
  await prepare(admin, { createTopics: true }).facts;
  expect(admin.created).toEqual([
    {
      topic: 'exec-events',
      partitions: 6,
      replicas: 3,
      settings: { 'cleanup.policy': 'delete', 'retention.ms': String(7 * day), 'min.insync.replicas': '2' },
    },
  ]);
});

test('on one broker it has one copy, and the embedded one is not complained about', async () => {
  const admin = new FakeAdmin({}, 1);
  const { facts, warnings } = prepare(admin, { createTopics: true, singleNode: true });
  await facts;
  expect(admin.created[0]).toMatchObject({
    replicas: 1,
    settings: { 'cleanup.policy': 'delete', 'retention.ms': String(7 * day) },
  });
  expect(admin.created[0]?.settings).not.toHaveProperty('min.insync.replicas');
  expect(warnings()).toEqual([]);
});

test('what exists is never created or changed', async () => {
  const admin = new FakeAdmin({ 'exec-events': {} });
  await prepare(admin, { createTopics: true }).facts;
  expect(admin.created).toEqual([]);
});

test('a new topic is waited for until it has leaders, but not for ever', async () => {
  const admin = new FakeAdmin({});
  admin.electing = 3;
  const { facts, clock } = prepare(admin, { createTopics: true });
  await clock.advance(1_000);
  expect((await facts).get('exec-events')?.partitions).toBe(6);

  const stuck = new FakeAdmin({ 'exec-events': { description: { partitions: 6, replicas: 3, ready: false } } });
  const second = prepare(stuck);
  const checked = expect(second.facts).rejects.toMatchObject({
    code: 'ERR_TOPIC',
    reason: expect.stringContaining('no leader'),
  });
  await second.clock.advance(11_000);
  await checked;
});

test.each(['compact', 'compact,delete'])('an event topic with cleanup.policy=%s is refused', async (policy) => {
  const admin = new FakeAdmin({ 'exec-events': { settings: { 'cleanup.policy': policy } } });
  await expect(prepare(admin).facts).rejects.toMatchObject({
    code: 'ERR_TOPIC',
    reason: expect.stringContaining('compact'),
  });
});

test('the topic of hosts is made compacted and may be so', async () => {
  const admin = new FakeAdmin({});
  await prepare(admin, { topics: ['bpf2kafka-hosts'], createTopics: true }).facts;
  expect(admin.created[0]?.settings).toMatchObject({ 'cleanup.policy': 'compact' });
  const compacted = new FakeAdmin({ 'bpf2kafka-hosts': { settings: { 'cleanup.policy': 'compact' } } });
  await expect(prepare(compacted, { topics: ['bpf2kafka-hosts'] }).facts).resolves.toBeDefined();
});

test('fewer than three copies are one warning for all topics', async () => {
  const description = { partitions: 6, replicas: 1, ready: true };
  const admin = new FakeAdmin({ 'exec-events': { description }, 'exit-events': { description } });
  const { facts, warnings } = prepare(admin, { topics: ['exec-events', 'exit-events'] });
  await facts;
  expect(warnings()).toEqual([expect.objectContaining({ fields: { topics: ['exec-events (1)', 'exit-events (1)'] } })]);
});

test('LogAppendTime is warned about', async () => {
  const admin = new FakeAdmin({ 'exec-events': { settings: { 'message.timestamp.type': 'LogAppendTime' } } });
  const { facts, warnings } = prepare(admin);
  await facts;
  expect(
    warnings()
      .map(({ message }) => message)
      .join(),
  ).toContain('LogAppendTime');
});

test('a small max.message.bytes makes batches smaller, and the warning has the figures', async () => {
  const admin = new FakeAdmin({ 'exec-events': { settings: { 'max.message.bytes': '100000' } } });
  const { facts, warnings } = prepare(admin);
  const maxBatchBytes = (await facts).get('exec-events')?.maxBatchBytes;
  expect(maxBatchBytes).toBeLessThan(100_000);
  expect(maxBatchBytes).toBeGreaterThan(80_000);
  expect(warnings()[0]?.fields).toMatchObject({ maxMessageBytes: 100_000, maxBatchBytes });
});

test('settings that may not be read leave the topic usable, with one warning', async () => {
  const admin = new FakeAdmin({ 'exec-events': { settings: undefined } });
  const { facts, warnings } = prepare(admin);
  expect((await facts).get('exec-events')).toMatchObject({
    retentionMillis: Number.POSITIVE_INFINITY,
    maxBatchBytes: batchBytes,
  });
  expect(warnings()).toHaveLength(1);
});

test.each([
  [{ 'retention.ms': '-1', 'cleanup.policy': 'delete' }, Number.POSITIVE_INFINITY],
  [{ 'retention.ms': '1000', 'cleanup.policy': 'delete' }, 1_000],
])('the retention of %o is %d', async (settings, retentionMillis) => {
  const admin = new FakeAdmin({ 'exec-events': { settings } });
  expect((await prepare(admin).facts).get('exec-events')?.retentionMillis).toBe(retentionMillis);
});

describe('a topic of a user that documents are written to', () => {
  const target = (admin: FakeAdmin) =>
    prepareTarget(admin as unknown as KafkaAdmin, { topic: 'siem', log: fakeLog().log, clock: new FakeClock() });

  test('is described, and never created', async () => {
    await expect(target(new FakeAdmin({ siem: {} }))).resolves.toMatchObject({ topic: 'siem', partitions: 6 });
    const admin = new FakeAdmin({});
    await expect(target(admin)).rejects.toMatchObject({ code: 'ERR_TOPIC', subject: 'siem', remedy: 'create it' });
    expect(admin.created).toEqual([]);
  });

  test('may not be compacted: its key is the host', async () => {
    const admin = new FakeAdmin({ siem: { settings: { 'cleanup.policy': 'compact,delete' } } });
    await expect(target(admin)).rejects.toMatchObject({ code: 'ERR_TOPIC', remedy: 'set cleanup.policy=delete' });
  });
});
