import { expect, test } from 'vitest';
import { schemaFinding } from '../../../src/check/registry.ts';
import { topicFinding } from '../../../src/check/topics.ts';
import type { TopicName } from '../../../src/kafka/topics.ts';

const settings = {
  'cleanup.policy': 'delete',
  'min.insync.replicas': '2',
  'max.message.bytes': '1048588',
  'message.timestamp.type': 'CreateTime',
};
const description = { partitions: 6, replicas: 3, ready: true };
const of = (
  changed: Partial<typeof settings>,
  name: TopicName = 'exec-events',
  shape: Partial<typeof description> = {},
) =>
  topicFinding(
    {
      name,
      topic: `p.${name}`,
      description: { ...description, ...shape },
      settings: new Map(Object.entries({ ...settings, ...changed })),
    },
    false,
  );

test('a topic as it should be', () => {
  expect(of({})).toEqual({
    status: 'pass',
    subject: 'topic p.exec-events',
    found: '6 partitions, 3 replicas, cleanup.policy=delete, min.insync.replicas=2, max.message.bytes=1048588',
  });
});

test('one of a kind is not called several', () => {
  const { found } = of({ 'min.insync.replicas': '1' }, 'exec-events', { partitions: 1, replicas: 1 });
  expect(found).toMatch(/^1 partition, 1 replica, /);
});

test('one that is missing fails, unless run creates it', () => {
  const missing = { name: 'exec-events', topic: 'exec-events', description: undefined, settings: undefined } as const;
  expect(topicFinding(missing, false)).toMatchObject({ status: 'fail', remedy: 'create it, or give --create-topics' });
  expect(topicFinding(missing, true)).toMatchObject({ status: 'pass' });
});

test('events in a compacted topic, and a partition without a leader, fail', () => {
  expect(of({ 'cleanup.policy': 'compact,delete' })).toMatchObject({
    status: 'fail',
    remedy: 'set cleanup.policy=delete',
  });
  expect(of({}, 'exec-events', { ready: false })).toMatchObject({ status: 'fail' });
});

test.each([
  ['few replicas', { 'min.insync.replicas': '1' }, { replicas: 1 }, 'give it 3 replicas'],
  [
    'fewer than a write needs',
    { 'min.insync.replicas': '3' },
    { replicas: 2 },
    'give it 3 replicas; lower min.insync.replicas',
  ],
  ['one copy', { 'min.insync.replicas': '1' }, {}, 'set min.insync.replicas=2'],
  ['small messages', { 'max.message.bytes': '100000' }, {}, 'set max.message.bytes=557056'],
  ['other times', { 'message.timestamp.type': 'LogAppendTime' }, {}, 'set message.timestamp.type=CreateTime'],
] as const)('%s: degraded, with the remedy', (_what, changed, shape, remedy) => {
  expect(of(changed, 'exec-events', shape)).toMatchObject({ status: 'degraded', remedy });
});

test('several at once are one line', () => {
  const { status, remedy } = of({ 'max.message.bytes': '1', 'min.insync.replicas': '1' });
  expect([status, remedy]).toEqual(['degraded', 'set min.insync.replicas=2; set max.message.bytes=557056']);
});

test('settings that may not be read', () => {
  const found = topicFinding({ name: 'exec-events', topic: 'exec-events', description, settings: undefined }, false);
  expect(found).toMatchObject({ status: 'degraded', remedy: 'grant DescribeConfigs on it' });
});

test('the topic of hosts is to be compacted', () => {
  expect(of({ 'cleanup.policy': 'compact' }, 'bpf2kafka-hosts')).toMatchObject({ status: 'pass' });
  expect(of({}, 'bpf2kafka-hosts')).toMatchObject({ status: 'degraded', remedy: 'set cleanup.policy=compact' });
});

test.each([
  [{ kind: 'registered', id: 4 }, false, 'pass', 'id 4 in http://r'],
  [{ kind: 'kept', id: 4, reason: 'connect ECONNREFUSED' }, false, 'degraded', 'run would use id 4'],
  [{ kind: 'missing' }, true, 'pass', 'run registers it'],
  [{ kind: 'missing' }, false, 'fail', 'not in http://r'],
  [{ kind: 'incompatible' }, true, 'fail', 'not compatible'],
] as const)('a schema that is %o, --register-schemas %o: %s', (found, registerSchemas, status, text) => {
  const finding = schemaFinding('schema s', found, { registry: 'http://r', registerSchemas });
  expect(finding).toMatchObject({ status, found: expect.stringContaining(text) });
});
