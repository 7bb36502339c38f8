import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { tool, whyNoCapture } from '../support/capture.ts';
import { copyExample, pythonOf, schemas, whyNoPython } from '../support/examples.ts';
import { ethernet, etherType, ipv4, ports, protocol } from '../support/frames.ts';
import { readTopic } from '../support/kcat.ts';
import { lagOf } from '../support/lag.ts';
import { removeNetwork, VethPair, whyNoNetwork } from '../support/network.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { waitFor } from '../support/wait-for.ts';

const reason = whyNoCapture() ?? whyNoNetwork() ?? whyNoPython();
beforeEach(({ skip }) => {
  skip(reason !== undefined, reason);
});

afterAll(async () => {
  if (reason === undefined) removeNetwork();
});

interface Alert {
  readonly id: string;
  readonly rule: string;
  readonly level: string;
  readonly host_id: string;
  readonly evidence: Readonly<Record<string, unknown>>;
}

/** A program named so that starts `sh -c "exit 0"` for each line that it reads, with what the line says as environment. */
async function withServer(name: string, use: (spawnShell: (environment: object) => Promise<void>) => Promise<void>) {
  const directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-server-'));
  const program = join(directory, name);
  await copyFile(process.execPath, program);
  const script = `
    const { spawnSync } = require('node:child_process');
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      spawnSync('sh', ['-c', 'exit 0', ${JSON.stringify(marker)}], { env: { ...process.env, ...JSON.parse(line) } });
      console.log('done');
    });`;
  const server = spawn(program, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const lines = createInterface({ input: server.stdout });
    await use(async (environment) => {
      const done = once(lines, 'line');
      server.stdin.write(`${JSON.stringify(environment)}\n`);
      await done;
    });
  } finally {
    const exited = once(server, 'exit');
    server.stdin.end();
    await exited;
    await rm(directory, { recursive: true, force: true });
  }
}

/** By which this test knows its own execs among those of the machine. */
const marker = `detections-${process.pid}`;
const hex = Buffer.from(marker).toString('hex');
const harmless = { LD_PRELOAD: 'libc.so.6' };

const tcp = (source: number, from: number, to: number) => ({
  frame: ethernet(etherType.ipv4, ipv4({ protocol: protocol.tcp, source: [192, 0, 2, source] }, ports(from, to, 16))),
  times: 1,
});

test('three attacks give their alerts, and what only looks like them gives none', { timeout: 180_000 }, async () => {
  const python = await pythonOf('python');
  const pair = new VethPair();
  await using place = await SidecarPlace.create('detections', [pair.name]);
  const room = ['--exec-ring-bytes', String(64 * 2 ** 20)];
  const flags = ['--create-topics', '--topic-prefix', 'd.', '--exec-env', 'LD_PRELOAD', ...room];
  await using sidecar = await place.run(kafka.brokers, ...flags);
  await kafka.createTopic('d.security-alerts');
  await using copy = await copyExample('python');
  const words = ['--brokers', kafka.brokers, '--schemas', schemas, '--topic-prefix', 'd.', '--rules'];
  const program = [python, join(copy.path, 'detect.py')];
  await using detect = new CommandProcess(
    [...words, join(copy.path, 'rules'), '--to', 'd.security-alerts', '--group', 'd.detections'],
    {},
    program,
  );

  // A program that runs from memory, and one that does not.
  expect(spawnSync(tool('exec_with'), ['--memfd', tool('noop'), hex]).status).toBe(0);
  expect(spawnSync(tool('exec_with'), [tool('noop'), hex]).status).toBe(0);
  // A shell of a web server with a library put before all others, one without, and one of another program.
  await withServer('nginx', async (spawnShell) => {
    await spawnShell(harmless);
    await spawnShell({});
  });
  await withServer('scheduler', (spawnShell) => spawnShell(harmless));
  // A sweep over ports, a source that sends to some, and one whose answers go to many that connections went out from.
  const range = (from: number, count: number) => Array.from({ length: count }, (_, at) => from + at);
  await pair.sendFrames(range(1, 150).map((port) => tcp(7, 40_000, port)));
  await pair.sendFrames(range(1, 50).map((port) => tcp(8, 40_000, port)));
  await pair.sendFrames(range(32_768, 150).map((port) => tcp(9, 443, port)));
  expect(await sidecar.end('SIGTERM')).toBe(0);

  for (const topic of ['d.exec-events', 'd.packet-counts'])
    await waitFor(async () => (await lagOf(kafka.brokers, 'd.detections', topic)) === 0, {
      what: `every record of ${topic} was looked at`,
      timeout: 60_000,
      interval: 250,
    });
  expect([await detect.end('SIGTERM'), detect.errors]).toEqual([0, '']);

  const records = await readTopic(kafka.brokers, 'd.security-alerts');
  const alerts = records.map(({ value }) => JSON.parse(value.toString()) as Alert);
  expect(new Set(records.map(({ key }) => key.toString()))).toEqual(new Set([alerts[0]?.host_id]));
  // Other programs of this machine may run from memory, too.
  const own = alerts.filter(({ evidence: { args, source_address } }) =>
    Array.isArray(args) ? args.includes(marker) : source_address !== undefined,
  );
  expect(own.map(({ rule }) => rule).sort()).toEqual(['port_sweep', 'program_in_memory', 'web_server_shell_preload']);
  const evidenceOf = (rule: string) => own.find((alert) => alert.rule === rule)?.evidence;
  expect(evidenceOf('program_in_memory')).toMatchObject({ exe: '/memfd:in memory', args: [marker] });
  expect(evidenceOf('web_server_shell_preload')).toMatchObject({
    args: ['sh', '-c', 'exit 0', marker],
    env: harmless,
    parent_exe: expect.stringMatching(/\/nginx$/) as string,
  });
  expect(evidenceOf('port_sweep')).toMatchObject({ source_address: '192.0.2.7', destination_ports: 100 });
});
