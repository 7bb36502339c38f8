import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditCommand } from '../../src/commands/audit.ts';
import { createKafkaClient, type PartitionProducer } from '../../src/kafka/client.ts';
import type { AuditReport } from '../../src/ledger/audit-report.ts';
import { createLog } from '../../src/log.ts';
import type { TopicEvents, TopicName } from '../../src/schemas/catalog.ts';
import { createCodec } from '../../src/schemas/codec.ts';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import type { LedgerEntry } from '../../src/schemas/ledger-entry.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { type EpochPlan, simulate } from '../unit/ledger/histories.ts';

let kafka: TestKafka;
let producer: PartitionProducer;
let clusterId: string;
const admin = () => new Kafka({ brokers: [kafka.brokers], clientId: 'test', logLevel: logLevel.NOTHING }).admin();

beforeAll(async () => {
  kafka = await startKafka();
  const client = createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', log: createLog('silent') });
  await using known = await client.connectAdmin();
  clusterId = await known.clusterId();
  producer = client.createProducer();
  await producer.connect();
});
afterAll(async () => {
  await producer?.close();
  await kafka?.[Symbol.asyncDispose]();
});

const epoch = (plan: Partial<EpochPlan> & Pick<EpochPlan, 'events'>): EpochPlan => ({
  late: 0,
  entry: 'closed',
  pending: 1,
  early: 0,
  again: 0,
  ...plan,
});

/** One host: an attach that lost two and repeated three, and one that goes on behind it. */
function history(): { entries: LedgerEntry[]; events: ExecEvent[] } {
  const { entries, records, facts } = simulate(
    [
      {
        live: true,
        attaches: [
          {
            end: 'stopped',
            through: 0,
            nextEpoch: false,
            epochs: [
              epoch({ events: ['record', 'record', 'record', 'ring_full', 'record'], late: 2, early: 1 }),
              epoch({ events: ['record', 'fell_through', 'record', 'record'], entry: 'opened', again: 3 }),
              epoch({ events: ['record', 'record'] }),
            ],
          },
          {
            end: 'stopped',
            through: 0,
            nextEpoch: false,
            epochs: [
              epoch({ events: ['record', 'record', 'record'] }),
              epoch({ events: ['record', 'record'] }),
              epoch({ events: ['record'], entry: 'open' }),
            ],
          },
        ],
      },
    ],
    1_000_000,
    { alone: true },
  );
  // It has just happened: the open epoch of the second attach is not old yet.
  const shift = Date.now() - facts.now;
  return {
    entries: entries.map((entry) => ({
      ...entry,
      interval_start: entry.interval_start + shift,
      interval_end: entry.interval_end + shift,
    })),
    events: records.map(({ event }) => ({ ...event, event_time: event.event_time + shift })),
  };
}

async function publish<Topic extends TopicName>(prefix: string, topic: Topic, events: readonly TopicEvents[Topic][]) {
  const { records } = createCodec({ topic, framing: { kind: 'single-object' } }).encode(events);
  await producer.send({
    topic: `${prefix}${topic}`,
    partition: 0,
    records: records.map((record) => ({ key: 'host', ...record })),
    compression: 'zstd',
    timeoutMillis: 10_000,
  });
}

/** The topics as a sidecar would have left them; the ledger names the topic `home`. */
async function topics(prefix: string, entries: readonly LedgerEntry[], events: readonly ExecEvent[], home = prefix) {
  // More partitions than are used: an audit must not wait for what is empty.
  await kafka.createTopic(`${prefix}exec-events`, { partitions: 3 });
  await kafka.createTopic(`${prefix}bpf2kafka-ledger`, { partitions: 2 });
  await publish(prefix, 'exec-events', events);
  const named = entries.map((entry) => ({
    ...entry,
    destination: entry.destination && { ...entry.destination, cluster_id: clusterId, topic: `${home}exec-events` },
  }));
  // Order is no promise: the newest first, and some twice.
  await publish(prefix, 'bpf2kafka-ledger', [...named.toReversed(), ...named.slice(0, 2)]);
}

async function audit(
  prefix: string,
  options: { json?: boolean } = {},
): Promise<{ code: number; out: string; err: string }> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const config = {
    brokers: [kafka.brokers],
    registry: undefined,
    topicPrefix: prefix,
    json: options.json === true,
    since: undefined,
    until: undefined,
  };
  const code = await auditCommand(config, { stdout, stderr, stdoutClosed: new AbortController().signal });
  stdout.end();
  stderr.end();
  return { code, out: await text(stdout), err: await text(stderr) };
}

/** The sequence number of the n-th record. */
const seqOf = (events: readonly ExecEvent[], at: number) => (events[at] as ExecEvent).seq;

test('an honest history closes: a line for each account, and then the result', async () => {
  const { entries, events } = history();
  await topics('honest.', entries, events);
  const { code, out, err } = await audit('honest.');
  expect(err).toBe('');
  const lines = out.trimEnd().split('\n');
  expect(lines).toEqual([
    expect.stringMatching(
      /^"host 0" \(host-0\) boot \S+ attach 1000000, \S+Z exec: seen 11 = published 9 \+ filtered 0 \+ lost 2 \(fell_through 1, ring_full 1\); records 12, distinct 9, repeats 3; closed$/,
    ),
    expect.stringMatching(
      /attach 36000000, \S+Z exec: seen 5 = published 5 \+ filtered 0 \+ lost 0; records 5, distinct 5, repeats 0; closed \(1 pending in the open epoch 36000002\)$/,
    ),
    'lost: 2 (fell_through 1, ring_full 1); 2 accounts, seen 16, published 14, records 17, repeats 3',
  ]);
  expect(code).toBe(0);
});

test('a copy with one record left out does not close: the stream and the seq are named', async () => {
  const { entries, events } = history();
  const gone = seqOf(events, events.length - 4);
  const left = events.filter(({ seq }) => seq !== gone);
  await topics('copy.', entries, left, 'honest.');
  const { code, out } = await audit('copy.');
  expect(code).toBe(1);
  expect(out).toMatch(
    new RegExp(`attach 36000000, \\S+ exec: .*does not close: missing: 1 of 3 records .*seq ${gone}\\b`),
  );
  expect(out.trimEnd().split('\n').at(-1)).toBe('does not close: 1 of 2 accounts');
});

test.each([
  // Does not add up; and adds up, but the topic has one more.
  ['unbalanced', (entry: LedgerEntry) => ({ ...entry, published: entry.published + 1 })],
  ['unexpected', (entry: LedgerEntry) => ({ ...entry, published: entry.published - 1, lost: { ring_full: 2 } })],
])('a forged ledger does not close: %s', async (kind, forge) => {
  const { entries, events } = history();
  await topics(`${kind}.`, [...entries.slice(0, 1).map(forge), ...entries.slice(1)], events);
  const { code, out } = await audit(`${kind}.`);
  expect(code).toBe(1);
  expect(out).toMatch(new RegExp(`attach 1000000, .* exec: .*does not close: .*${kind}: `));
});

test('a topic that was made anew is lost_after_ack', async () => {
  const { entries, events } = history();
  await topics('anew.', entries, events);
  const connected = admin();
  await connected.connect();
  try {
    await connected.deleteTopics({ topics: ['anew.exec-events'] });
    await kafka.createTopic('anew.exec-events', { partitions: 3 });
  } finally {
    await connected.disconnect();
  }
  // It has grown again, with what came after the ledger's newest entry.
  const last = events.at(-1) as ExecEvent;
  await publish('anew.', 'exec-events', [{ ...last, seq: last.seq + 1, epoch: last.epoch + 5 }]);
  const { code, out } = await audit('anew.');
  expect(code).toBe(1);
  expect(out).toMatch(/attach 1000000, .*lost_after_ack: .*made anew/);
  expect(out).toMatch(/attach 36000000, .*lost_after_ack: .*made anew/);
});

test('what retention has deleted is not checkable, and what is behind it closes', async () => {
  const { entries, events } = history();
  await topics('retention.', entries, events);
  const connected = admin();
  await connected.connect();
  try {
    const partitions = [{ partition: 0, offset: '4' }];
    // Otherwise the client does not know the topic.
    await connected.fetchTopicOffsets('retention.exec-events');
    await connected.deleteTopicRecords({ topic: 'retention.exec-events', partitions });
  } finally {
    await connected.disconnect();
  }
  const { code, out } = await audit('retention.', { json: true });
  const report = JSON.parse(out) as AuditReport;
  expect(report.streams.map(({ verdict, problems }) => [verdict, problems])).toEqual([
    ['not checkable', []],
    ['closed', []],
  ]);
  expect(report.streams[0]?.not_checkable[0]?.reason).toContain('begins at offset 4');
  expect(code).toBe(0);
});

test('empty topics are no proof, and an absent one is an error', async () => {
  await kafka.createTopic('empty.exec-events');
  await kafka.createTopic('empty.bpf2kafka-ledger');
  expect(await audit('empty.')).toEqual({
    code: 1,
    out: 'nothing to audit: the ledger has no entry of this time\n',
    err: '',
  });
  await expect(audit('absent.')).rejects.toMatchObject({ code: 'ERR_TOPIC', exitCode: 4 });
});

test('a record that cannot be read is told on standard error', async () => {
  const { entries, events } = history();
  await topics('unreadable.', entries, events);
  await producer.send({
    topic: 'unreadable.exec-events',
    partition: 2,
    records: [{ key: 'host', value: Buffer.from('\u001b[2J'), timestamp: Date.now(), headers: {} }],
    compression: 'none',
    timeoutMillis: 10_000,
  });
  const { out, err } = await audit('unreadable.');
  expect(err).toMatch(/^bpf2kafka: cannot read unreadable\.exec-events, record at offset 0 of partition 2: .*\n$/);
  expect(out).toContain('could not be read');
});
