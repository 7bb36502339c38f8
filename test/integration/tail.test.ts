import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OutgoingBatch } from '../../src/batch.ts';
import { ReadBack } from '../../src/commands/read-back.ts';
import { tailStream } from '../../src/commands/tail.ts';
import { createKafkaClient } from '../../src/kafka/client.ts';
import type { PartitionProducer } from '../../src/kafka/kafka-client.ts';
import { createLog } from '../../src/log.ts';
import { packRecords } from '../../src/records/record-packer.ts';
import { createCodec, type Framing } from '../../src/schemas/codec.ts';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import type { PacketCount } from '../../src/schemas/packet-count.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { waitFor } from '../support/wait-for.ts';
import { fullEvent } from '../unit/schemas/events.ts';
import { classCount, flowCount } from '../unit/schemas/packet-counts.ts';

const script = join(import.meta.dirname, '../../bin/bpf2kafka.js');
const log = createLog('silent');
let producer: PartitionProducer;
const children: ChildProcess[] = [];

beforeAll(async () => {
  producer = createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', log }).createProducer();
  await producer.connect();
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await producer?.close();
});

function publish(prefix: string, pids: number[], framing: Framing = { kind: 'single-object' }): Promise<void> {
  const events = pids.map((pid) => ({ ...fullEvent, args_raw: null, pid }));
  return send(`${prefix}exec-events`, ofNow(createCodec({ topic: 'exec-events', framing }).encode(events)));
}

function publishAt(prefix: string, times: number[]): Promise<void> {
  const events = times.map((event_time, index) => ({ ...fullEvent, args_raw: null, pid: index + 1, event_time }));
  return send(
    `${prefix}exec-events`,
    createCodec({ topic: 'exec-events', framing: { kind: 'single-object' } }).encode(events),
  );
}

function publishPackets(prefix: string, counts: Partial<PacketCount>[]): Promise<void> {
  const codec = createCodec({ topic: 'packet-counts', framing: { kind: 'single-object' } });
  return send(`${prefix}packet-counts`, ofNow(codec.encode(counts.map((count) => ({ ...flowCount, ...count })))));
}

/** A broker that has been up for half a minute begins to delete what is older than its retention. */
function ofNow(batch: OutgoingBatch): OutgoingBatch {
  const timestamp = Date.now();
  return { ...batch, records: packRecords(Array.from(batch.records, (record) => ({ ...record, timestamp }))) };
}

async function send(topic: string, { records }: OutgoingBatch): Promise<void> {
  await producer.send({
    topic,
    partition: 0,
    records,
    compression: 'zstd',
    timeoutMillis: 10_000,
  });
}

function start(
  words: string[],
  stream = 'exec',
): {
  child: ChildProcess;
  stdout: () => string;
  ended: Promise<[number | null, string]>;
} {
  const child = spawn(process.execPath, [script, 'tail', stream, '--brokers', kafka.brokers, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let stdout = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  const stderr = text(child.stderr as NonNullable<typeof child.stderr>);
  const ended = (async (): Promise<[number | null, string]> => {
    const [code] = (await once(child, 'close')) as [number | null];
    return [code, await stderr];
  })();
  return { child, stdout: () => stdout, ended };
}

const pidsOf = (stdout: string) =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as ExecEvent).pid);

test('--from-beginning --json --limit prints the oldest records in order and ends', async () => {
  await kafka.createTopic('beginning.exec-events');
  await publish('beginning.', [1, 2, 3, 4]);
  const { stdout, ended } = start(['--topic-prefix', 'beginning.', '--from-beginning', '--json', '--limit', '3']);
  expect(await ended).toEqual([0, '']);
  expect(pidsOf(stdout())).toEqual([1, 2, 3]);
});

test('--since begins with what is of that time, and --until-end ends with what is there now', async () => {
  await kafka.createTopic('bounds.exec-events', { partitions: 2 });
  const now = Date.now();
  const minutes = (ago: number) => now - ago * 60_000;
  await publishAt('bounds.', [minutes(180), minutes(30), minutes(5)]);
  const between = new Date(minutes(60)).toISOString();
  const printed = async (...words: string[]) => {
    const { stdout, ended } = start(['--topic-prefix', 'bounds.', '--json', ...words]);
    expect(await ended).toEqual([0, '']);
    return stdout() === '' ? [] : pidsOf(stdout());
  };
  expect(await printed('--until-end')).toEqual([1, 2, 3]);
  expect(await printed('--since', '1h', '--until-end')).toEqual([2, 3]);
  expect(await printed('--since', between, '--until-end')).toEqual([2, 3]);
  expect(await printed('--since', '1m', '--until-end')).toEqual([]);
  expect(await printed('--since', '10m', '--limit', '1')).toEqual([3]);
});

test('a record that cannot be read is reported, and those behind it are printed', async () => {
  await kafka.createTopic('mixed.exec-events');
  await publish('mixed.', [1]);
  await publish('mixed.', [2], { kind: 'confluent', schemaId: 77 });
  await publish('mixed.', [3]);
  const { stdout, ended } = start(['--topic-prefix', 'mixed.', '--from-beginning', '--json', '--limit', '2']);
  const [code, stderr] = await ended;
  expect(code).toBe(0);
  expect(pidsOf(stdout())).toEqual([1, 3]);
  expect(stderr).toBe(
    'bpf2kafka: cannot read the record at offset 1 of partition 0: its schema has the registry id 77; give --registry\n',
  );
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it with 0', async (signal) => {
  const prefix = `${signal}.`;
  await kafka.createTopic(`${prefix}exec-events`);
  await publish(prefix, [1]);
  const { child, stdout, ended } = start(['--topic-prefix', prefix, '--from-beginning']);
  await waitFor(() => stdout().includes(' pid: 1 comm: curl curl -sS'), {
    what: 'the record is printed',
    timeout: 20_000,
  });
  // A process group gets a signal twice when its leader passes it on; the second may come at any moment.
  const again = setInterval(() => child.kill(signal), 5);
  child.once('exit', () => clearInterval(again));
  expect(await ended).toEqual([0, '']);
});

test('a topic that is not there is one line and exit code 4', async () => {
  const [code, stderr] = await start(['--topic-prefix', 'absent.']).ended;
  expect(code).toBe(4);
  expect(stderr).toMatch(/^bpf2kafka: [^\n]*absent\.exec-events[^\n]*\n$/);
});

describe('packets', () => {
  const udp = { protocol: 'udp', protocol_number: 17, source_port: 53, destination_port: 40_000 };

  test('a table for each second in which a count came, with the sums since the start, repeats left out', async () => {
    await kafka.createTopic('table.packet-counts');
    await publishPackets('table.', [{ epoch: 1, packets: 5 }, udp, { ...classCount('non_ip'), packets: 9 }]);
    const { child, stdout, ended } = start(['--topic-prefix', 'table.', '--from-beginning'], 'packets');
    const tables = () =>
      stdout()
        .split(/^\S+ web-17\.example\.org eth0\n/m)
        .slice(1);
    await waitFor(() => tables().length === 1, { what: 'the first table is printed', timeout: 20_000 });

    const next = [
      { epoch: 2, packets: 7 },
      { epoch: 2, packets: 1, source_address: '2001:db8::7', address_family: 'ipv6' as const },
    ];
    await publishPackets('table.', next);
    await waitFor(() => tables().length === 2, { what: 'the second table is printed' });
    // As after a crash of the sidecar: only what is behind it shows that it was read.
    await publishPackets('table.', next);
    await publishPackets('table.', [{ epoch: 3, packets: 1000 }]);
    await waitFor(() => stdout().includes(' | 1012\n'), { what: 'the sum of the third epoch is printed' });
    child.kill('SIGINT');
    expect(await ended).toEqual([0, '']);
    const rest = '198.51.100.7:53 => :40000/udp | 1\n(non_ip) | 9\n';
    expect(tables()).toEqual([
      `198.51.100.7:51022 => :443 | 5\n${rest}`,
      `198.51.100.7:51022 => :443 | 12\n${rest.replace('(', '[2001:db8::7]:51022 => :443 | 1\n(')}`,
      `198.51.100.7:51022 => :443 | 1012\n${rest.replace('(', '[2001:db8::7]:51022 => :443 | 1\n(')}`,
    ]);
  });

  test('--until-end prints one table', async () => {
    await kafka.createTopic('total.packet-counts');
    await publishPackets('total.', [{ epoch: 1, packets: 5 }, { epoch: 2, packets: 7 }, udp]);
    const { stdout, ended } = start(['--topic-prefix', 'total.', '--until-end'], 'packets');
    expect(await ended).toEqual([0, '']);
    const rows = '198.51.100.7:51022 => :443 | 12\n198.51.100.7:53 => :40000/udp | 1\n';
    expect(stdout().replace(/^\S+/, 'TIME')).toBe(`TIME web-17.example.org eth0\n${rows}`);
  });

  test('--json --limit prints the oldest records, each on a line', async () => {
    await kafka.createTopic('json.packet-counts');
    const counts = [{ epoch: 1, packets: 5 }, udp, classCount('overflow'), { epoch: 2 }];
    await publishPackets('json.', counts);
    const { stdout, ended } = start(
      ['--topic-prefix', 'json.', '--from-beginning', '--json', '--limit', '3'],
      'packets',
    );
    expect(await ended).toEqual([0, '']);
    const lines = stdout().trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as PacketCount)).toEqual(
      counts.slice(0, 3).map((count) => ({ ...flowCount, ...count })),
    );
  });

  test('execs and tables share one output without breaking into each other', async () => {
    await kafka.createTopic('both.exec-events');
    await kafka.createTopic('both.packet-counts');
    const stdout = new PassThrough();
    let shown = '';
    stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString();
    });
    const io = { stdout, stderr: new PassThrough(), stdoutClosed: new AbortController().signal };
    const source = {
      brokers: [kafka.brokers],
      security: {},
      registry: undefined,
      registrySecurity: {},
      topicPrefix: 'both.',
    };
    await using readBack = new ReadBack(['exec', 'packets'], source, log, io);
    await readBack.start();
    const flows = Array.from({ length: 3000 }, (_, source_port) => ({ source_port }));
    const tables = () =>
      shown.match(/ web-17\.example\.org eth0\n(198\.51\.100\.7:\d+ => :443 \| \d+\n){3000}/g)?.length;
    let execs = 0;
    for (let epoch = 1; epoch <= 2; epoch++) {
      await publishPackets(
        'both.',
        flows.map((flow) => ({ ...flow, epoch })),
      );
      // Execs keep coming while the table is printed.
      await waitFor(
        async () => {
          await publish(
            'both.',
            Array.from({ length: 50 }, () => ++execs),
          );
          return tables() === epoch;
        },
        { what: `the table of epoch ${epoch} is printed in one piece`, timeout: 20_000, interval: 5 },
      );
    }
    await waitFor(() => shown.includes(` pid: ${execs} `), { what: 'the last exec is printed' });
    const lines = shown.trimEnd().split('\n');
    const exec = /^[\d:.]+ pid: \d+ comm: curl curl -sS .* ""$/;
    expect(lines.filter((line) => exec.test(line))).toHaveLength(execs);
    const ofTable = /^([\d:.]+ web-17\.example\.org eth0|198\.51\.100\.7:\d+ => :443 \| \d+)$/;
    expect(lines.filter((line) => !exec.test(line) && !ofTable.test(line))).toEqual([]);
  });
});

describe('in the process', () => {
  test('what is written after onReady is printed, what was there before is not', async () => {
    await kafka.createTopic('ready.exec-events');
    await publish('ready.', [1, 2]);
    const out = new PassThrough();
    const printed = await tailStream('exec', {
      brokers: [kafka.brokers],
      security: {},
      registry: undefined,
      registrySecurity: {},
      topicPrefix: 'ready.',
      json: true,
      fromBeginning: false,
      limit: 2,
      out,
      err: new PassThrough(),
      log,
      signal: AbortSignal.timeout(30_000),
      onReady: () => void publish('ready.', [3, 4, 5]),
    });
    out.end();
    expect(printed).toBe(2);
    expect(pidsOf(await text(out))).toEqual([3, 4]);
  });

  test('an abort ends it', async () => {
    await kafka.createTopic('abort.exec-events');
    const stop = new AbortController();
    const printed = await tailStream('exec', {
      brokers: [kafka.brokers],
      security: {},
      registry: undefined,
      registrySecurity: {},
      topicPrefix: 'abort.',
      json: true,
      fromBeginning: false,
      limit: undefined,
      out: new PassThrough(),
      err: new PassThrough(),
      log,
      signal: stop.signal,
      onReady: () => stop.abort(),
    });
    expect(printed).toBe(0);
  });
});
