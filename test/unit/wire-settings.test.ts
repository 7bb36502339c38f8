import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadAuditConfig, loadRunConfig, loadSchemaConfig } from '../../src/config/load.ts';
import { optionsOf } from '../../src/config/options.ts';
import type { Environment, Flags } from '../../src/config/types.ts';

const directory = mkdtempSync(join(tmpdir(), 'wire-settings-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const load = (flags: Flags, environment: Environment = {}) =>
  loadAuditConfig({ brokers: 'kafka:9092', ...flags }, environment);
const brokers = (flags: Flags, environment: Environment = {}) => load(flags, environment).security;
const registry = (flags: Flags, environment: Environment = {}) => load(flags, environment).registrySecurity;
const file = (name: string, path: string) => ({ setting: `--${name}`, path });

test('without any, everything is plain text', () => {
  expect(load({})).toMatchObject({ security: { tls: undefined, sasl: undefined } });
});

test('TLS has files, and a key its password', () => {
  const flags = { tls: true, 'tls-ca-file': '/ca', 'tls-cert-file': '/cert', 'tls-key-file': '/key' };
  expect(brokers({ ...flags, 'tls-key-password-file': '/password' })).toEqual({
    tls: {
      ca: file('tls-ca-file', '/ca'),
      client: {
        certificate: file('tls-cert-file', '/cert'),
        key: file('tls-key-file', '/key'),
        keyPassword: { kind: 'file', ...file('tls-key-password-file', '/password') },
      },
    },
  });
  expect(brokers({ tls: true })).toEqual({ tls: {} });
});

test('a login has its password in a file, in the environment, or in the configuration file', () => {
  const flags = { 'sasl-mechanism': 'SCRAM-SHA-512', 'sasl-username': 'sidecar' };
  const sasl = (password: object) => ({ sasl: { mechanism: 'SCRAM-SHA-512', username: 'sidecar', password } });
  expect(brokers({ ...flags, 'sasl-password-file': '/password' })).toEqual(
    sasl({ kind: 'file', ...file('sasl-password-file', '/password') }),
  );
  expect(brokers(flags, { BPF2KAFKA_SASL_PASSWORD: 'a,b' })).toEqual(
    sasl({ kind: 'text', setting: 'BPF2KAFKA_SASL_PASSWORD', text: 'a,b' }),
  );
  const config = join(directory, 'config.yaml');
  writeFileSync(config, 'sasl-password: a,b\n');
  expect(brokers({ ...flags, config })).toEqual(
    sasl({ kind: 'text', setting: 'sasl-password', text: 'a,b', path: config }),
  );
});

test('OAUTHBEARER has its token from a file or from an endpoint', () => {
  const flags = { 'sasl-mechanism': 'OAUTHBEARER' };
  expect(brokers({ ...flags, 'sasl-oauthbearer-token-file': '/token' })).toEqual({
    sasl: { mechanism: 'OAUTHBEARER', token: { kind: 'file', ...file('sasl-oauthbearer-token-file', '/token') } },
  });
  const endpoint = {
    'sasl-oauthbearer-token-endpoint-url': 'https://identity/token',
    'sasl-oauthbearer-client-id': 'sidecar',
    'sasl-oauthbearer-client-secret-file': '/secret',
    'sasl-oauthbearer-scope': 'kafka',
    'sasl-oauthbearer-ca-file': '/ca',
  };
  expect(brokers({ ...flags, ...endpoint })).toEqual({
    sasl: {
      mechanism: 'OAUTHBEARER',
      token: {
        kind: 'endpoint',
        url: 'https://identity/token',
        clientId: 'sidecar',
        clientSecret: { kind: 'file', ...file('sasl-oauthbearer-client-secret-file', '/secret') },
        scope: 'kafka',
        tls: { ca: file('sasl-oauthbearer-ca-file', '/ca') },
      },
    },
  });
});

test('a registry has an authority, a certificate and a login', () => {
  const flags = {
    registry: 'https://registry',
    'registry-ca-file': '/ca',
    'registry-cert-file': '/cert',
    'registry-key-file': '/key',
    'registry-username': 'sidecar',
    'registry-password-file': '/password',
  };
  const expected = {
    tls: {
      ca: file('registry-ca-file', '/ca'),
      client: { certificate: file('registry-cert-file', '/cert'), key: file('registry-key-file', '/key') },
    },
    login: { username: 'sidecar', password: { kind: 'file', ...file('registry-password-file', '/password') } },
  };
  expect(registry(flags)).toEqual(expected);
  expect(loadSchemaConfig(flags, {}).registrySecurity).toEqual(expected);
});

const oauth = { 'sasl-mechanism': 'OAUTHBEARER' };
const url = { 'sasl-oauthbearer-token-endpoint-url': 'https://identity/token' };
test.each<[Flags, string]>([
  [{ 'tls-ca-file': '/ca' }, 'use --tls-ca-file: it needs --tls;'],
  [{ 'tls-cert-file': '/cert', 'tls-key-file': '/key' }, 'use --tls-cert-file: it needs --tls;'],
  [{ tls: true, 'tls-cert-file': '/cert' }, 'use --tls-cert-file: it needs --tls-key-file;'],
  [{ tls: true, 'tls-key-file': '/key' }, 'use --tls-key-file: it needs --tls-cert-file;'],
  [{ tls: true, 'tls-key-password-file': '/p' }, 'use --tls-key-password-file: it needs --tls-key-file;'],
  [{ 'sasl-mechanism': 'PLAIN' }, 'use --sasl-mechanism: it needs --sasl-username;'],
  [{ 'sasl-mechanism': 'PLAIN', 'sasl-username': 'x' }, 'it needs --sasl-password-file;'],
  [{ 'sasl-username': 'x' }, 'use --sasl-username: it needs --sasl-mechanism;'],
  [{ 'sasl-password-file': '/p' }, 'use --sasl-password-file: it needs --sasl-mechanism;'],
  [{ 'sasl-mechanism': 'GSSAPI' }, 'PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER'],
  [oauth, 'it needs --sasl-oauthbearer-token-file or --sasl-oauthbearer-token-endpoint-url;'],
  [{ ...oauth, ...url }, 'it needs --sasl-oauthbearer-client-id;'],
  [{ ...oauth, ...url, 'sasl-oauthbearer-client-id': 'x' }, 'it needs --sasl-oauthbearer-client-secret-file;'],
  [{ ...oauth, ...url, 'sasl-oauthbearer-token-file': '/t' }, '--sasl-oauthbearer-token-file is given as well;'],
  [{ 'sasl-oauthbearer-token-file': '/t' }, 'it needs --sasl-mechanism OAUTHBEARER;'],
  [{ 'registry-ca-file': '/ca' }, 'use --registry-ca-file: it needs --registry;'],
  [{ registry: 'http://r', 'registry-ca-file': '/ca' }, 'it needs an https address of --registry;'],
  [{ registry: 'http://r', 'registry-username': 'x' }, 'it needs --registry-password-file;'],
  [{ registry: 'http://r', 'registry-password-file': '/p' }, 'it needs --registry-username;'],
])('%o is refused: %s', (flags, reason) => {
  expect(() => load(flags)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG', exitCode: 2 }));
  expect(() => load(flags)).toThrow(reason);
});

describe('no secret is shown', () => {
  test.each<[string, Flags, Environment]>([
    [
      'two places',
      { 'sasl-mechanism': 'PLAIN', 'sasl-username': 'x', 'sasl-password-file': '/p' },
      { BPF2KAFKA_SASL_PASSWORD: 'hidden' },
    ],
    ['two lines', { 'sasl-mechanism': 'PLAIN', 'sasl-username': 'x' }, { BPF2KAFKA_SASL_PASSWORD: 'hidden\nx' }],
    ['an address', { registry: 'https://me:hidden@registry' }, {}],
  ])('of a secret in %s', (_, flags, environment) => {
    expect(() => load(flags, environment)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
    expect(() => load(flags, environment)).not.toThrow('hidden');
  });

  test('and none is an option of the command line', () => {
    for (const command of ['run', 'start', 'tail', 'audit', 'schema'] as const) {
      const options = optionsOf(command).map(({ name }) => name);
      expect(options.filter((name) => /password|secret/.test(name) && !name.endsWith('-file'))).toEqual([]);
      expect(options).toContain('registry-password-file');
    }
  });
});

test('the Kafka that start brings has no security, and says so', () => {
  const facts = { processors: 1, hostName: 'web-17', machineId: '0123456789abcdef0123456789abcdef' };
  expect(() => loadRunConfig('start', { tls: true }, {}, facts)).toThrow(/TLS or SASL.*give --brokers as well/);
});

test('the documentation names every option, and none that is not there', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/security.md'), 'utf8');
  const named = new Set(text.match(/--(tls|sasl|registry)(-[a-z]+)*/g));
  const options = optionsOf('run').map(({ name }) => `--${name}`);
  const ours = options.filter((name) => /^--(tls|sasl|registry)/.test(name));
  expect([...named].sort()).toEqual(ours.sort());
});
