import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/clock.ts';
import { OauthToken } from '../../../src/kafka/oauth-token.ts';
import type { Log } from '../../../src/log.ts';
import type { TokenEndpoint } from '../../../src/security.ts';
import { TokenServer } from '../../support/token-server.ts';

const directory = mkdtempSync(join(tmpdir(), 'oauth-token-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

let now = 0;
const clock = {
  elapsedMillis: () => now,
  nowMillis: () => now,
  after: () => () => {},
  sleep: async () => {},
} satisfies Clock;
let warnings: unknown[];
const log: Log = { debug() {}, info() {}, error() {}, warn: (fields: unknown) => void warnings.push(fields) };

describe('of an endpoint', () => {
  let server: TokenServer;
  let given: number;
  const tokens = (seconds: number) => () => {
    given += 1;
    return { body: JSON.stringify({ access_token: `token-${given}`, token_type: 'Bearer', expires_in: seconds }) };
  };
  beforeEach(async () => {
    now = 1_000;
    given = 0;
    warnings = [];
    server = await TokenServer.listen(tokens(100));
  });
  afterEach(() => server[Symbol.asyncDispose]());

  const endpoint = (parts: Partial<TokenEndpoint> = {}): TokenEndpoint => ({
    kind: 'endpoint',
    url: server.url,
    clientId: 'a client',
    clientSecret: { kind: 'text', setting: 'BPF2KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET', text: 'hidden/secret' },
    scope: undefined,
    tls: {},
    ...parts,
  });
  const source = (parts: Partial<TokenEndpoint> = {}) => new OauthToken(endpoint(parts), clock, log);

  test('is asked for with the credentials of the client and the scope', async () => {
    expect(await source({ scope: 'kafka write' }).value()).toBe('token-1');
    const credentials = Buffer.from('a%20client:hidden%2Fsecret').toString('base64');
    expect(server.requests).toEqual([
      { authorization: `Basic ${credentials}`, form: { grant_type: 'client_credentials', scope: 'kafka write' } },
    ]);
  });

  test('is kept until a fifth of its life is left, for all who ask', async () => {
    const token = source();
    expect(await Promise.all([token.value(), token.value()])).toEqual(['token-1', 'token-1']);
    now += 79_999;
    expect(await token.value()).toBe('token-1');
    now += 1;
    expect(await token.value()).toBe('token-2');
  });

  test('of a short life is renewed 15 s before its end, of an unknown one each time', async () => {
    server.answer = tokens(20);
    const token = source();
    await token.value();
    now += 5_000;
    expect(await token.value()).toBe('token-2');
    server.answer = () => ({ body: '{"access_token":"once"}' });
    const unknown = source();
    await unknown.value();
    await unknown.value();
    expect(server.requests).toHaveLength(4);
  });

  test('stays in use while the endpoint is away and it is still good, with a warning, and not longer', async () => {
    const token = source();
    await token.value();
    server.answer = () => ({ status: 503, body: 'hidden' });
    now += 99_999;
    expect(await token.value()).toBe('token-1');
    expect(warnings).toEqual([{ reason: expect.stringContaining('it refuses with 503') as string }]);
    now += 1;
    await expect(token.value()).rejects.toMatchObject({ code: 'ERR_BROKER' });
  });

  test.each([
    [
      'credentials that are wrong',
      { status: 401, body: '{"error":"invalid_client"}' },
      /401 \(invalid_client\); check --sasl-oauthbearer-client-id, BPF2KAFKA_SASL/,
    ],
    [
      'an answer that repeats the secret',
      { status: 400, body: '{"error":"hidden/secret"}' },
      /it refuses with 400; check/,
    ],
    [
      'an answer without a token',
      { body: '{}' },
      /holds no access_token; check that --sasl-oauthbearer-token-endpoint-url/,
    ],
    ['an answer that is no JSON', { body: '<html>' }, /holds no access_token/],
    ['a token that would end its field', { body: '{"access_token":"a\\u0001b"}' }, /holds no access_token/],
  ])('%s is one line that names the remedy and no secret', async (_, answer, line) => {
    server.answer = () => answer;
    const refused = source().value();
    await expect(refused).rejects.toMatchObject({ code: 'ERR_BROKER', exitCode: 4 });
    await expect(refused).rejects.toThrow(line);
    await expect(refused).rejects.not.toThrow('hidden');
  });

  test('an endpoint that cannot be reached is told with its address', async () => {
    await expect(source({ url: 'http://127.0.0.1:1/token' }).value()).rejects.toThrow(
      /cannot get a token from http:\/\/127\.0\.0\.1:1\/token: .*ECONNREFUSED.*; check --sasl-oauthbearer-token-endpoint-url/,
    );
  });
});

describe('of a file', () => {
  const path = join(directory, 'token');
  const token = new OauthToken({ kind: 'file', setting: '--sasl-oauthbearer-token-file', path }, clock, log);

  test('is what the file holds now', async () => {
    writeFileSync(path, 'one.two.three\n');
    expect(await token.value()).toBe('one.two.three');
    writeFileSync(path, 'four');
    expect(await token.value()).toBe('four');
  });

  test('that is none is refused and not shown', async () => {
    writeFileSync(path, 'hidden token');
    await expect(token.value()).rejects.toThrow(/--sasl-oauthbearer-token-file .*it holds no token/);
    await expect(token.value()).rejects.not.toThrow('hidden');
  });
});
