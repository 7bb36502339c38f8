import { readFileSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import avro from 'avsc';
import { CompressionTypes, Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { topicSchema } from '../../src/schemas/catalog.ts';
import { fingerprint } from '../../src/schemas/fingerprint.ts';
import { whyNoCapture } from '../support/capture.ts';
import {
  copyExample,
  copyNodeExample,
  outputOf,
  pythonOf,
  schemas,
  startExample,
  whyNoJava,
  whyNoMaven,
  whyNoPython,
  whyNotAsked,
} from '../support/examples.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic, type TopicRecord } from '../support/kcat.ts';
import { lagOf } from '../support/lag.ts';
import { removeNetwork, VethPair, whyNoNetwork } from '../support/network.ts';
import '../support/one-storm-at-a-time.ts';
import { sumOf } from '../support/packets.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';
import { type CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, startStorm } from '../support/storm.ts';
import { mixedRuns, tallyOfRuns } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const reason = whyNoCapture() ?? whyNoNetwork();
beforeEach(({ skip }) => {
  skip(reason !== undefined, reason);
});

const framings = ['with a registry', 'without a registry'] as const;
type Framing = (typeof framings)[number];
const prefixOf = (framing: Framing) => (framing === 'with a registry' ? 'framed.' : 'plain.');

const { schema } = topicSchema('exec-events');
const execSchema = schema as unknown as { readonly fields: readonly object[] };
const typeOf = (of: object) => avro.Type.forSchema(of as avro.Schema, { wrapUnions: false });

/** What has to be counted of one topic. */
interface Counts {
  readonly topic: string;
  readonly records: number;
  readonly distinct: number;
  readonly packets?: number;
}

let kafka: TestKafka;
let registry: TestRegistry;
const expected = new Map<Framing, readonly [execs: Counts, exits: Counts, packets: Counts]>();

beforeAll(async () => {
  if (reason !== undefined) return;
  [kafka, registry] = await Promise.all([startKafka(), startRegistry()]);
  for (const framing of framings) expected.set(framing, await publish(framing));
}, 180_000);
afterAll(async () => {
  if (reason !== undefined) return;
  await registry?.stop();
  await kafka?.[Symbol.asyncDispose]();
  removeNetwork();
});

/** 1,000 execs and frames that are known, published by a sidecar of its own, and then a hundred of each topic again. */
async function publish(framing: Framing): Promise<[Counts, Counts, Counts]> {
  const prefix = prefixOf(framing);
  const pair = new VethPair();
  await using place = await SidecarPlace.create('consumers', [pair.name]);
  const framed = framing === 'with a registry' ? ['--registry', registry.url, '--register-schemas'] : [];
  // Room for what else this machine execs meanwhile: a bare record has no arguments to tell the storm's by.
  const flags = ['--create-topics', '--topic-prefix', prefix, '--exec-ring-bytes', String(64 * 2 ** 20), ...framed];
  await using sidecar = await place.run(kafka.brokers, ...flags);
  const storm = startStorm({ count: 1_000 });
  for (let round = 0; round < 3; round += 1) await pair.sendFrames(mixedRuns);
  await storm.ended;
  expect(await sidecar.end('SIGTERM')).toBe(0);

  const [execs, exits, packets] = await Promise.all([
    repeated(`${prefix}exec-events`),
    repeated(`${prefix}exit-events`),
    repeated(`${prefix}packet-counts`),
  ]);
  expect(compare(storm.tokens, execs)).toMatchObject({ missing: [], found: 1_000 });
  return [
    { topic: 'exec-events', ...countsOf(execs) },
    { topic: 'exit-events', ...countsOf(exits) },
    { topic: 'packet-counts', ...countsOf(packets), packets: sumOf(tallyOfRuns(mixedRuns, 3)).packets },
  ];
}

/** Publishes the first records once more, as after a crash; resolves to all that the topic has then. */
async function repeated(topic: string): Promise<TopicRecord[]> {
  await send(topic, (await readTopic(kafka.brokers, topic)).slice(0, 100));
  return readTopic(kafka.brokers, topic);
}

async function send(topic: string, records: readonly TopicRecord[]): Promise<void> {
  const producer = new Kafka({ brokers: [kafka.brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  const messages = records.map((record) => ({ ...record, timestamp: String(record.timestamp) }));
  // A few at a time: this machine may exec with arguments of many kilobytes.
  for (let at = 0; at < messages.length; at += 20)
    await producer.send({ topic, messages: messages.slice(at, at + 20), compression: CompressionTypes.GZIP });
  await producer.disconnect();
}

/** Repeats are the same in every byte, and no two others are: their identity is part of them. */
function countsOf(records: readonly TopicRecord[]): { records: number; distinct: number } {
  return { records: records.length, distinct: new Set(records.map(({ value }) => value.toString('latin1'))).size };
}

function optionsOf(framing: Framing): string[] {
  const reads = framing === 'with a registry' ? ['--registry', registry.url] : ['--schemas', schemas];
  return ['--brokers', kafka.brokers, '--topic-prefix', prefixOf(framing), ...reads];
}

function expectedOf(framing: Framing): readonly [execs: Counts, exits: Counts, packets: Counts] {
  const counts = expected.get(framing);
  if (counts === undefined) throw new Error(`nothing was published ${framing}`);
  return counts;
}

/** The code blocks of docs/consumers.md in a language. */
function blocksOf(language: string): string[] {
  const page = readFileSync(join(import.meta.dirname, '../../docs/consumers.md'), 'utf8');
  const blocks = [...page.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)];
  return blocks.filter(([, of]) => of === language).map(([, , code]) => code as string);
}

const linesOf = (output: string) =>
  output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Counts);

test('what has to be counted has repeats', () => {
  for (const counts of expected.values())
    for (const { records, distinct } of counts) expect(records - distinct).toBeGreaterThan(0);
});

describe('Python', () => {
  const whyNot = whyNoPython();
  beforeEach(({ skip }) => skip(whyNot !== undefined, whyNot));

  test.each(framings)('counts the same %s', { timeout: 120_000 }, async (framing) => {
    const python = await pythonOf('python');
    await using copy = await copyExample('python');
    const words = ['count.py', ...optionsOf(framing), '--until-end'];
    expect(linesOf(await outputOf(python, words, copy.path))).toEqual(expectedOf(framing));
  });

  test('a new field and an old reader, as docs/consumers.md has them', async () => {
    const python = await pythonOf('python');
    await using copy = await copyExample('python');
    await cp(schemas, join(copy.path, 'schemas'), { recursive: true });
    const [code, output] = [blocksOf('python')[0], blocksOf('text')[0]];
    expect(await outputOf(python, ['-c', code ?? ''], copy.path)).toBe(output);
  });
});

describe('Node.js', () => {
  test.each(framings)('counts the same %s', async (framing) => {
    await using copy = await copyNodeExample();
    const words = ['count.js', ...optionsOf(framing), '--until-end'];
    expect(linesOf(await outputOf(process.execPath, words, copy.path))).toEqual(expectedOf(framing));
  });

  test('its packages are of the versions that it was tried with', () => {
    const packageOf = (path: string) => JSON.parse(readFileSync(join(import.meta.dirname, '../..', path), 'utf8'));
    expect(packageOf('package.json').dependencies).toMatchObject(
      packageOf('examples/consumers/node/package.json').dependencies,
    );
  });
});

describe('records of a newer version, without a registry', () => {
  const prefix = 'newer.';
  const newer = { ...execSchema, fields: [...execSchema.fields, { name: 'sandbox', type: 'string', default: '' }] };
  beforeAll(async () => {
    if (reason !== undefined) return;
    for (const topic of ['exec-events', 'exit-events', 'packet-counts']) await kafka.createTopic(`${prefix}${topic}`);
    const [record] = await readTopic(kafka.brokers, 'plain.exec-events');
    if (record === undefined) throw new Error('there is no exec');
    const exec = typeOf(execSchema).fromBuffer(record.value.subarray(10));
    const avroBytes = typeOf(newer).toBuffer({ ...exec, sandbox: 'gvisor' });
    await send(`${prefix}exec-events`, [
      { ...record, partition: 0, value: Buffer.concat([Buffer.from([0xc3, 0x01]), fingerprint(newer), avroBytes]) },
    ]);
  });

  const consumers = [
    ['Python', () => pythonOf('python'), 'count.py', () => copyExample('python'), whyNoPython()],
    ['Node.js', async () => process.execPath, 'count.js', copyNodeExample, undefined],
  ] as const;
  test.for(consumers)(
    '%s reads them when it has their schema, and stops when it has not',
    async (consumer, { skip }) => {
      const [, program, script, copied, whyNot] = consumer;
      skip(whyNot !== undefined, whyNot);
      await using copy = await copied();
      const directory = join(copy.path, 'schemas');
      await cp(schemas, directory, { recursive: true });
      const words = [script, '--brokers', kafka.brokers, '--topic-prefix', prefix, '--until-end'];
      await expect(outputOf(await program(), words, copy.path)).rejects.toThrow(/no schema with the fingerprint/);
      await writeFile(join(directory, 'exec-events-2.avsc'), JSON.stringify(newer));
      const [execs] = linesOf(await outputOf(await program(), words, copy.path));
      expect(execs).toEqual({ topic: 'exec-events', records: 1, distinct: 1 });
    },
  );
});

describe('Java', () => {
  const whyNot = whyNotAsked() ?? whyNoJava();
  beforeEach(({ skip }) => skip(whyNot !== undefined, whyNot));

  test.each(framings)(
    'Kafka Streams counts as many execs, by minute and container, %s',
    {
      timeout: 400_000,
    },
    async (framing) => {
      await using copy = await copyExample('java');
      const group = `${prefixOf(framing)}execs-per-minute`;
      const options = [...optionsOf(framing), '--schemas', schemas, '--state-dir', join(copy.path, 'state')].join(' ');
      await using streams = startExample(copy.path, [
        'mvn',
        '-B',
        '-q',
        'compile',
        'exec:java',
        `-Dexec.args=${options}`,
      ]);
      const counted = async () => {
        // The newest value of a key is its count.
        const newest = new Map(
          (await readTopic(kafka.brokers, group)).map(({ key, value }) => [`${key}`, Number(value)]),
        );
        return [...newest.values()].reduce((sum, count) => sum + count, 0);
      };
      const [execs] = expectedOf(framing);
      const lag = (topic: string) => lagOf(kafka.brokers, group, topic);
      await until(streams, 'all execs are counted', async () => {
        if ((await lag(`${prefixOf(framing)}exec-events`)) > 0) return false;
        // What stands between the two steps is written in transactions, and the end of one is an offset, too.
        if ((await lag(`${group}-container-repartition`)) > 1) return false;
        return (await counted()) >= execs.distinct;
      });
      await streams.end('SIGTERM');
      expect(await counted()).toBe(execs.distinct);
    },
  );
});

describe('ClickHouse', () => {
  const whyNot = whyNotAsked() ?? whyNoPython();
  beforeEach(({ skip }) => skip(whyNot !== undefined, whyNot));

  test('has a row for each record', { timeout: 400_000 }, async () => {
    const python = await pythonOf('clickhouse');
    await using copy = await copyExample('clickhouse');
    const consume = (...more: string[]) =>
      outputOf(python, ['consume.py', ...optionsOf('with a registry'), '--until-end', ...more], copy.path);
    // What ReplacingMergeTree has replaced is not counted as a record.
    const rows = expectedOf('with a registry').map(({ records, ...counts }) => counts);
    expect(linesOf(await consume())).toEqual(rows);

    // All of it once more, as after a crash before the offsets were committed.
    expect(linesOf(await consume('--group', 'again'))).toEqual(rows);

    const queries = blocksOf('sql');
    expect(queries.length).toBeGreaterThan(0);
    await writeFile(join(copy.path, 'counts.sql'), [...queries, "SELECT 'ran' AS queries"].join(';\n'));
    expect(await consume()).toMatch(/\{"queries":"ran"\}\n$/);
  });
});

describe('Kafka Connect', () => {
  const whyNot = whyNotAsked() ?? whyNoMaven();
  beforeEach(({ skip }) => skip(whyNot !== undefined, whyNot));

  test('writes a line for each exec', { timeout: 400_000 }, async () => {
    await using copy = await copyExample('connect');
    await using worker = startExample(copy.path, ['mvn', '-B', '-q', 'exec:java'], {
      BROKERS: kafka.brokers,
      REGISTRY: registry.url.replace('ccompat/v7', 'registry/v2'),
      TOPIC: 'framed.exec-events',
    });
    const [execs] = expectedOf('with a registry');
    const written = () => {
      const text = readFileSync(join(copy.path, 'execs.txt'), 'utf8');
      return text.match(/^Struct\{host_id=[^,]+,boot_id=[^,]+,attach_id=\d+,seq=\d+,/gm) ?? [];
    };
    await until(worker, 'all execs are written', () => written().length >= execs.records);
    await worker.end('SIGTERM');
    const lines = written();
    expect({ records: lines.length, distinct: new Set(lines).size }).toEqual({
      records: execs.records,
      distinct: execs.distinct,
    });
  });
});

/** Waits for what a program does, and not longer than it runs. */
async function until(
  program: CommandProcess,
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  await waitFor(async () => program.ended || (await condition()), { what, timeout: 300_000, interval: 250 });
  if (program.ended) throw new Error(`it ended: ${program.lines.slice(-5).join(' | ')} ${program.errors}`);
}
