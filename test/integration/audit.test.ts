import { createHash } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditCommand } from '../../src/commands/audit.ts';
import { createKafkaClient } from '../../src/kafka/client.ts';
import type { PartitionProducer } from '../../src/kafka/kafka-client.ts';
import type { AuditReport } from '../../src/ledger/audit/audit-report.ts';
import { createLog } from '../../src/log.ts';
import { packRecords } from '../../src/records/record-packer.ts';
import { type TopicEvents, type TopicName, topicSchema } from '../../src/schemas/catalog.ts';
import { createCodec } from '../../src/schemas/codec.ts';
import type { DeadLetter } from '../../src/schemas/dead-letter.ts';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import { fingerprintText } from '../../src/schemas/fingerprint.ts';
import type { LedgerEntry } from '../../src/schemas/ledger-entry.ts';
import type { PacketCount } from '../../src/schemas/packet-count.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { type EpochPlan, simulate } from '../unit/ledger/audit/histories.ts';
import { type PacketEpoch, type StoredCount, simulatePackets } from '../unit/ledger/audit/packet-histories.ts';
import { recordOf } from '../unit/producers/fakes.ts';

let producer: PartitionProducer;
let clusterId: string;
const admin = () => new Kafka({ brokers: [kafka.brokers], clientId: 'test', logLevel: logLevel.NOTHING }).admin();

beforeAll(async () => {
  const client = createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', log: createLog('silent') });
  await using known = await client.connectAdmin();
  clusterId = await known.clusterId();
  producer = client.createProducer();
  await producer.connect();
});
afterAll(async () => {
  await producer?.close();
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
    records,
    compression: 'zstd',
    timeoutMillis: 10_000,
  });
}

/** The topics as a sidecar would have left them; the ledger names the topic `home`. */
async function topics(
  prefix: string,
  entries: readonly LedgerEntry[],
  events: readonly ExecEvent[],
  home = prefix,
  counts?: readonly PacketCount[],
) {
  // More partitions than are used: an audit must not wait for what is empty.
  await kafka.createTopic(`${prefix}exec-events`, { partitions: 3 });
  await kafka.createTopic(`${prefix}bpf2kafka-ledger`, { partitions: 2 });
  await publish(prefix, 'exec-events', events);
  if (counts !== undefined) {
    await kafka.createTopic(`${prefix}packet-counts`, { partitions: 2 });
    await publish(prefix, 'packet-counts', counts);
  }
  const topicOf = ({ stream_name }: LedgerEntry) => (stream_name === 'exec' ? 'exec-events' : 'packet-counts');
  const named = entries.map((entry) => ({
    ...entry,
    destination: entry.destination && {
      ...entry.destination,
      cluster_id: clusterId,
      topic: `${home}${topicOf(entry)}`,
    },
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
    security: {},
    registry: undefined,
    registrySecurity: {},
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

/** The same host with two interfaces, three epochs with an entry each: one was written twice, one still has to close. */
function packetHistory(): { entries: LedgerEntry[]; events: ExecEvent[]; counts: PacketCount[] } {
  const epochOf = (plan: Partial<PacketEpoch>): PacketEpoch => ({
    traffic: [
      { slot: 0, key: 1, trafficClass: 'keyed', packets: 10 },
      { slot: 0, key: 2, trafficClass: 'keyed', packets: 2 ** 33 },
      { slot: 1, key: 1, trafficClass: 'fragment', packets: 7 },
      { slot: 1, key: 0, trafficClass: 'filtered', packets: 3 },
    ],
    entry: 'closed',
    late: false,
    again: 0,
    ...plan,
  });
  const epochs = [epochOf({}), epochOf({ entry: 'opened', again: 4 }), epochOf({ entry: 'open' })];
  const { entries, records, facts } = simulatePackets(
    [{ live: true, attaches: [{ slots: ['eth0', 'eth1'], epochs, end: 'stopped', through: 0 }] }],
    36_000_000,
    { alone: true },
  );
  const shift = Date.now() - facts.now;
  const moved = <Timed extends { interval_start: number; interval_end: number }>(timed: Timed): Timed => ({
    ...timed,
    interval_start: timed.interval_start + shift,
    interval_end: timed.interval_end + shift,
  });
  const execs = history();
  return {
    entries: [...execs.entries, ...entries.map(moved)],
    events: execs.events,
    counts: records.map(({ count }: StoredCount) => moved(count)),
  };
}

test('an honest history with packets closes: a line for each interface, and sums of their own', async () => {
  const { entries, events, counts } = packetHistory();
  await topics('packets.', entries, events, 'packets.', counts);
  const { code, out, err } = await audit('packets.');
  expect(err).toBe('');
  const lines = out.trimEnd().split('\n');
  expect(lines.slice(1)).toEqual([
    expect.stringContaining(' exec: seen 5 = '),
    expect.stringMatching(
      /attach 36000000, \S+Z packets:eth0: seen 17179869204 = published 17179869204 \+ filtered 0 \+ lost 0; records 8, distinct 4 of 17179869204 packets and 0 filtered, repeats 2; closed \(8589934602 pending in the open epoch 36000002\) \(8589934602 packets not yet accounted\)$/,
    ),
    expect.stringMatching(
      /packets:eth1: seen 20 = published 14 \+ filtered 6 \(exclude_ip 6\) \+ lost 0; records 8, distinct 4 of 14 packets and 6 filtered, repeats 2; closed .*\(3 filtered packets not yet accounted\)$/,
    ),
    expect.stringMatching(
      /^lost: 2 \(fell_through 1, ring_full 1\); 2 accounts, seen 16, .*; packets: 2 accounts, seen 17179869224, published 17179869218, filtered 6, records 16, repeats 4, not yet accounted 8589934609$/,
    ),
  ]);
  expect(code).toBe(0);
  const { packet_totals, totals } = JSON.parse((await audit('packets.', { json: true })).out) as AuditReport;
  expect([totals.seen, packet_totals?.seen]).toEqual([16, 17_179_869_224]);
});

test('one packet record left out does not close: its interface and its epoch are named', async () => {
  const { entries, events, counts } = packetHistory();
  const left = counts.filter(({ epoch, source_address }) => epoch !== 36_000_001 || source_address !== '192.0.2.1');
  await topics('packet-gone.', entries, events, 'packet-gone.', left);
  const { code, out } = await audit('packet-gone.');
  expect(code).toBe(1);
  expect(out).toMatch(
    /packets:eth0: .*does not close: lost_after_ack: 10 of 8589934602 packets in epochs 36000001 to 36000001 /,
  );
  expect(out.trimEnd().split('\n').at(-1)).toBe('does not close: 1 of 4 accounts');
});

test('packets without their topic do not close, and a forged filter neither', async () => {
  const { entries, events, counts } = packetHistory();
  await topics('packet-topic.', entries, events);
  expect(await audit('packet-topic.')).toMatchObject({
    code: 1,
    out: expect.stringContaining('there is no topic packet-topic.packet-counts'),
  });
  const forged = entries.map((entry) =>
    entry.stream_name === 'packets:eth1'
      ? { ...entry, seen: entry.seen + 5, filtered: { exclude_ip: (entry.filtered.exclude_ip ?? 0) + 5 } }
      : entry,
  );
  await topics('packet-forged.', forged, events, 'packet-forged.', counts);
  const { code, out } = await audit('packet-forged.');
  expect(code).toBe(1);
  expect(out).toMatch(/packets:eth1: .*does not close: lost_after_ack: 5 of 8 filtered packets in epochs/);
});

/** A dead letter of an event or a packet count, with its value. */
function letterOf<Topic extends 'exec-events' | 'packet-counts'>(topic: Topic, event: TopicEvents[Topic]): DeadLetter {
  const { schema, streamOf, timestampOf } = topicSchema(topic);
  const [record] = createCodec({ topic, framing: { kind: 'single-object' } }).encode([event]).records;
  const value = record?.value as Buffer;
  const { host_id, host_name, boot_id, attach_id, epoch } = event;
  return {
    host_id,
    host_name,
    boot_id,
    attach_id,
    epoch,
    event_time: timestampOf(event),
    topic,
    stream_name: streamOf(event),
    seq: 'seq' in event ? event.seq : null,
    schema_fingerprint: fingerprintText(schema),
    error_code: 'MESSAGE_TOO_LARGE',
    reason: 'too large',
    value_bytes: value,
    value_size: value.length,
    value_sha256: createHash('sha256').update(value).digest('hex'),
  };
}

test('what is in the dead letter is not missing', async () => {
  const { entries, events, counts } = packetHistory();
  const [whole, bare] = events as [ExecEvent, ExecEvent];
  const [count] = counts as [PacketCount];
  const of = (one: ExecEvent) => (other: ExecEvent) => other.seq === one.seq && other.epoch === one.epoch;
  const left = events.filter((event) => !of(whole)(event) && !of(bare)(event));
  await topics('dead.', entries, left, 'dead.', counts.slice(1));
  expect(await audit('dead.')).toMatchObject({ code: 1 });
  await kafka.createTopic('dead.bpf2kafka-dead-letter', { partitions: 2 });
  const letters = [letterOf('exec-events', whole), { ...letterOf('exec-events', bare), value_bytes: null }];
  await publish('dead.', 'bpf2kafka-dead-letter', [...letters, ...letters, letterOf('packet-counts', count)]);
  const { code, out, err } = await audit('dead.');
  expect(err).toBe('');
  expect(code).toBe(0);
  expect(out).toContain('(4 of the records are dead letters)');
  expect(out.trimEnd().split('\n').at(-1)).toMatch(/dead letters 4.*; packets: .*dead letters 1/);
});

test('a dead letter that lacks its packet count proves nothing, and is told', async () => {
  const { entries, events, counts } = packetHistory();
  await topics('dead-bare.', entries, events, 'dead-bare.', counts.slice(1));
  await kafka.createTopic('dead-bare.bpf2kafka-dead-letter');
  const letter = { ...letterOf('packet-counts', counts[0] as PacketCount), value_bytes: null };
  await publish('dead-bare.', 'bpf2kafka-dead-letter', [letter]);
  const { code, out, err } = await audit('dead-bare.');
  expect(err).toContain('dead-bare.bpf2kafka-dead-letter, record at offset 0 of partition 0: it does not have');
  expect(code).toBe(1);
  expect(out).toContain('1 records could not be read');
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
    records: packRecords([recordOf('\u001b[2J', { timestamp: Date.now() })]),
    compression: 'none',
    timeoutMillis: 10_000,
  });
  const { out, err } = await audit('unreadable.');
  expect(err).toMatch(/^bpf2kafka: cannot read unreadable\.exec-events, record at offset 0 of partition 2: .*\n$/);
  expect(out).toContain('could not be read');
});
