import { readFileSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { siemStreamsOf } from '../../src/siem/document.ts';
import { siemFormats } from '../../src/siem/formats.ts';
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
import { readTopic } from '../support/kcat.ts';
import { lagOf } from '../support/lag.ts';
import { removeNetwork, whyNoNetwork } from '../support/network.ts';
import { stormTurn, stormTurnTimeout } from '../support/one-storm-at-a-time.ts';
import { type AllCounts, type Counts, type Framing, framings, prefixOf, publish } from '../support/published-topics.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { CommandProcess } from '../support/sidecar.ts';
import { waitFor } from '../support/wait-for.ts';

const reason = whyNoCapture() ?? whyNoNetwork();
beforeEach(({ skip }) => {
  skip(reason !== undefined, reason);
});

let registry: TestRegistry;
const expected = new Map<Framing, AllCounts>();

beforeAll(async () => {
  if (reason !== undefined) return;
  registry = await startRegistry();
});
beforeAll(async () => {
  if (reason !== undefined) return;
  using _ = await stormTurn.take();
  for (const framing of framings) expected.set(framing, await publish(framing, kafka, registry));
}, stormTurnTimeout);
afterAll(async () => {
  if (reason !== undefined) return;
  await registry?.stop();
  removeNetwork();
});

function optionsOf(framing: Framing): string[] {
  const reads = framing === 'with a registry' ? ['--registry', registry.url] : ['--schemas', schemas];
  return ['--brokers', kafka.brokers, '--topic-prefix', prefixOf(framing), ...reads];
}

function expectedOf(framing: Framing): AllCounts {
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

// Most of their time they wait for the broker to let them into their groups.
describe.concurrent('documents for security tools', () => {
  interface Document {
    readonly metadata?: { readonly uid: string };
    readonly event?: { readonly id: string };
    readonly EventRecordID?: string;
    readonly traffic?: { readonly packets: number };
    readonly network?: { readonly packets: number };
  }
  const idOf = ({ metadata, event, EventRecordID }: Document) => metadata?.uid ?? event?.id ?? EventRecordID;
  const packetsOf = ({ traffic, network }: Document) => (traffic ?? network)?.packets;
  const topics = { exec: 'exec-events', exit: 'exit-events', packets: 'packet-counts' } as const;
  const cases = framings.flatMap((framing) =>
    siemFormats.flatMap((format) => siemStreamsOf(format).map((stream) => [format, stream, framing] as const)),
  );

  test.each(cases)('tail --format %s has as many of %s %s', async (format, stream, framing) => {
    const reads = framing === 'with a registry' ? ['--registry', registry.url] : [];
    const from = ['--brokers', kafka.brokers, '--topic-prefix', prefixOf(framing), ...reads];
    await using tail = new CommandProcess([
      'tail',
      stream,
      ...from,
      '--format',
      format,
      '--from-beginning',
      '--until-end',
    ]);
    expect([await tail.exit(), tail.errors]).toEqual([0, '']);
    const documents = tail.lines.map((line) => JSON.parse(line) as Document);
    const distinct = new Map(documents.map((document) => [idOf(document), document]));
    const topic = topics[stream];
    const counts = { topic, records: documents.length, distinct: distinct.size };
    const packets = [...distinct.values()].reduce((sum, document) => sum + (packetsOf(document) ?? 0), 0);
    const expected = expectedOf(framing).find((counts) => counts.topic === topic);
    expect(stream === 'packets' ? { ...counts, packets } : counts).toEqual(expected);
  });
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

test('ClickHouse has a row for each record with its engine Kafka', { timeout: 400_000 }, async ({ skip }) => {
  const whyNot = whyNotAsked() ?? whyNoPython();
  skip(whyNot !== undefined, whyNot);
  const python = await pythonOf('clickhouse');
  await using copy = await copyExample('clickhouse');
  const file = join(copy.path, 'kafka.sql');
  const here = readFileSync(file, 'utf8')
    .replaceAll('localhost:9092', kafka.brokers)
    .replaceAll('http://localhost:8081', registry.url)
    .replaceAll(/kafka_topic_list = '/g, `$&${prefixOf('with a registry')}`);
  await writeFile(file, here);
  await using clickhouse = startExample(copy.path, [python, '-c', engineKafka]);
  const rows = expectedOf('with a registry').map(({ records, ...counts }) => counts);
  await until(clickhouse, 'all rows are there', () => {
    const newest = clickhouse.lines.slice(-rows.length).join('\n');
    return isDeepStrictEqual(newest && linesOf(newest), rows);
  });
});

/** A server, for which chDB stands, that has tables.sql and kafka.sql, and what counts.sql gives, again and again. */
const engineKafka = `
import time
from chdb import session
from consume import statements

server = session.Session("engine")
server.query("CREATE DATABASE bpf2kafka")
server.query("USE bpf2kafka")
for statement in statements("tables.sql") + statements("kafka.sql"):
    try:
        server.query(statement)
    except RuntimeError as error:
        # chDB answers so to each table of this engine, and has made it.
        if "Shutdown was called" not in str(error):
            raise
while True:
    print("\\n".join(str(server.query(query, "JSONEachRow")).strip() for query in statements("counts.sql")), flush=True)
    time.sleep(1)
`;

describe('Flink', () => {
  const whyNot = whyNotAsked() ?? whyNoJava();
  beforeEach(({ skip }) => skip(whyNot !== undefined, whyNot));

  test('SQL counts the same', { timeout: 600_000 }, async () => {
    await using copy = await copyExample('flink');
    await using flink = startExample(copy.path, ['mvn', '-B', '-q', 'compile', 'exec:exec'], {
      BROKERS: kafka.brokers,
      REGISTRY: registry.url,
      TOPIC_PREFIX: prefixOf('with a registry'),
    });
    expect(await flink.exit(), flink.lines.slice(-5).join('\n')).toBe(0);
    const rows = expectedOf('with a registry').map(({ records, ...counts }) => counts);
    expect(flink.lines.flatMap((line) => (/\{.*\}/.exec(line) ?? []).map((row) => JSON.parse(row) as unknown))).toEqual(
      rows,
    );
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
