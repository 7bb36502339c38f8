import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { configSchema, makeConfigSchema } from '../../../scripts/config-schema.ts';
import { dryRunCommand } from '../../../src/commands/dry-run.ts';
import { effectiveSettings } from '../../../src/config/effective.ts';
import { loadRunConfig } from '../../../src/config/load.ts';
import type { Environment, Flags } from '../../../src/config/types.ts';

const directory = mkdtempSync(join(tmpdir(), 'dry-run-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const facts = { processors: 2, hostName: 'web-17', machineId: '0123456789abcdef0123456789abcdef\n' };

async function printed(flags: Flags, environment: Environment = {}): Promise<string> {
  const stdout = new PassThrough();
  const io = { stdout, stderr: new PassThrough(), stdoutClosed: new AbortController().signal };
  expect(await dryRunCommand(effectiveSettings(flags, environment, facts), io)).toBe(0);
  stdout.end();
  return text(stdout);
}

function file(content: string): string {
  const path = join(directory, 'config.yaml');
  writeFileSync(path, content);
  return path;
}

const lists: Flags = {
  brokers: 'a:1,b:2',
  interface: ['eth0', 'lo'],
  'exclude-ip': ['10.0.0.0/8', '2001:db8::/32'],
  'exclude-exe': ['/usr/bin/cc1', '/opt/agent: x/*'],
  'exclude-uid': ['5', '7'],
  label: ['site=fra1', 'owner=web ops'],
  redact: ['a,b(c)', 'x: "y" # z', "it's \\d+"],
};
const cases: readonly [string, Flags][] = [
  ['brokers alone', { brokers: 'a:1' }],
  ['a capture that another process has attached', { brokers: 'a:1', attached: true }],
  ['lists', lists],
  [
    'switches and sizes',
    { brokers: 'a:1', 'no-exit': true, 'exec-ring-bytes': '65536', interval: '250ms', http: 'off' },
  ],
  [
    'names that YAML takes for other things',
    { brokers: 'a:1', 'host-id': '0042', 'host-name': 'no', 'client-id': '# c: d' },
  ],
];

describe('what is printed', () => {
  test.each(cases)('is a file that gives the same: %s', async (_name, flags) => {
    const page = await printed(flags);
    // As text: a pattern is compiled anew each time. The hash is of what was given, and now all is.
    const text = (given: Flags) =>
      JSON.stringify({ ...loadRunConfig('run', given, {}, facts), configHash: '' }, null, 1);
    expect(text({ config: file(page) })).toBe(text(flags));
  });

  test.each(cases)('is what the schema of the file allows: %s', async (_name, flags) => {
    expect(check(parse(await printed(flags)))).toBe(true);
  });

  test('says of each setting where it comes from', async () => {
    const config = file('topic-prefix: file.\ncompression: gzip\n');
    const lines = (await printed({ brokers: 'a:1', config }, { BPF2KAFKA_TOPIC_PREFIX: 'env.' })).split('\n');
    expect(lines).toContain('brokers: a:1 # from the command line');
    expect(lines).toContain('topic-prefix: env. # from the environment, BPF2KAFKA_TOPIC_PREFIX');
    expect(lines).toContain(`compression: gzip # from ${config}, line 2`);
    expect(lines).toContain('host-name: web-17 # default');
    expect(lines).toContain('# registry: none');
  });

  test('hides what is secret, and shows the file that holds it', async () => {
    const environment = { BPF2KAFKA_SASL_PASSWORD: 'hidden-1', BPF2KAFKA_TLS_KEY_PASSWORD: 'hidden-2' };
    const page = await printed({ brokers: 'a:1', 'sasl-password-file': '/etc/secret' }, environment);
    expect(page).not.toContain('hidden');
    expect(page).toContain('sasl-password: "***" # from the environment, BPF2KAFKA_SASL_PASSWORD');
    expect(page).toContain('sasl-password-file: /etc/secret # from the command line');
  });
});

const schema = z.fromJSONSchema(JSON.parse(readFileSync(configSchema, 'utf8')));
const check = (content: unknown) => schema.safeParse(content).success;

describe('deploy/config.schema.json', () => {
  test('is what `npm run docs` makes of the settings', () => {
    expect(readFileSync(configSchema, 'utf8')).toBe(makeConfigSchema());
  });

  test.each([
    ['a list of brokers', 'brokers: [a:1, b:2]'],
    ['a truth value', 'create-topics: true'],
    ['one item without a list', 'interface: eth0'],
    ['a name of digits', 'topic-prefix: 2024'],
    ['numbers in a list', 'exclude-uid: [0, 997]'],
  ])('allows %s', (_name, content) => {
    expect(check(parse(content))).toBe(true);
  });

  test.each([
    ['a name that is no setting', 'brokrs: a:1'],
    ['a setting of the command line alone', 'dry-run: true'],
    ['a word for a truth value', 'create-topics: please'],
    ['a choice that is none', 'packet-key: flows'],
    ['a number that is too small', 'packet-flows: 5'],
    ['characters that no topic has', 'topic-prefix: "a b"'],
    ['a user that is no number', 'exclude-uid: [root]'],
  ])('refuses %s', (_name, content) => {
    expect(check(parse(content))).toBe(false);
  });
});

describe('bpf2kafka run --dry-run', () => {
  const run = (...words: string[]) =>
    spawnSync(process.execPath, ['bin/bpf2kafka.js', 'run', '--dry-run', '--host-id', 'h', ...words], {
      encoding: 'utf8',
    });

  test('prints and starts nothing', () => {
    const { status, stdout, stderr } = run('--brokers', '127.0.0.1:1', '--pin-path', '/nowhere');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('pin-path: /nowhere # from the command line\n');
  });

  test('a configuration that cannot be right is refused as ever', () => {
    expect(run()).toMatchObject({ status: 2, stdout: '' });
    const { status, stderr } = run('--brokers', 'a:1', '--interval', 'soon');
    expect([status, stderr]).toEqual([2, expect.stringContaining('--interval "soon"')]);
  });
});
