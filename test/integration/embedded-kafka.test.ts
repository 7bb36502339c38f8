import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { EmbeddedKafka, type EmbeddedKafkaOptions } from '../../src/embedded-kafka/embedded-kafka.ts';
import { createLog } from '../../src/log.ts';
import { readTopic } from '../support/kcat.ts';
import { waitFor } from '../support/wait-for.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-embedded-'));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

function start(options: Partial<EmbeddedKafkaOptions> = {}): Promise<EmbeddedKafka> {
  return EmbeddedKafka.start({
    directory,
    log: createLog('silent'),
    properties: { 'auto.create.topics.enable': 'true' },
    ...options,
  });
}

function produce(brokers: string, topic: string, value: string): void {
  const { status, stderr } = spawnSync('kcat', ['-P', '-b', brokers, '-t', topic, '-X', 'message.timeout.ms=10000'], {
    input: value,
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
}

async function valuesIn(brokers: string, topic: string): Promise<string[]> {
  return (await readTopic(brokers, topic)).map(({ value }) => value.toString());
}

/** Field 6 of /proc/PID/stat; the name in field 2 may hold blanks. */
function sessionOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]);
}

test('what was published is there after a stop and a start, on the same port', async () => {
  const first = await start();
  produce(first.brokers, 'kept', 'before');
  await first.stop();

  await using second = await start();
  expect(second.port).toBe(first.port);
  produce(second.brokers, 'kept', 'after');
  expect(await valuesIn(second.brokers, 'kept')).toEqual(['before', 'after']);
});

test('topics are not created by asking for them, unless a setting says so', async () => {
  await using kafka = await start({ properties: {} });
  const { stderr, status } = spawnSync(
    'kcat',
    ['-P', '-b', kafka.brokers, '-t', 'absent', '-X', 'topic.metadata.propagation.max.ms=500'],
    { input: 'x', encoding: 'utf8' },
  );
  expect(status).not.toBe(0);
  expect(stderr).toContain('Unknown topic');
});

test('another port is found when the last one is taken, and the data is still there', async () => {
  const first = await start();
  produce(first.brokers, 'kept', 'value');
  await first.stop();
  const squatter = createServer().listen(first.port, '127.0.0.1');
  await once(squatter, 'listening');
  try {
    await using second = await start();
    expect(second.port).not.toBe(first.port);
    expect(await valuesIn(second.brokers, 'kept')).toEqual(['value']);
  } finally {
    squatter.close();
  }
});

test('it is killed with the process that started it, and a new one finds the data', async () => {
  const program = `
    import { EmbeddedKafka } from ${JSON.stringify(import.meta.resolve('../../src/embedded-kafka/embedded-kafka.ts'))};
    import { createLog } from ${JSON.stringify(import.meta.resolve('../../src/log.ts'))};
    const properties = { 'auto.create.topics.enable': 'true' };
    const { pid, brokers } = await EmbeddedKafka.start({ directory: process.argv[1], log: createLog('silent'), properties });
    console.log(JSON.stringify({ pid, brokers }));`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface(parent.stdout), 'line');
  const { pid, brokers } = JSON.parse(line);
  produce(brokers, 'kept', 'value');
  expect(existsSync(`/proc/${pid}`)).toBe(true);

  parent.kill('SIGKILL');
  await waitFor(() => !existsSync(`/proc/${pid}`), { what: 'the broker is gone', timeout: 5_000 });
  await using next = await start();
  expect(await valuesIn(next.brokers, 'kept')).toEqual(['value']);
});

test('a signal to the process group of a terminal does not reach it', async () => {
  await using kafka = await start();
  expect(sessionOf(kafka.pid)).toBe(kafka.pid);
  expect(sessionOf(kafka.pid)).not.toBe(sessionOf(process.pid));
});

test('a second broker in the same directory is refused, and the first goes on', async () => {
  await using first = await start();
  await expect(start()).rejects.toMatchObject({
    code: 'ERR_EMBEDDED_BROKER',
    reason: `another broker uses the data directory ${directory}/data`,
  });
  expect(readFileSync(join(directory, 'port'), 'utf8').trim()).toBe(String(first.port));
  produce(first.brokers, 'still-there', 'value');
  expect(await valuesIn(first.brokers, 'still-there')).toEqual(['value']);
});

test('stop may be called twice, and leaves no process', async () => {
  const kafka = await start();
  await Promise.all([kafka.stop(), kafka.stop()]);
  await kafka.stop();
  expect(existsSync(`/proc/${kafka.pid}`)).toBe(false);
});

test('a broker that does not react to a stop is killed', async () => {
  const hurry = { ...systemClock, sleep: (millis: number) => systemClock.sleep(Math.min(millis, 200)) };
  const kafka = await start({ clock: hurry });
  process.kill(kafka.pid, 'SIGSTOP');
  await kafka.stop();
  expect(existsSync(`/proc/${kafka.pid}`)).toBe(false);
});

test('a broker that ends by itself is reported', async () => {
  const reports: unknown[] = [];
  const log = { ...createLog('silent'), error: (_fields: unknown, message: string) => reports.push(message) };
  await using kafka = await start({ log: log as unknown as EmbeddedKafkaOptions['log'] });
  process.kill(kafka.pid, 'SIGKILL');
  await waitFor(() => reports.length > 0, { what: 'a report' });
  expect(reports).toEqual(['the embedded broker ended by itself']);
});

test('a port that is taken is named', async () => {
  await using first = await start();
  await expect(start({ port: first.port, directory: `${directory}/other` })).rejects.toThrow(
    `cannot start the embedded broker on 127.0.0.1:${first.port}: the port is taken`,
  );
});

test('no Java, and how to get it', async () => {
  await expect(start({ javaCommand: '/nowhere/java' })).rejects.toThrow(
    `cannot start the embedded broker in ${directory}: there is no Java runtime (/nowhere/java); run \`npm run setup\``,
  );
});

test('a Java that is too old is named', async () => {
  const javaCommand = join(directory, 'java-11');
  const message =
    'java.lang.UnsupportedClassVersionError: kafka/Kafka has been compiled by a more recent version of the Java ' +
    'Runtime (class file version 61.0), this version of the Java Runtime only recognizes class file versions up to 55.0';
  await writeFile(javaCommand, `#!/bin/sh\necho "${message}" >&2\nexit 1\n`);
  await chmod(javaCommand, 0o755);
  await expect(start({ javaCommand })).rejects.toThrow('Java 11 is too old, Kafka needs 17 or newer');
});

test('libraries that are missing', async () => {
  await expect(start({ librariesDirectory: `${directory}/libs` })).rejects.toThrow(
    `Kafka's libraries are not in ${directory}/libs; give --brokers`,
  );
});

test('a directory that cannot be made', async () => {
  await writeFile(join(directory, 'file'), '');
  await expect(start({ directory: join(directory, 'file/kafka') })).rejects.toMatchObject({
    code: 'ERR_EMBEDDED_BROKER',
    reason: expect.stringContaining('the directory is not writable'),
  });
});

test('a wrong broker setting ends the start with the broker its own words', async () => {
  await expect(start({ properties: { 'num.io.threads': 'many' } })).rejects.toThrow(/num\.io\.threads/);
});
