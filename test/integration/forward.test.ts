import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKafkaClient } from '../../src/kafka/client.ts';
import type { PartitionProducer } from '../../src/kafka/kafka-client.ts';
import { createLog } from '../../src/log.ts';
import type { PackedRecords } from '../../src/records/packed-records.ts';
import { packRecords } from '../../src/records/record-packer.ts';
import { createCodec, type Framing } from '../../src/schemas/codec.ts';
import type { SiemFormat } from '../../src/siem/formats.ts';
import { readTopic } from '../support/kcat.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { CommandProcess } from '../support/sidecar.ts';
import { faultsOf } from '../support/siem/validate.ts';
import { waitFor } from '../support/wait-for.ts';
import { recordOf } from '../unit/producers/fakes.ts';
import { flowCount } from '../unit/schemas/packet-counts.ts';
import { execs, type plainExec } from '../unit/siem/execs.ts';

let producer: PartitionProducer;

beforeAll(async () => {
  producer = createKafkaClient({
    brokers: [kafka.brokers],
    clientId: 'test',
    log: createLog('silent'),
  }).createProducer();
  await producer.connect();
});
afterAll(async () => {
  await producer?.close();
});

const start = Date.now();
const hosts = ['host-a', 'host-b', 'host-c'];

/** `count` execs of one host to its partition; answers with the ids of their documents. */
async function publish(
  prefix: string,
  { host = 0, first = 1, count, large = [], framing = { kind: 'single-object' } }: PublishOptions,
): Promise<string[]> {
  const kinds = Object.values(execs);
  const events = Array.from({ length: count }, (_, index) => ({
    ...(kinds[index % kinds.length] as typeof plainExec),
    host_id: hosts[host] as string,
    boot_id: `boot-${host}`,
    seq: first + index,
    // Of today: a topic may delete at once what is older than its retention.
    event_time: start + index,
    // Does not compress to less than 15,000 bytes.
    ...(large.includes(first + index) ? { args: [randomBytes(15_000).toString('hex')] } : {}),
  }));
  const { records } = createCodec({ topic: 'exec-events', framing }).encode(events);
  await send(`${prefix}exec-events`, host, records);
  return events.map(({ boot_id, seq }) => `${boot_id}:exec:${seq}`);
}

interface PublishOptions {
  readonly host?: number;
  readonly first?: number;
  readonly count: number;
  /** `seq` of those with a long argument. */
  readonly large?: readonly number[];
  readonly framing?: Framing;
}

async function send(topic: string, partition: number, records: PackedRecords): Promise<void> {
  await producer.send({ topic, partition, records, compression: 'zstd', timeoutMillis: 10_000 });
}

function tail(prefix: string, ...words: string[]): CommandProcess {
  return new CommandProcess(['tail', 'exec', '--brokers', kafka.brokers, '--topic-prefix', prefix, ...words]);
}

/** `tail … --to`; the group and the target have the prefix in their names. */
const forward = (prefix: string, format: SiemFormat, ...words: string[]) =>
  tail(prefix, '--format', format, '--to', `${prefix}siem`, '--group', `${prefix}group`, ...words);

async function createTopics(prefix: string): Promise<void> {
  await kafka.createTopic(`${prefix}exec-events`, { partitions: 3 });
  // Another number of partitions than the source has.
  await kafka.createTopic(`${prefix}siem`, { partitions: 4 });
}

const documentsIn = async (prefix: string, topic = 'siem') =>
  (await readTopic(kafka.brokers, `${prefix}${topic}`)).map((record) => ({
    ...record,
    id: record.headers.id as string,
    key: record.key.toString(),
    document: JSON.parse(record.value.toString()) as Record<string, unknown>,
  }));

test.each([
  ['ocsf', ({ metadata }: Record<string, Record<string, unknown>>) => metadata?.uid],
  ['ecs', ({ event }: Record<string, Record<string, unknown>>) => event?.id],
  ['sigma', ({ EventRecordID }: Record<string, unknown>) => EventRecordID],
] as const)('--format %s prints each exec once, as a valid document', async (format, idOf) => {
  const prefix = `print-${format}.`;
  await createTopics(prefix);
  const ids = await publish(prefix, { count: 300 });
  await using command = tail(prefix, '--format', format, '--from-beginning', '--limit', '300');
  expect([await command.exit(), command.errors]).toEqual([0, '']);
  const documents = command.lines.map((line) => JSON.parse(line));
  expect(documents.map(idOf)).toEqual(ids);
  expect(documents.flatMap(faultsOf[format])).toEqual([]);
});

test('--format ecs prints packet counts', async () => {
  await kafka.createTopic('counts.packet-counts');
  const count = { ...flowCount, interval_start: start - 1_000, interval_end: start };
  const codec = createCodec({ topic: 'packet-counts', framing: { kind: 'single-object' } });
  await send('counts.packet-counts', 0, codec.encode([count, { ...count, epoch: 2 }]).records);
  const words = ['--brokers', kafka.brokers, '--topic-prefix', 'counts.', '--format', 'ecs'];
  await using command = new CommandProcess(['tail', 'packets', ...words, '--from-beginning', '--limit', '2']);
  expect([await command.exit(), command.errors]).toEqual([0, '']);
  expect(command.lines.map((line) => JSON.parse(line)).flatMap(faultsOf.ecs)).toEqual([]);
});

describe('to a topic', () => {
  test('documents keep key, time and headers, and have their id for a header', async () => {
    const prefix = 'whole.';
    await createTopics(prefix);
    const ids = (await Promise.all([publish(prefix, { count: 20 })])).flat();
    ids.push(...(await publish(prefix, { host: 2, count: 20 })));
    await using command = forward(prefix, 'ocsf', '--limit', '40');
    expect([await command.exit(), command.errors]).toEqual([0, '']);
    const documents = await documentsIn(prefix);
    expect(documents.map(({ id }) => id).sort()).toEqual(ids.sort());
    for (const { id, key, headers, timestamp, document } of documents) {
      const [boot_id, , seq] = id.split(':');
      expect(headers).toMatchObject({ boot_id, seq });
      expect(key).toBe(hosts[Number(boot_id?.at(-1))]);
      expect(document).toMatchObject({ metadata: { uid: id }, device: { uid: key } });
      expect(timestamp).toBe(start + Number(seq) - 1);
    }
    expect(documents.flatMap(({ document }) => faultsOf.ocsf(document))).toEqual([]);
    // All of a host stand in one partition, in order.
    for (const ofHost of Map.groupBy(documents, ({ key }) => key).values()) {
      expect(new Set(ofHost.map(({ partition }) => partition)).size).toBe(1);
      expect(ofHost.map(({ headers }) => Number(headers.seq))).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
    }
  });

  test('a start goes on where the one before ended, and none is written twice', async () => {
    const prefix = 'resume.';
    await createTopics(prefix);
    const ids = await publish(prefix, { count: 30 });
    {
      await using limited = forward(prefix, 'ecs', '--limit', '12');
      expect(await limited.exit()).toBe(0);
      expect((await documentsIn(prefix)).map(({ id }) => id)).toEqual(ids.slice(0, 12));
    }
    {
      await using endless = forward(prefix, 'ecs');
      await waitFor(async () => (await documentsIn(prefix)).length >= 30, { what: 'all are written', timeout: 30_000 });
      expect([await endless.end('SIGTERM'), endless.errors]).toEqual([0, '']);
    }
    ids.push(...(await publish(prefix, { first: 31, count: 5 })));
    await using last = forward(prefix, 'ecs', '--limit', '5');
    expect(await last.exit()).toBe(0);
    expect((await documentsIn(prefix)).map(({ id }) => id)).toEqual(ids);
  });

  test('kill -9 in the middle, twice: every identity arrives, and none that was not there', {
    timeout: 180_000,
  }, async () => {
    const prefix = 'killed.';
    await createTopics(prefix);
    const ids: string[] = [];
    let written = 0;
    let writing = true;
    // Goes on until the kills are over, some thousands ahead, so that each kill finds work that is not done.
    const writer = (async () => {
      for (let first = 1; writing; first += 200) {
        await waitFor(() => ids.length < written + 3_000 || !writing, { what: 'the reader follows', timeout: 60_000 });
        for (const host of hosts.keys()) ids.push(...(await publish(prefix, { host, first, count: 200 })));
      }
    })();
    for (let kill = 1; kill <= 2; kill += 1) {
      await using command = forward(prefix, 'ecs');
      const before = written;
      await waitFor(
        async () => {
          written = (await readTopic(kafka.brokers, `${prefix}siem`)).length;
          return written > before;
        },
        { what: `start ${kill} has written`, timeout: 60_000 },
      );
      expect(await command.end('SIGKILL')).toBe('SIGKILL');
    }
    writing = false;
    await writer;

    await using command = forward(prefix, 'ecs');
    const arrived = async () => new Set((await documentsIn(prefix)).map(({ id }) => id));
    await waitFor(async () => (await arrived()).size >= ids.length, {
      what: 'every document is there',
      timeout: 90_000,
      interval: 500,
    });
    expect([await command.end('SIGTERM'), command.errors]).toEqual([0, '']);
    const documents = await documentsIn(prefix);
    expect(new Set(documents.map(({ id }) => id))).toEqual(new Set(ids));
    // Repeats are of the same content.
    const contents = new Set(documents.map(({ id, value }) => `${id} ${value}`));
    expect(contents.size).toBe(ids.length);
  });

  test('a record that can never be read is told and left out; one whose schema is missing holds everything', async () => {
    const prefix = 'unread.';
    await createTopics(prefix);
    await publish(prefix, { count: 1 });
    await send(`${prefix}exec-events`, 0, packRecords([recordOf('damaged', { timestamp: Date.now() })]));
    await publish(prefix, { first: 3, count: 1 });
    {
      await using command = forward(prefix, 'sigma', '--limit', '3');
      expect(await command.exit()).toBe(0);
      expect(command.errors).toMatch(
        /^bpf2kafka: cannot read the record at offset 1 of partition 0, left out: [^\n]+\n$/,
      );
    }
    await publish(prefix, { first: 4, count: 1, framing: { kind: 'confluent', schemaId: 77 } });
    await publish(prefix, { first: 5, count: 1 });
    // The second start finds it again: it was not committed.
    for (let start = 1; start <= 2; start += 1) {
      await using command = forward(prefix, 'sigma');
      expect(await command.exit()).toBe(4);
      expect(command.errors).toMatch(
        /^bpf2kafka: cannot read the record at offset 3 of partition 0 of unread\.exec-events: .*give --registry; nothing is lost[^\n]*\n$/,
      );
    }
    expect((await documentsIn(prefix)).map(({ id }) => id)).toEqual(['boot-0:exec:1', 'boot-0:exec:3']);
  });

  const small = { 'max.message.bytes': String(12 * 1024) };

  test('a document that the topic refuses is held with all behind it, until the topic takes it', async () => {
    const prefix = 'held.';
    await createTopics(prefix);
    await kafka.configureTopic(`${prefix}siem`, small);
    const ids = await publish(prefix, { count: 20, large: [11] });
    await using command = forward(prefix, 'ecs', '--limit', '20');
    await waitFor(() => command.errors.includes('they are held and tried again'), {
      what: 'the refusal is told',
      timeout: 30_000,
    });
    expect((await documentsIn(prefix)).map(({ id }) => id)).not.toContain(ids[10]);
    await kafka.configureTopic(`${prefix}siem`, { 'max.message.bytes': '1048576' });
    expect(await command.exit()).toBe(0);
    expect(new Set((await documentsIn(prefix)).map(({ id }) => id))).toEqual(new Set(ids));
  });

  test.each([
    ['whole', {}],
    ['without its content where that is too small as well', small],
  ])('with --dead-letter such a document is there, %s, and the others go on', async (_, letterLimit) => {
    const whole = Object.keys(letterLimit).length === 0;
    const prefix = `letters-${whole}.`;
    await createTopics(prefix);
    await kafka.createTopic(`${prefix}refused`, { partitions: 2 });
    await kafka.configureTopic(`${prefix}siem`, small);
    await kafka.configureTopic(`${prefix}refused`, letterLimit);
    const ids = await publish(prefix, { count: 20, large: [1, 11, 20] });
    const refused = [0, 10, 19].map((at) => ids[at] as string);
    await using command = forward(prefix, 'ecs', '--dead-letter', `${prefix}refused`, '--limit', '20');
    expect(await command.exit()).toBe(0);
    expect(command.errors).toContain('went to the dead letter');

    expect((await documentsIn(prefix)).map(({ id }) => id)).toEqual(ids.filter((id) => !refused.includes(id)));
    const letters = await documentsIn(prefix, 'refused');
    expect(new Set(letters.map(({ id }) => id))).toEqual(new Set(refused));
    expect(letters).toHaveLength(refused.length);
    for (const { id, key, headers, timestamp, value, document } of letters) {
      const [boot_id, , seq] = id.split(':');
      expect(headers).toMatchObject({ boot_id, seq, refused_by: `${prefix}siem`, error_code: 'MESSAGE_TOO_LARGE' });
      expect(headers.reason).toMatch(/larger than|too large/);
      expect([key, timestamp]).toEqual(['host-a', start + Number(seq) - 1]);
      if (whole)
        expect(document).toMatchObject({ event: { id }, process: { args: [expect.stringMatching(/^.{30000}$/)] } });
      else
        expect(document).toEqual({
          id,
          value_size: expect.any(Number),
          value_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        });
      expect(value.length > 30_000).toBe(whole);
    }
    if (whole) expect(letters.flatMap(({ document }) => faultsOf.ecs(document))).toEqual([]);

    // They are done with: a start goes on behind them.
    const later = await publish(prefix, { first: 21, count: 1 });
    await using next = forward(prefix, 'ecs', '--dead-letter', `${prefix}refused`, '--limit', '1');
    expect(await next.exit()).toBe(0);
    expect((await documentsIn(prefix)).at(-1)?.id).toBe(later[0]);
    expect(await documentsIn(prefix, 'refused')).toHaveLength(refused.length);
  });

  test('topics that are not there, and topics of records, are a line each', async () => {
    await kafka.createTopic('alone.exec-events');
    await kafka.createTopic('there');
    const own = 'it is a topic of records, which others read as such; give';
    const cases: [string, string[], number, string][] = [
      ['alone.', ['nowhere'], 4, 'cannot publish to the topic nowhere: it does not exist; create it'],
      ['alone.', ['there', '--dead-letter', 'nowhere'], 4, 'the topic nowhere: it does not exist; create it'],
      ['alone.', ['alone.exec-events'], 2, `cannot write documents to alone.exec-events: ${own} --to another topic`],
      ['alone.', ['alone.exit-events'], 2, `cannot write documents to alone.exit-events: ${own} --to another topic`],
      ['', ['there', '--dead-letter', 'bpf2kafka-dead-letter'], 2, `${own} --dead-letter another topic`],
      ['absent.', ['there'], 4, 'cannot read the topic absent.exec-events: it does not exist'],
    ];
    for (const [prefix, words, code, line] of cases) {
      await using command = tail(prefix, '--format', 'ecs', '--group', 'g', '--to', ...words);
      expect([await command.exit(), command.lines]).toEqual([code, []]);
      expect(command.errors).toContain(line);
      expect(command.errors.trimEnd()).not.toContain('\n');
    }
  });
});
