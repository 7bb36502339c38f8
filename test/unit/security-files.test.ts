import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Secret } from '../../src/security.ts';
import { readableByOthers, readSecret, readTls } from '../../src/security-files.ts';
import { type Certificate, TestAuthority } from '../support/certificates.ts';

const directory = mkdtempSync(join(tmpdir(), 'security-files-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

let authority: TestAuthority;
let client: Certificate;
let other: Certificate;
let encrypted: string;
beforeAll(async () => {
  authority = await TestAuthority.create(directory, 'authority');
  client = await authority.issue('client');
  other = await authority.issue('other');
  encrypted = join(directory, 'encrypted.key');
  execFileSync('openssl', ['pkey', '-in', client.key, '-aes256', '-passout', 'pass:hidden', '-out', encrypted]);
});

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}
const password = (path: string): Secret => ({ kind: 'file', setting: '--sasl-password-file', path });

describe('a secret', () => {
  test('is what the file holds now, without the line end', () => {
    const path = file('secret', 'first \n');
    expect(readSecret(password(path))).toBe('first ');
    writeFileSync(path, 'second');
    expect(readSecret(password(path))).toBe('second');
  });

  test.each([
    ['missing', () => join(directory, 'none'), 'there is no such file'],
    ['empty', () => file('empty', '\n'), 'it is empty'],
    ['of two lines', () => file('lines', 'hidden\nhidden\n'), 'it has more than one line'],
    ['a directory', () => directory, 'EISDIR'],
  ])('in a file that is %s is refused by name, and not shown', (_, pathOf, reason) => {
    const path = pathOf();
    expect(() => readSecret(password(path))).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', exitCode: 2, subject: `--sasl-password-file ${path}` }),
    );
    expect(() => readSecret(password(path))).toThrow(reason);
    expect(() => readSecret(password(path))).not.toThrow('hidden');
  });
});

describe('TLS', () => {
  const tls = (key: string, keyPassword?: Secret, certificate = client.certificate) => ({
    ca: { setting: '--tls-ca-file', path: authority.certificate },
    client: {
      certificate: { setting: '--tls-cert-file', path: certificate },
      key: { setting: '--tls-key-file', path: key },
      keyPassword,
    },
  });
  const hidden = (text: string): Secret => ({ kind: 'text', setting: 'BPF2KAFKA_TLS_KEY_PASSWORD', text });

  test('is what the files hold now, and never without a check of the other side', () => {
    const { ca, cert, key, rejectUnauthorized } = readTls(tls(client.key));
    expect([ca, cert, key]).toEqual(
      [authority.certificate, client.certificate, client.key].map((path) => readFileSync(path, 'utf8')),
    );
    expect(rejectUnauthorized).toBe(true);
    expect(readTls({})).toEqual({ rejectUnauthorized: true });
  });

  test('takes a key with a password', () => {
    expect(readTls(tls(encrypted, hidden('hidden')))).toMatchObject({ passphrase: 'hidden' });
  });

  test.each([
    ['an encrypted key without its password', () => tls(encrypted), 'encrypted; give its password'],
    ['a wrong password', () => tls(encrypted, hidden('wrong')), 'does not open it; check BPF2KAFKA_TLS_KEY_PASSWORD'],
    ['the key of another certificate', () => tls(other.key), 'does not belong to the certificate in'],
    ['no key', () => tls(file('no.key', 'hidden')), 'it holds no private key'],
    ['no certificate', () => tls(client.key, undefined, file('no.pem', 'hidden')), 'it holds no certificate'],
    [
      'a damaged certificate',
      () =>
        tls(client.key, undefined, file('bad.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')),
      'a certificate in it is damaged',
    ],
    ['an authority that is no file', () => ({ ca: { setting: '--tls-ca-file', path: directory } }), '--tls-ca-file'],
  ])('with %s is refused in words', (_, filesOf, reason) => {
    const files = filesOf();
    expect(() => readTls(files)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG', exitCode: 2 }));
    expect(() => readTls(files)).toThrow(reason);
    expect(() => readTls(files)).not.toThrow(/hidden|wrong/);
  });
});

test('files that every user may read are named, whatever else they hold', () => {
  const open = file('open', 'x');
  const closed = file('closed', 'x');
  chmodSync(open, 0o644);
  chmodSync(closed, 0o640);
  const text: Secret = { kind: 'text', setting: 'sasl-password', text: 'x', path: open };
  expect(
    readableByOthers([password(open), password(closed), password(join(directory, 'none')), text, undefined]),
  ).toEqual([open]);
});
