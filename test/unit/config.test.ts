import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  loadAttachConfig,
  loadDetachConfig,
  loadRunConfig,
  loadSchemaConfig,
  loadTailConfig,
} from '../../src/config/load.ts';
import type { Environment, Flags, RunConfig } from '../../src/config/types.ts';
import { defaultRingBytes } from '../../src/config/values.ts';
import type { Bpf2KafkaError } from '../../src/errors.ts';
import type { HostFacts } from '../../src/setting.ts';

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
      security: {},
      registry: undefined,
      registrySecurity: { tls: {} },
      registerSchemas: false,
      topicPrefix: '',
      createTopics: false,
      stateDir: '/var/lib/bpf2kafka',
      hostId: '0123456789abcdef0123456789abcdef',
      hostName: 'web-17',
      labels: {},
      configHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      clientId: 'bpf2kafka',
      attached: false,
      onExit: 'detach',
      orphanAfterMillis: 86_400_000,
      drainTimeoutMillis: 10_000,
      execRingBytes: 8 * 1024 * 1024,
      spoolBytes: 1024 ** 3,
      spoolFull: 'keep',
      args: 'full',
      execEnv: [],
      failedExecs: false,
      execFilters: { exes: [], uids: [], cgroups: [] },
      exitRingBytes: 4 * 1024 * 1024,
      pinPath: '/sys/fs/bpf/bpf2kafka',
      compression: 'zstd',
      maxBytesPerSecond: undefined,
      ledgerIntervalMillis: 10_000,
      http: { host: '127.0.0.1', port: 8080 },
      httpToken: undefined,
      serviceManager: undefined,
      packets: {
        interfaces: ['auto'],
        excluded: [],
        intervalMillis: 1_000,
        keyKind: 'flow',
        budget: 5_000,
        flows: 131_072,
      },
      redaction: { defaults: true, patterns: [] },
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

test('--exec-env names variables, each once, from every source', () => {
  const config = file('exec-env: [LD_PRELOAD, SSH_CONNECTION]\n');
  const environment = { BPF2KAFKA_EXEC_ENV: 'LD_PRELOAD, SSH_CONNECTION' };
  const expected = ['LD_PRELOAD', 'SSH_CONNECTION'];
  expect(run({ ...brokers, 'exec-env': ['LD_PRELOAD', 'SSH_CONNECTION', 'LD_PRELOAD'] }).execEnv).toEqual(expected);
  expect(run(brokers, environment).execEnv).toEqual(expected);
  expect(run({ ...brokers, config }).execEnv).toEqual(expected);
});

describe('rules that keep execs out', () => {
  const cgroups = file('/system.slice/cron.service\n# comment\n/user.slice\n');

  test('come from every source, each once', () => {
    const expected = {
      exes: ['/usr/bin/true', '/opt/*'],
      uids: [0, 1000],
      cgroups: ['/system.slice/cron.service', '/user.slice'],
    };
    const flags = {
      'exclude-exe': ['/usr/bin/true', '/opt/*', '/usr/bin/true'],
      'exclude-uid': ['0', '1000', '0'],
      'exclude-cgroup-file': cgroups,
    };
    expect(run({ ...brokers, ...flags }).execFilters).toEqual(expected);
    const environment = {
      BPF2KAFKA_EXCLUDE_EXE: '/usr/bin/true, /opt/*',
      BPF2KAFKA_EXCLUDE_UID: '0,1000',
      BPF2KAFKA_EXCLUDE_CGROUP_FILE: cgroups,
    };
    expect(run(brokers, environment).execFilters).toEqual(expected);
    const config = file(
      `exclude-exe: [/usr/bin/true, /opt/*]\nexclude-uid: [0, 1000]\nexclude-cgroup-file: ${cgroups}\n`,
    );
    expect(run({ ...brokers, config }).execFilters).toEqual(expected);
  });

  test('in a file that is wrong or not there are refused with its name, and the line', () => {
    const wrong = file('/right\nwrong\n');
    const message = (path: string) => failure(() => run({ ...brokers, 'exclude-cgroup-file': path })).message;
    expect(message(wrong)).toMatch(
      new RegExp(`^cannot use the list of cgroups in ${wrong}: line 2: it must be the absolute path of a cgroup`),
    );
    expect(message(join(directory, 'absent'))).toMatch(/the list of cgroups in \S+absent: ENOENT/);
  });
});

describe('packets', () => {
  const network = (family: 4 | 6, address: number[], prefixLength: number) => ({
    family,
    address: Uint8Array.from(address),
    prefixLength,
  });
  const documentation = [0x20, 0x01, 0x0d, 0xb8, ...new Array<number>(12).fill(0)];

  test('a list comes from a flag given twice, from the environment with commas, and from a list in the file', () => {
    const config = file('interface:\n  - eth0\n  - lo\nexclude-ip: [10.0.0.0/8, "2001:db8::/32"]\n');
    const expected = {
      interfaces: ['eth0', 'lo'],
      excluded: [network(4, [10, 0, 0, 0], 8), network(6, documentation, 32)],
    };
    const environment = { BPF2KAFKA_INTERFACE: 'eth0, lo', BPF2KAFKA_EXCLUDE_IP: '10.0.0.0/8,2001:db8::/32' };
    const flags = { interface: ['eth0', 'lo'], 'exclude-ip': ['10.0.0.0/8', '2001:db8::/32'] };
    expect(run({ ...brokers, ...flags }).packets).toMatchObject(expected);
    expect(run(brokers, environment).packets).toMatchObject(expected);
    expect(run({ ...brokers, config }).packets).toMatchObject(expected);
  });

  test('a list replaces the one of a farther source', () => {
    const config = file('interface: [eth0, eth1]\n');
    const environment = { BPF2KAFKA_INTERFACE: 'lo' };
    expect(run({ ...brokers, config }, environment).packets?.interfaces).toEqual(['lo']);
    expect(run({ ...brokers, config, interface: ['auto'] }, environment).packets?.interfaces).toEqual(['auto']);
  });

  test('what is given twice is there once, however it is written', () => {
    const flags = {
      interface: ['eth0', 'lo', 'eth0'],
      'exclude-ip': ['192.0.2.1', '192.0.2.1/32', '2001:db8::/32', '2001:DB8:0::/32'],
    };
    expect(run({ ...brokers, ...flags }).packets).toMatchObject({
      interfaces: ['eth0', 'lo'],
      excluded: [network(4, [192, 0, 2, 1], 32), network(6, documentation, 32)],
    });
  });

  test('--no-packets counts none, and says false in a nearer source', () => {
    const config = file('no-packets: true\n');
    expect(run({ ...brokers, 'no-packets': true }).packets).toBeUndefined();
    expect(run(brokers, { BPF2KAFKA_NO_PACKETS: 'true' }).packets).toBeUndefined();
    expect(run({ ...brokers, config }).packets).toBeUndefined();
    expect(run({ ...brokers, config }, { BPF2KAFKA_NO_PACKETS: 'false' }).packets).toBeDefined();
  });

  test('a wrong value is refused even when no packets are counted', () => {
    expect(failure(() => run({ ...brokers, 'no-packets': true, interval: '1' })).message).toContain('--interval "1"');
  });

  test.each([
    ['interval', '100ms', { intervalMillis: 100 }],
    ['interval', '60s', { intervalMillis: 60_000 }],
    ['interval', '1m', { intervalMillis: 60_000 }],
    ['packet-key', 'flow', { keyKind: 'flow' }],
    ['packet-key', 'service', { keyKind: 'service' }],
    ['packet-key', 'hosts', { keyKind: 'hosts' }],
    ['packet-key', 'example', { keyKind: 'example' }],
    ['packet-budget', '1', { budget: 1 }],
    ['packet-flows', '1024', { flows: 1024 }],
    ['packet-flows', '16777216', { flows: 16_777_216 }],
    ['interface', 'fifteen-bytes-x', { interfaces: ['fifteen-bytes-x'] }],
    ['interface', 'grün@if7.100', { interfaces: ['grün@if7.100'] }],
  ])('--%s %s is taken', (name, value, expected) => {
    expect(run({ ...brokers, [name]: value }).packets).toMatchObject(expected);
  });

  test.each([
    ['interval', '99ms'],
    ['interval', '61s'],
    ['interval', '0s'],
    ['interval', '1'],
    ['packet-key', 'flows'],
    ['packet-budget', '0'],
    ['packet-flows', '1023'],
    ['packet-flows', '16777217'],
    ['packet-flows', '128k'],
    ['interface', ''],
    ['interface', '.'],
    ['interface', '..'],
    ['interface', 'a b'],
    ['interface', 'a/b'],
    ['interface', 'eth0:1'],
    ['interface', 'a\nb'],
    ['interface', 'sixteen-bytes-xx'],
    ['args', 'some'],
    ['exec-env', 'A=b'],
    ['exec-env', '__proto__'],
    ['exec-env', 'A,'],
    ['exclude-exe', 'true'],
    ['exclude-exe', '/a,b'],
    ['exclude-uid', 'root'],
    ['exclude-uid', '4294967295'],
    ['exclude-cgroup-file', ''],
    ['interface', 'ääääääää'],
    ['exclude-ip', '10.0.0.0/33'],
    ['no-packets', 'yes'],
  ])('--%s %j is refused by name', (name, value) => {
    const error = failure(() => run({ ...brokers, [name]: value }));
    expect(error).toMatchObject({ code: 'ERR_CONFIG', exitCode: 2 });
    expect(error.message).toMatch(new RegExp(`--${name} .*from the command line.*must be`));
    expect(error.message).not.toContain('\n');
  });

  test('of a list the line names the item that is wrong, where it came from, and what is right', () => {
    expect(failure(() => run({ ...brokers, 'exclude-ip': ['192.0.2.1', '10.1.2.3/8'] })).message).toBe(
      'cannot use --exclude-ip "10.1.2.3/8" (from the command line): it must be 10.0.0.0/8 for the network, or 10.1.2.3 for the address',
    );
    expect(failure(() => run(brokers, { BPF2KAFKA_INTERFACE: 'eth0,,lo' })).message).toBe(
      'cannot use --interface "" (from the environment, BPF2KAFKA_INTERFACE): it must be auto, or the name of an interface: 1 to 15 bytes, no blank, slash or colon',
    );
    const config = file('exclude-ip:\n  - 10.0.0.0/8\n  - ten\n');
    expect(failure(() => run({ ...brokers, config })).message).toMatch(
      /--exclude-ip "ten" \(from .*yaml, line 1\): it must be an IPv4 or IPv6 address or network, as in /,
    );
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
    ['exit-ring-bytes', '65536', 'exitRingBytes', 65536],
    ['no-exec', 'true', 'execRingBytes', undefined],
    ['no-exit', 'true', 'exitRingBytes', undefined],
    ['spool-bytes', '0', 'spoolBytes', 0],
    ['spool-bytes', '1048576', 'spoolBytes', 2 ** 20],
    ['spool-bytes', '1099511627776', 'spoolBytes', 2 ** 40],
    ['spool-full', 'keep', 'spoolFull', 'keep'],
    ['spool-full', 'drop-oldest', 'spoolFull', 'drop-oldest'],
    ['args', 'program', 'args', 'program'],
    ['args', 'none', 'args', 'none'],
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
    ['spool-bytes', '1048575'],
    ['spool-bytes', '1099511627777'],
    ['spool-bytes', '1g'],
    ['spool-bytes', '-1'],
    ['spool-full', 'drop'],
    ['exec-ring-bytes', '32768'],
    ['exec-ring-bytes', '98304'],
    ['exec-ring-bytes', '4294967296'],
    ['exec-ring-bytes', '4m'],
    ['exit-ring-bytes', '65535'],
    ['no-exec', 'maybe'],
    ['no-exit', 'maybe'],
    ['max-bytes-per-second', '0'],
    ['max-bytes-per-second', '1e6'],
    ['on-exit', 'Detach'],
    ['compression', 'brotli'],
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

test.each<[string, Flags]>([
  ['--no-exec with --no-exit and --no-packets: nothing would be captured', { 'no-exit': true, 'no-packets': true }],
  ['--no-exec with --failed-execs', { 'failed-execs': true }],
  ['--no-exec with rules that exclude execs', { 'exclude-uid': ['0'] }],
])('%s is refused', (message, flags) => {
  const error = failure(() => run({ ...brokers, 'no-exec': true, ...flags }));
  expect(error).toMatchObject({ code: 'ERR_CONFIG', message: expect.stringContaining(message) });
});

describe('two steps', () => {
  test('what goes on with an attached capture keeps it, and cannot be told otherwise', () => {
    expect(run({ ...brokers, attached: true })).toMatchObject({ attached: true, onExit: 'keep' });
    expect(run({ ...brokers, attached: true, 'on-exit': 'keep' })).toMatchObject({ onExit: 'keep' });
    const error = failure(() => run({ ...brokers, attached: true, 'on-exit': 'detach' }));
    expect(error).toMatchObject({ code: 'ERR_CONFIG', exitCode: 2 });
    expect(error.message).toMatch(/^cannot use --on-exit detach with --attached \(from the command line\): /);
  });

  test('attach reads of the settings of run what shapes the capture, and needs no brokers', () => {
    const shape = { args: 'none', 'exclude-uid': '1', 'no-exit': true, 'packet-key': 'hosts', 'orphan-after': '1h' };
    const { brokers: _, ...expected } = run({ ...brokers, ...shape });
    const attach = loadAttachConfig({ ...shape, user: '12:34' }, {}, facts);
    for (const [name, value] of Object.entries(attach)) {
      if (name !== 'user' && name !== 'onExit') expect(value, name).toEqual(expected[name as keyof typeof expected]);
    }
    expect(attach.user).toEqual({ uid: 12, gid: 34 });
    expect(loadAttachConfig({}, {}, facts).user).toEqual({ uid: process.geteuid?.(), gid: process.getegid?.() });
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
    security: {},
    registry: undefined,
    registrySecurity: { tls: {} },
    topicPrefix: 'p.',
    json: true,
    format: undefined,
    forward: undefined,
    fromBeginning: false,
    since: undefined,
    untilEnd: false,
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

describe('where tail begins and ends', () => {
  const bounds = (flags: Flags) => {
    const { fromBeginning, since, untilEnd } = loadTailConfig({ ...brokers, ...flags }, {});
    return { fromBeginning, since, untilEnd };
  };

  test('the end alone means everything that is there', () => {
    expect(bounds({ 'until-end': true })).toEqual({ fromBeginning: true, since: undefined, untilEnd: true });
    const since = Date.parse('2026-11-24T22:00:00Z');
    const flags = { since: '2026-11-24T22:00:00Z', 'until-end': true };
    expect(bounds(flags)).toEqual({ fromBeginning: false, since, untilEnd: true });
  });

  test('a time can be said as how long ago', () => {
    const before = Date.now();
    const { since = 0 } = bounds({ since: '10m' });
    expect(since + 600_000).toBeGreaterThanOrEqual(before);
    expect(since + 600_000).toBeLessThanOrEqual(Date.now());
  });

  test.each<[Flags, string]>([
    [{ since: '10m', 'from-beginning': true }, 'cannot use --from-beginning with --since: both say where to begin'],
    [{ since: 'yesterday' }, 'it must be a time as in 2026-11-24T22:00:00Z, or how long ago as in 10m'],
  ])('%j is refused', (flags, message) => {
    expect(failure(() => bounds(flags)).message).toContain(message);
  });
});

describe('documents for security tools', () => {
  const tail = (flags: Flags, environment: Environment = {}) => loadTailConfig({ ...brokers, ...flags }, environment);

  test('are printed, or written to a topic by a group', () => {
    expect(tail({ format: 'ecs' })).toMatchObject({ format: 'ecs', forward: undefined });
    const forward = { topic: 'siem.execs', group: 'siem', deadLetter: undefined };
    expect(tail({ format: 'ocsf', to: 'siem.execs', group: 'siem', limit: '7' })).toMatchObject({
      format: 'ocsf',
      forward,
      limit: 7,
    });
    const environment = { BPF2KAFKA_FORMAT: 'sigma', BPF2KAFKA_TO: 'siem.execs', BPF2KAFKA_GROUP: 'siem' };
    expect(tail({}, environment)).toMatchObject({ format: 'sigma', forward });
    expect(tail({ 'dead-letter': 'refused' }, environment).forward).toEqual({ ...forward, deadLetter: 'refused' });
  });

  test.each<[Flags, string]>([
    [{ format: 'cef' }, 'cannot use --format "cef" (from the command line): it must be one of ocsf, ecs, sigma'],
    [{ format: 'ecs', json: true }, 'cannot use --format with --json: both say what is printed; leave one of them out'],
    [{ to: 'siem', group: 'g' }, 'cannot use --to: --format is not given; give --format, one of ocsf, ecs, sigma'],
    [
      { to: 'siem', format: 'ecs' },
      'cannot use --to: --group is not given; give --group GROUP, so that the next start goes on where this one ends',
    ],
    [{ format: 'ecs', group: 'g' }, 'cannot use --group: without --to nothing is remembered; give --to TOPIC'],
    [
      { format: 'ecs', to: 'siem', group: 'g', 'from-beginning': true },
      'cannot use --from-beginning with --to: the group says where to begin; give a new --group to begin anew',
    ],
    [
      { format: 'ecs', to: 'siem', group: 'g', since: '1h' },
      'cannot use --since with --to: the group says where to begin; give a new --group to begin anew',
    ],
    [
      { format: 'ecs', to: 'siem', group: 'g', 'until-end': true },
      'cannot use --until-end with --to: it goes on as records come; give --limit N to end it',
    ],
    [
      { format: 'ecs', to: 'a topic', group: 'g' },
      'cannot use --to "a topic" (from the command line): it must be the name of a topic: 1 to 249 letters, digits, dots, dashes and underscores',
    ],
    [{ format: 'ecs', to: '..', group: 'g' }, 'cannot use --to ".."'],
    [
      { format: 'ecs', 'dead-letter': 'refused' },
      'cannot use --dead-letter: without --to no topic refuses a document; give --to TOPIC',
    ],
    [
      { format: 'ecs', to: 'siem', group: 'g', 'dead-letter': 'siem' },
      'cannot use --dead-letter siem: it is the topic of --to, which refuses them; give another topic',
    ],
    [{ format: 'ecs', to: 'siem', group: 'g', 'dead-letter': 'a/b' }, 'cannot use --dead-letter "a/b"'],
  ])('%j is refused', (flags, message) => {
    const error = failure(() => tail(flags));
    expect([error.code, error.message]).toEqual(['ERR_CONFIG', expect.stringContaining(message)]);
  });
});

describe('a service manager', () => {
  const NOTIFY_SOCKET = '/run/systemd/notify';
  test.each([
    [{}, undefined],
    [{ NOTIFY_SOCKET }, { socket: NOTIFY_SOCKET, watchdogMillis: undefined }],
    [
      { NOTIFY_SOCKET, WATCHDOG_USEC: '30000000' },
      { socket: NOTIFY_SOCKET, watchdogMillis: 30_000 },
    ],
    [
      { NOTIFY_SOCKET, WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid) },
      { socket: NOTIFY_SOCKET, watchdogMillis: 30_000 },
    ],
    [
      { NOTIFY_SOCKET, WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' },
      { socket: NOTIFY_SOCKET, watchdogMillis: undefined },
    ],
  ])('%j', (environment, expected) => {
    expect(run(brokers, environment).serviceManager).toEqual(expected);
  });
});

describe('settings of redaction', () => {
  const sources = (config: RunConfig) => config.redaction.patterns.map(({ source }) => source);

  test('patterns keep their commas and blanks, wherever they come from', () => {
    const patterns = ['ACME-[0-9]{4,8}', ' key, (?P<secret>.+) '];
    const config = file("redact:\n  - 'ACME-[0-9]{4,8}'\n  - ' key, (?P<secret>.+) '\n");
    expect(sources(run({ ...brokers, redact: patterns }))).toEqual(patterns);
    expect(sources(run(brokers, { BPF2KAFKA_REDACT: patterns.join('\n') }))).toEqual(patterns);
    expect(sources(run({ ...brokers, config }))).toEqual(patterns);
    expect(sources(run({ ...brokers, redact: ['a', 'b', 'a'] }))).toEqual(['a', 'b']);
  });

  test('--no-redact-defaults leaves the patterns that were given', () => {
    const { redaction } = run({ ...brokers, redact: ['a'], 'no-redact-defaults': true });
    expect(redaction.defaults).toBe(false);
    expect(redaction.patterns).toHaveLength(1);
    expect(run(brokers, { BPF2KAFKA_NO_REDACT_DEFAULTS: 'true' }).redaction.defaults).toBe(false);
  });

  test('what is no pattern is refused, with the pattern and the place', () => {
    expect(failure(() => run({ ...brokers, redact: ['a,b', 'x(a'] })).message).toBe(
      'cannot use --redact "x(a" (from the command line): it must be a pattern in RE2\'s syntax; at character 4: missing closing )',
    );
    expect(failure(() => run(brokers, { BPF2KAFKA_REDACT: 'a\n' })).message).toBe(
      'cannot use --redact "" (from the environment, BPF2KAFKA_REDACT): it must be a pattern in RE2\'s syntax; this one matches the empty text, and so everything',
    );
  });
});

describe('labels', () => {
  const labelsOf = (...label: string[]) => run({ ...brokers, label }).labels;

  test('names and values; what follows the first equals sign is the value', () => {
    expect(labelsOf('site=fra1', 'team/owner=web ops', 'empty=', 'url=a=b')).toEqual({
      site: 'fra1',
      'team/owner': 'web ops',
      empty: '',
      url: 'a=b',
    });
    expect(run(brokers, { BPF2KAFKA_LABEL: 'site=fra1, rack=7' }).labels).toEqual({ site: 'fra1', rack: '7' });
    expect(run({ ...brokers, config: file('label: [site=fra1, rack=7]\n') }).labels).toEqual({
      site: 'fra1',
      rack: '7',
    });
  });

  test('the same twice is one, another value for it is refused', () => {
    expect(labelsOf('site=fra1', 'site=fra1')).toEqual({ site: 'fra1' });
    const { code, message } = failure(() => labelsOf('site=fra1', 'site=ams2'));
    expect([code, message]).toEqual([
      'ERR_CONFIG',
      expect.stringContaining('--label site=ams2: it has the value fra1'),
    ]);
  });

  test.each(['site', '=x', 'a b=c', `${'n'.repeat(64)}=x`, `a=${'v'.repeat(256)}`, 'a=b\nc'])('refuses %o', (label) => {
    expect(failure(() => labelsOf(label))).toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringContaining('it must be NAME=VALUE') as string,
    });
  });
});

describe('the hash of the configuration', () => {
  const hashOf = (flags: Flags, environment: Environment = {}, host: HostFacts = facts) =>
    run({ ...brokers, ...flags }, environment, host).configHash;
  const plain = hashOf({});

  test('is the same wherever a setting is given, and on every host', () => {
    expect(hashOf({ 'topic-prefix': 'p.' })).toBe(hashOf({}, { BPF2KAFKA_TOPIC_PREFIX: 'p.' }));
    expect(hashOf({ 'host-id': 'x', 'host-name': 'y', label: ['a=b'] })).toBe(plain);
    expect(hashOf({}, {}, { ...facts, processors: 2, hostName: 'other' })).toBe(plain);
  });

  test('is another one with another setting, but not with another secret', () => {
    expect(hashOf({ 'topic-prefix': 'p.' })).not.toBe(plain);
    expect(hashOf({ 'exclude-uid': ['5'] })).not.toBe(plain);
    const login = { tls: true, 'sasl-mechanism': 'PLAIN', 'sasl-username': 'u' };
    expect(hashOf(login, { BPF2KAFKA_SASL_PASSWORD: 'a' })).toBe(hashOf(login, { BPF2KAFKA_SASL_PASSWORD: 'b' }));
  });
});
