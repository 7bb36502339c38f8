import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import avro from 'avsc';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKafkaClient } from '../../src/kafka/client.ts';
import type { PartitionProducer } from '../../src/kafka/kafka-client.ts';
import { createLog } from '../../src/log.ts';
import type { PackedRecords } from '../../src/records/packed-records.ts';
import { packRecords } from '../../src/records/record-packer.ts';
import { topicSchema } from '../../src/schemas/catalog.ts';
import { createCodec } from '../../src/schemas/codec.ts';
import { fingerprint } from '../../src/schemas/fingerprint.ts';
import { copyExample, copyNodeExample, outputOf, pythonOf, schemas, whyNoPython } from '../support/examples.ts';
import { groupsOf } from '../support/groups.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { waitFor } from '../support/wait-for.ts';
import { recordOf } from '../unit/producers/fakes.ts';
import { plainExec } from '../unit/siem/execs.ts';

/** What the counting examples do with topics that are unlike those of consumers.test.ts: newer, or growing. */

const counters = [
  ['Python', () => pythonOf('python'), 'count.py', () => copyExample('python'), whyNoPython()],
  ['Node.js', async () => process.execPath, 'count.js', copyNodeExample, undefined],
] as const;

let kafka: TestKafka;
let producer: PartitionProducer;
beforeAll(async () => {
  kafka = await startKafka();
  const log = createLog('silent');
  producer = createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', log }).createProducer();
  await producer.connect();
});
afterAll(async () => {
  await producer?.close();
  await kafka?.[Symbol.asyncDispose]();
});

async function createTopics(prefix: string): Promise<void> {
  for (const topic of ['exec-events', 'exit-events', 'packet-counts'])
    await kafka.createTopic(`${prefix}${topic}`, { partitions: 2 });
}

async function send(prefix: string, partition: number, records: PackedRecords): Promise<void> {
  const to = { topic: `${prefix}exec-events`, partition };
  await producer.send({ ...to, records, compression: 'zstd', timeoutMillis: 30_000 });
}

const execOf = (output: string) => JSON.parse(output.split('\n')[0] as string) as { records: number; distinct: number };

describe('a schema that is newer, without a registry', () => {
  const prefix = 'newer.';
  const { schema } = topicSchema('exec-events');
  const first = schema as unknown as { readonly fields: readonly object[] };
  const newer = { ...first, fields: [...first.fields, { name: 'sandbox', type: 'string', default: '' }] };

  beforeAll(async () => {
    await createTopics(prefix);
    const type = avro.Type.forSchema(newer as unknown as avro.Schema, { wrapUnions: false });
    const bytes = type.toBuffer({ ...plainExec, sandbox: 'gvisor' });
    const value = Buffer.concat([Buffer.from([0xc3, 0x01]), fingerprint(newer), bytes]);
    await send(prefix, 0, packRecords([recordOf(value, { key: plainExec.host_id, timestamp: Date.now() })]));
  });

  test.for(counters)(
    '%s reads its records when it has it, and stops when it has not',
    async ([, program, script, copied, whyNot], { skip }) => {
      skip(whyNot !== undefined, whyNot);
      await using copy = await copied();
      const directory = join(copy.path, 'schemas');
      await cp(schemas, directory, { recursive: true });
      const words = [script, '--brokers', kafka.brokers, '--topic-prefix', prefix, '--until-end'];
      await expect(outputOf(await program(), words, copy.path)).rejects.toThrow(/no schema with the fingerprint/);
      await writeFile(join(directory, 'exec-events-2.avsc'), JSON.stringify(newer));
      const execs = execOf(await outputOf(await program(), words, copy.path));
      expect(execs).toEqual({ topic: 'exec-events', records: 1, distinct: 1 });
    },
  );
});

test.for(counters)(
  '%s counts to where a topic ended when it began, and not what is written behind that',
  async ([, program, script, copied, whyNot], { skip }) => {
    skip(whyNot !== undefined, whyNot);
    const prefix = `${script}.`;
    await createTopics(prefix);
    const events = Array.from({ length: 2_000 }, (_, at) => ({ ...plainExec, seq: at, event_time: Date.now() }));
    const { records } = createCodec({ topic: 'exec-events', framing: { kind: 'single-object' } }).encode(events);
    // It is at the end of one long before it is at that of the other.
    for (const partition of [0, ...Array(5).fill(1)]) await send(prefix, partition, records);

    const before = await groupsOf(kafka.brokers);
    await using copy = await copied();
    const words = [script, '--brokers', kafka.brokers, '--topic-prefix', prefix, '--schemas', schemas, '--until-end'];
    let ended = false;
    const output = outputOf(await program(), words, copy.path).finally(() => {
      ended = true;
    });
    // It has asked for the end before it joins its group. From now on the topic grows faster than it is read.
    const joined = async () => (await groupsOf(kafka.brokers)).some((group) => !before.includes(group));
    await waitFor(async () => ended || (await joined()), { what: 'it has joined a group', timeout: 60_000 });
    for (let round = 0; !ended; round += 1) await send(prefix, round % 2, records);
    expect(execOf(await output)).toEqual({ topic: 'exec-events', records: 12_000, distinct: 2_000 });
  },
);
