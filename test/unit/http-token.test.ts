import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { effectiveSettings } from '../../src/config/effective.ts';
import { loadRunConfig } from '../../src/config/load.ts';
import { optionsOf } from '../../src/config/options.ts';
import type { Environment, Flags } from '../../src/config/types.ts';
import { reasonOf } from '../../src/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'http-token-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const facts = { processors: 2, hostName: 'web-17', machineId: '0123456789abcdef0123456789abcdef\n' };
const token = 'A1b2C3d4E5f6-._~';
const load = (flags: Flags, environment: Environment = {}) =>
  loadRunConfig('run', { brokers: 'a:1', ...flags }, environment, facts).httpToken;

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

test('comes from the command line, the environment, the file of --config, or a file of its own', () => {
  expect(load({})).toBeUndefined();
  expect(load({ 'http-token': token })).toMatchObject({ text: token });
  expect(load({}, { BPF2KAFKA_HTTP_TOKEN: token })).toMatchObject({ text: token });
  const config = file('config.yaml', `http-token: ${token}\n`);
  expect(load({ config })).toMatchObject({ text: token, path: config });
  const path = file('token', `${token}\n`);
  expect(load({ 'http-token-file': path })).toMatchObject({ text: token, path });
  expect(load({}, { BPF2KAFKA_HTTP_TOKEN_FILE: path })).toMatchObject({ text: token, path });
});

test('is the one secret that is an option, and is shown nowhere', () => {
  const names = optionsOf('run').map(({ name }) => name);
  expect(names.filter((name) => name.startsWith('http'))).toEqual(['http', 'http-token', 'http-token-file']);
  expect(names).not.toContain('sasl-password');
  const settings = effectiveSettings({ brokers: 'a:1', 'http-token': token }, {}, facts);
  expect(settings).toContainEqual({ name: 'http-token', value: '***', origin: 'the command line' });
  expect(JSON.stringify(settings)).not.toContain(token);
});

test.each(['', 'short', 'fifteen-letters', 'a b c d e f g h i', 'a&b=c&d=e&f=g&h=i', 'ä'.repeat(16), 'x'.repeat(256)])(
  '%j is refused, and not repeated',
  (wrong) => {
    const messages = [
      () => load({ 'http-token': wrong }),
      () => load({ 'http-token-file': file('wrong', `${wrong}\n`) }),
    ].map((given) => {
      try {
        given();
        return 'it was accepted';
      } catch (error) {
        return reasonOf(error);
      }
    });
    expect(messages[0]).toMatch(/^cannot use http-token \(from the command line\): it must be 16 to 255 letters/);
    expect(messages[1]).toMatch(/^cannot use --http-token-file \S+wrong: /);
    if (wrong !== '') expect(messages.join()).not.toContain(wrong);
  },
);

test('a file that is not there, and one beside the token itself, are refused', () => {
  expect(() => load({ 'http-token-file': join(directory, 'absent') })).toThrow('there is no such file');
  expect(() => load({ 'http-token': token, 'http-token-file': file('token', token) })).toThrow('give one of them');
});

test('a token for a page that is off is refused, wherever either comes from', () => {
  const reason = 'there is no page that it would open; leave one of them out';
  expect(() => load({ http: 'off', 'http-token': token })).toThrow(
    `cannot use --http-token (from the command line) with --http off (from the command line): ${reason}`,
  );
  expect(() => load({ http: 'off' }, { BPF2KAFKA_HTTP_TOKEN: token })).toThrow(
    `cannot use --http-token (from the environment, BPF2KAFKA_HTTP_TOKEN) with --http off (from the command line): ${reason}`,
  );
  const config = file('off.yaml', `http: off\nhttp-token-file: ${file('token', token)}\n`);
  expect(() => load({ config })).toThrow(
    `cannot use --http-token-file (from ${config}, line 2) with --http off (from ${config}, line 1): ${reason}`,
  );
  expect(load({ config, http: '127.0.0.1:0' })).toMatchObject({ text: token });
});
