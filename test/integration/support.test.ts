import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { answersWithBroker } from '../../src/embedded-kafka/broker-probe.ts';
import { startKafka } from '../support/kafka.ts';
import { readTopic } from '../support/kcat.ts';
import { startRegistry } from '../support/registry.ts';

/** A file that is named on its command line goes out as one record, whatever bytes it holds. */
async function produce(brokers: string, topic: string, value: Buffer, ...options: string[]): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-produce-'));
  try {
    await writeFile(join(directory, 'value'), value);
    const run = spawnSync('kcat', ['-P', '-b', brokers, '-t', topic, ...options, join(directory, 'value')]);
    expect(run.status, run.stderr.toString()).toBe(0);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('kcat reads back every byte, with partition, key, headers and time', async () => {
  await using kafka = await startKafka();
  await kafka.createTopic('binary', { partitions: 2 });
  const value = Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256));
  await produce(kafka.brokers, 'binary', value, '-p', '1', '-k', 'host', '-H', 'boot_id=ab', '-H', 'seq=7');

  const records = await readTopic(kafka.brokers, 'binary');
  expect(records).toEqual([
    {
      partition: 1,
      offset: 0,
      key: Buffer.from('host'),
      value,
      headers: { boot_id: 'ab', seq: '7' },
      timestamp: expect.closeTo(Date.now(), -5),
    },
  ]);
  expect(await readTopic(kafka.brokers, 'binary', { partition: 0 })).toEqual([]);
});

test('topics take their settings', async () => {
  await using kafka = await startKafka();
  await kafka.createTopic('small', { config: { 'max.message.bytes': '100' } });
  const run = spawnSync('kcat', ['-P', '-b', kafka.brokers, '-t', 'small'], {
    input: 'x'.repeat(1000),
    encoding: 'utf8',
  });
  expect(run.stderr).toContain('Message size too large');
});

test('a killed broker comes back on its port with its data', async () => {
  await using kafka = await startKafka();
  const { brokers, pid } = kafka;
  await kafka.createTopic('kept');
  await produce(brokers, 'kept', Buffer.from('value'));
  await kafka.kill();
  expect(existsSync(`/proc/${pid}`)).toBe(false);
  await kafka.start();
  expect(kafka.brokers).toBe(brokers);
  expect((await readTopic(brokers, 'kept')).map(({ value }) => value.toString())).toEqual(['value']);
});

test('a paused broker takes connections and answers nothing until it is resumed', async () => {
  await using kafka = await startKafka();
  await kafka.pause();
  expect(await answersWithBroker(kafka.port, 300)).toBe(false);
  await new Promise<void>((resolve, reject) => {
    const socket = connect(kafka.port, '127.0.0.1', () => socket.destroy()).on('error', reject);
    socket.on('close', () => resolve());
  });
  kafka.resume();
  expect(await answersWithBroker(kafka.port, 5_000)).toBe(true);
});

test('nothing is left of a broker, even of one that was paused', async () => {
  const kafka = await startKafka();
  const { pid, directory } = kafka;
  await kafka.pause();
  await kafka[Symbol.asyncDispose]();
  expect(existsSync(`/proc/${pid}`)).toBe(false);
  expect(existsSync(directory)).toBe(false);
});

test('the registry gives a schema back by the id that it was registered under', async () => {
  await using registry = await startRegistry();
  const schema = JSON.stringify({ type: 'record', name: 'Event', fields: [{ name: 'pid', type: 'int' }] });
  const registered = await fetch(`${registry.url}/subjects/events-value/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify({ schema }),
  });
  const { id } = (await registered.json()) as { id: number };
  const found = (await (await fetch(`${registry.url}/schemas/ids/${id}`)).json()) as { schema: string };
  expect(JSON.parse(found.schema)).toEqual(JSON.parse(schema));
  await registry.stop();
  expect(existsSync(`/proc/${registry.pid}`)).toBe(false);
});
