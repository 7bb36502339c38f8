import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLog } from '../../src/log.ts';
import { topicSchema } from '../../src/schemas/catalog.ts';
import { createSchemaFetcher, resolveSchemaId } from '../../src/schemas/registry.ts';
import type { RegistrySecurity } from '../../src/security.ts';
import { type Certificate, TestAuthority } from '../support/certificates.ts';
import { HttpsProxy } from '../support/https-proxy.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';
import { CommandProcess } from '../support/sidecar.ts';

const { schema } = topicSchema('exec-events');
const log = createLog('silent');
const directory = mkdtempSync(join(tmpdir(), 'registry-security-test-'));
const password = join(directory, 'password');

let registry: TestRegistry;
let authority: TestAuthority;
let client: Certificate;
let proxy: HttpsProxy;

beforeAll(async () => {
  registry = await startRegistry();
  authority = await TestAuthority.create(directory, 'authority');
  client = await authority.issue('client');
  const server = await authority.issue('registry');
  const clientAuthority = authority.certificate;
  proxy = await HttpsProxy.listen({ target: registry.url, server, clientAuthority, login: 'sidecar:open-sesame' });
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await registry?.stop();
  rmSync(directory, { recursive: true });
});
beforeEach(() => writeFileSync(password, 'open-sesame\n', { mode: 0o600 }));

const ca = () => ({ setting: '--registry-ca-file', path: authority.certificate });
const shown = ({ certificate, key }: Certificate) => ({
  certificate: { setting: '--registry-cert-file', path: certificate },
  key: { setting: '--registry-key-file', path: key },
});
const login = (username = 'sidecar') =>
  ({ username, password: { kind: 'file', setting: '--registry-password-file', path: password } }) as const;
const right = (): RegistrySecurity => ({ tls: { ca: ca(), client: shown(client) }, login: login() });

const resolve = (security: RegistrySecurity) =>
  resolveSchemaId({ url: proxy.url, security, subject: 'secure.exec-events-value', schema, register: true, log });

test('with an authority, a certificate and a login, schemas are registered, looked up and read', async () => {
  const id = await resolve(right());
  expect(await resolve(right())).toBe(id);
  expect(await createSchemaFetcher(proxy.url, right())(id)).toMatchObject({ name: 'io.bpf2kafka.v1.ExecEvent' });
});

test('a password that is changed in its file is used by who runs already', async () => {
  const id = await resolve(right());
  writeFileSync(password, 'wrong');
  const fetchSchema = createSchemaFetcher(proxy.url, right());
  await expect(fetchSchema(id)).rejects.toThrow(/check --registry-username and --registry-password-file/);
  writeFileSync(password, 'open-sesame');
  await expect(fetchSchema(id)).resolves.toMatchObject({ name: 'io.bpf2kafka.v1.ExecEvent' });
});

describe('what is refused is said with its remedy', () => {
  test.each<[string, () => RegistrySecurity, RegExp]>([
    [
      'an unknown authority',
      () => ({ ...right(), tls: {} }),
      /not trusted .*; give the authority .* --registry-ca-file/,
    ],
    [
      'no certificate of the client',
      () => ({ ...right(), tls: { ca: ca() } }),
      /wants a certificate of this client .*; give --registry-cert-file and --registry-key-file/,
    ],
    ['no login', () => ({ tls: right().tls }), /401.*; give --registry-username and --registry-password-file/],
    [
      'another user',
      () => ({ ...right(), login: login('nobody') }),
      /401.*; check --registry-username and --registry-password-file/,
    ],
  ])('%s', async (_, security, says) => {
    const refused = resolve(security());
    await expect(refused).rejects.toMatchObject({ code: 'ERR_REGISTRY', exitCode: 4 });
    await expect(refused).rejects.toThrow(says);
    await expect(refused).rejects.not.toThrow('open-sesame');
  });
});

test('the command line registers over it, and refuses a file that is not there', async () => {
  const words = ['schema', 'exec-events', '--register', '--registry', proxy.url, '--topic-prefix', 'command.'];
  const tls = ['--registry-ca-file', authority.certificate, '--registry-cert-file', client.certificate];
  const flags = [...words, ...tls, '--registry-key-file', client.key, '--registry-username', 'sidecar'];
  await using right = new CommandProcess([...flags, '--registry-password-file', password]);
  expect([await right.exit(), right.errors]).toEqual([0, '']);
  await using wrong = new CommandProcess([...flags, '--registry-password-file', '/nowhere/password']);
  expect(await wrong.exit()).toBe(2);
  expect(wrong.errors).toMatch(/^bpf2kafka: cannot use --registry-password-file \/nowhere\/password: [^\n]+\n$/);
});
