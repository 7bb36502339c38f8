import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  defaultRingBytes,
  type Environment,
  type Flags,
  type HostFacts,
  loadDetachConfig,
  loadRunConfig,
  loadSchemaConfig,
  loadTailConfig,
} from '../../src/config.ts';
import type { Bpf2KafkaError } from '../../src/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'config-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const facts: HostFacts = {
  processors: 12,
  hostName: 'web-17',
  machineId: '0123456789abcdef0123456789abcdef\n',
};
const brokers = { brokers: 'kafka:9092' };

function run(flags: Flags = brokers, environment: Environment = {}, host: HostFacts = facts) {
  return loadRunConfig('run', flags, environment, host);
}

let files = 0;
function file(content: string): string {
  files += 1;
  const path = join(directory, `${files}.yaml`);
  writeFileSync(path, content);
  return path;
}

function failure(action: () => unknown): Bpf2KafkaError {
  try {
    action();
  } catch (error) {
    return error as Bpf2KafkaError;
  }
  throw new Error('it was accepted');
}

describe('defaults', () => {
  test('everything but the brokers has one', () => {
    expect(run()).toEqual({
      brokers: ['kafka:9092'],
      registry: undefined,
      registerSchemas: false,
      topicPrefix: '',
      createTopics: false,
      stateDir: '/var/lib/bpf2kafka',
      hostId: '0123456789abcdef0123456789abcdef',
      hostName: 'web-17',
      clientId: 'bpf2kafka',
      onExit: 'detach',
      drainTimeoutMillis: 10_000,
      execRingBytes: 8 * 1024 * 1024,
      pinPath: '/sys/fs/bpf/bpf2kafka',
      compression: 'zstd',
      maxBytesPerSecond: undefined,
      ledgerIntervalMillis: 10_000,
      http: { host: '127.0.0.1', port: 8080 },
      logLevel: 'info',
    });
  });

  test.each([
    [1, 4],
    [8, 4],
    [9, 8],
    [12, 8],
    [16, 8],
    [17, 16],
    [128, 64],
    [1000, 64],
  ])('the ring of a host with %i processors has %i MiB', (processors, mebibytes) => {
    expect(defaultRingBytes(processors)).toBe(mebibytes * 1024 * 1024);
  });

  test('run needs brokers, start brings its own', () => {
    expect(failure(() => run({}))).toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringContaining('--brokers') as string,
    });
    expect(loadRunConfig('start', {}, {}, facts).brokers).toEqual([]);
  });

  test.each([
    ['missing', undefined, 'is missing'],
    ['empty', '\n', 'is empty'],
    ['not yet made', 'uninitialized\n', 'holds no machine id'],
  ])('a machine-id that is %s is refused with the remedy', (_name, machineId, reason) => {
    const error = failure(() => run(brokers, {}, { ...facts, machineId }));
    expect(error.code).toBe('ERR_CONFIG');
    expect(error.message).toContain(reason);
    expect(error.message).toContain('--host-id');
    expect(run({ ...brokers, 'host-id': 'given' }, {}, { ...facts, machineId }).hostId).toBe('given');
  });
});

describe('flags go before the environment, the environment before the file', () => {
  const config = file('client-id: from-file\ntopic-prefix: file.\ncompression: gzip\n');

  test('each setting takes the nearest source', () => {
    const environment = { BPF2KAFKA_TOPIC_PREFIX: 'environment.', BPF2KAFKA_CLIENT_ID: 'from-environment' };
    const { clientId, topicPrefix, compression } = run({ ...brokers, config, 'client-id': 'from-flag' }, environment);
    expect({ clientId, topicPrefix, compression }).toEqual({
      clientId: 'from-flag',
      topicPrefix: 'environment.',
      compression: 'gzip',
    });
  });

  test('the environment can take back what the file switches on', () => {
    const path = file('create-topics: true\n');
    expect(run({ ...brokers, config: path }).createTopics).toBe(true);
    expect(run({ ...brokers, config: path }, { BPF2KAFKA_CREATE_TOPICS: 'false' }).createTopics).toBe(false);
    expect(
      run({ ...brokers, config: path, 'create-topics': true }, { BPF2KAFKA_CREATE_TOPICS: '0' }).createTopics,
    ).toBe(true);
  });

  test('an empty variable is one that is not set', () => {
    expect(run(brokers, { BPF2KAFKA_REGISTRY: '', BPF2KAFKA_CLIENT_ID: '' })).toMatchObject({
      registry: undefined,
      clientId: 'bpf2kafka',
    });
  });

  test('the file can be named in the environment, and hold the brokers as a list', () => {
    const path = file('# a comment\nbrokers:\n  - one:9092\n  - "two:9093"\nhost-id: 007\n');
    expect(run({}, { BPF2KAFKA_CONFIG: path })).toMatchObject({ brokers: ['one:9092', 'two:9093'], hostId: '007' });
  });

  test('an empty file, and one of comments only, sets nothing', () => {
    expect(run({ ...brokers, config: file('') })).toEqual(run());
    expect(run({ ...brokers, config: file('# nothing\n') })).toEqual(run());
    expect(run({ ...brokers, config: file('registry:\n') })).toEqual(run());
  });
});

describe('a file that cannot be right is refused with its name and line', () => {
  test.each([
    ['an unknown key', 'client-id: x\nbroker: a:1\n', /line 2: it knows no setting "broker"; the nearest is 'brokers'/],
    ['underscores', 'create_topics: true\n', /line 1: .*"create_topics"; the nearest is 'create-topics'/],
    ['broken YAML', 'client-id: x\n\ttopic-prefix: y\n', /line 2, column \d+/],
    ['a key twice', 'client-id: x\nclient-id: y\n', /line 2.*unique/],
    ['a list', '- a\n', /name: value/],
    ['a value that is a map', 'client-id: { a: b }\n', /line 1: client-id must be a value/],
    ['config inside', 'config: other.yaml\n', /no setting "config"/],
    [
      'a wrong value',
      '\non-exit: maybe\n',
      /--on-exit "maybe" \(from .*yaml, line 2\): it must be one of detach, keep/,
    ],
  ])('%s', (_name, content, message) => {
    const path = file(content);
    const error = failure(() => run({ ...brokers, config: path }));
    expect(error).toMatchObject({ code: 'ERR_CONFIG', exitCode: 2 });
    expect(error.message).toMatch(message);
    expect(error.message).toContain(path);
    expect(error.message).not.toContain('\n');
  });

  test('a file that is not there', () => {
    const error = failure(() => run({ ...brokers, config: join(directory, 'absent.yaml') }));
    expect(error.code).toBe('ERR_CONFIG');
    expect(error.message).toMatch(/absent\.yaml.*ENOENT/);
  });
});

describe('values at the edge', () => {
  const accepted: [string, string, string, unknown][] = [
    [
      'brokers',
      'a:1, b.example.org:65535 ,192.0.2.1:9092',
      'brokers',
      ['a:1', 'b.example.org:65535', '192.0.2.1:9092'],
    ],
    [
      'registry',
      'https://registry.example.org/apis/ccompat/v7',
      'registry',
      'https://registry.example.org/apis/ccompat/v7',
    ],
    ['topic-prefix', 'team_a.', 'topicPrefix', 'team_a.'],
    ['topic-prefix', '', 'topicPrefix', ''],
    ['drain-timeout', '1500ms', 'drainTimeoutMillis', 1500],
    ['drain-timeout', '0s', 'drainTimeoutMillis', 0],
    ['drain-timeout', '1.5m', 'drainTimeoutMillis', 90_000],
    ['drain-timeout', '1h', 'drainTimeoutMillis', 3_600_000],
    ['exec-ring-bytes', '65536', 'execRingBytes', 65536],
    ['exec-ring-bytes', '2147483648', 'execRingBytes', 2 ** 31],
    ['max-bytes-per-second', '1', 'maxBytesPerSecond', 1],
    ['on-exit', 'detach', 'onExit', 'detach'],
    ['compression', 'none', 'compression', 'none'],
    ['log-level', 'silent', 'logLevel', 'silent'],
    ['host-id', 'rack 1/node 2', 'hostId', 'rack 1/node 2'],
    ['http', '0.0.0.0:9090', 'http', { host: '0.0.0.0', port: 9090 }],
    ['http', '[::1]:0', 'http', { host: '::1', port: 0 }],
    ['http', 'web-17.example.org:80', 'http', { host: 'web-17.example.org', port: 80 }],
    ['http', 'off', 'http', undefined],
  ];
  test.each(accepted)('--%s %s is taken', (name, value, field, expected) => {
    expect(run({ ...brokers, [name]: value })).toHaveProperty(field, expected);
  });

  const refused: [string, string][] = [
    ['brokers', 'kafka'],
    ['brokers', 'kafka:'],
    ['brokers', 'kafka:0'],
    ['brokers', 'kafka:65536'],
    ['brokers', 'a:1,,b:2'],
    ['brokers', ''],
    ['brokers', 'PLAINTEXT://kafka:9092'],
    ['brokers', '2001:db8::1:9092'],
    ['brokers', '[kafka]:9092'],
    ['brokers', '[2001:db8::1]:9092'],
    ['registry', 'registry:8081'],
    ['registry', 'ftp://registry'],
    ['registry', 'http://user:secret@registry'],
    ['registry', 'http://:secret@registry'],
    ['registry', 'http://user@registry'],
    ['registry', 'http://registry/?a=b'],
    ['topic-prefix', 'a b'],
    ['topic-prefix', 'x'.repeat(229)],
    ['drain-timeout', '10'],
    ['drain-timeout', '-1s'],
    ['drain-timeout', '1000h'],
    ['exec-ring-bytes', '65535'],
    ['exec-ring-bytes', '32768'],
    ['exec-ring-bytes', '98304'],
    ['exec-ring-bytes', '4294967296'],
    ['exec-ring-bytes', '4m'],
    ['max-bytes-per-second', '0'],
    ['max-bytes-per-second', '1e6'],
    ['on-exit', 'Detach'],
    ['compression', 'lz4'],
    ['log-level', 'trace'],
    ['host-id', ''],
    ['host-id', 'a\nb'],
    ['host-id', ' a'],
    ['state-dir', ''],
    ['client-id', 'x'.repeat(256)],
    ['http', '8080'],
    ['http', ':8080'],
    ['http', '127.0.0.1:65536'],
    ['http', '::1:8080'],
    ['http', '[web-17]:8080'],
    ['http', 'http://127.0.0.1:8080'],
  ];
  test.each(refused)('--%s %j is refused by name', (name, value) => {
    const error = failure(() => run({ ...brokers, [name]: value }));
    expect(error).toMatchObject({ code: 'ERR_CONFIG', exitCode: 2 });
    expect(error.message).toMatch(new RegExp(`--${name} .*from the command line.*must be`));
    expect(error.message).not.toContain('\n');
  });

  test('the line says which variable a wrong value came from', () => {
    const error = failure(() => run(brokers, { BPF2KAFKA_DRAIN_TIMEOUT: 'soon' }));
    expect(error.message).toBe(
      'cannot use --drain-timeout "soon" (from the environment, BPF2KAFKA_DRAIN_TIMEOUT): it must be a number with ms, s, m or h, as in 10s',
    );
  });
});

test('tail, schema and detach read the settings they share with run', () => {
  const environment = {
    BPF2KAFKA_BROKERS: 'a:1',
    BPF2KAFKA_TOPIC_PREFIX: 'p.',
    BPF2KAFKA_PIN_PATH: '/sys/fs/bpf/other',
  };
  expect(loadTailConfig({ limit: '3', json: true }, environment)).toEqual({
    brokers: ['a:1'],
    registry: undefined,
    topicPrefix: 'p.',
    json: true,
    fromBeginning: false,
    limit: 3,
  });
  expect(failure(() => loadTailConfig({}, {})).message).toContain('--brokers');
  expect(failure(() => loadTailConfig({ limit: '0' }, environment)).message).toContain('--limit "0"');
  expect(loadSchemaConfig({ register: true }, environment)).toMatchObject({ register: true, topicPrefix: 'p.' });
  expect(loadDetachConfig({ discard: true }, environment)).toMatchObject({
    discard: true,
    pinPath: '/sys/fs/bpf/other',
  });
});
