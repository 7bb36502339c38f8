import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Log } from '../../../src/log.ts';
import type { AvroSchema } from '../../../src/schemas/fingerprint.ts';
import { createSchemaFetcher, resolveSchemaId } from '../../../src/schemas/registry.ts';

// Failures that a real registry does not show on request; what a real one answers is in test/integration.

const schema: AvroSchema = { type: 'record', name: 'R', fields: [{ name: 'a', type: 'int' }] };
const subject = 'exec-events-value';
/** Port 1 of the loopback: nothing listens there. */
const closed = 'http://127.0.0.1:1';

let stateDir: string;
let warnings: string[];
const cleanups: (() => void)[] = [];
const log = {
  debug: () => {},
  info: () => {},
  warn: (_fields: unknown, message: string) => warnings.push(message),
  error: () => {},
} as unknown as Log;

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'registry-test-'));
  warnings = [];
});
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
  rmSync(stateDir, { recursive: true });
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const request = (url: string) => ({ url, subject, schema, register: false, stateDir, log });
const ids = () => JSON.parse(readFileSync(join(stateDir, 'schema-ids.json'), 'utf8')) as Record<string, number>;

describe('what is wrong is said, with what to do', () => {
  test.each([
    ['nothing listens', closed, /registry http:\/\/127\.0\.0\.1:1 is not available: .*ECONNREFUSED.*check --registry/],
    ['no such name', 'http://registry.invalid', /not available: .*(ENOTFOUND|EAI_AGAIN)/],
    ['no address', 'registry:8081', /"registry:8081".*not an http or https address/],
  ])('%s', async (_name, url, message) => {
    const error: unknown = await resolveSchemaId(request(url)).catch((failed: unknown) => failed);
    expect(error).toMatchObject({ code: 'ERR_REGISTRY', exitCode: 4 });
    expect((error as Error).message).toMatch(message);
  });

  test.each([
    ['a server that is not a registry', 404, '<html>', /does not answer as a schema registry.*ccompat/],
    [
      'a subject that is not there',
      404,
      { error_code: 40401, message: 'gone' },
      /does not have the schema.*--register-schemas.*schema NAME --register/,
    ],
    ['credentials that are missing', 401, { error_code: 401, message: 'who?' }, /refused with 401: who\?/],
    ['a registry that fails', 503, { message: 'starting' }, /not available: .*starting/],
  ])('%s', async (_name, status, body, message) => {
    const url = await serve((_request, response) => json(response, status, body));
    const error: unknown = await resolveSchemaId(request(url)).catch((failed: unknown) => failed);
    expect(error).toMatchObject({ code: 'ERR_REGISTRY' });
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('\n');
  });
});

describe('a restart needs no registry', () => {
  let up = true;
  let id = 7;
  let url: string;
  beforeEach(async () => {
    up = true;
    id = 7;
    url = await serve((_request, response) =>
      up ? json(response, 200, { id }) : json(response, 503, { message: 'down' }),
    );
  });

  test('the id is kept and used while the registry is away', async () => {
    expect(await resolveSchemaId(request(url))).toBe(7);
    up = false;
    expect(await resolveSchemaId(request(url))).toBe(7);
    expect(warnings).toEqual(['registry unavailable, using the kept id']);
  });

  test('a registry that accepts and says nothing holds a start up for seconds only', async () => {
    await resolveSchemaId(request(url));
    const hanging = await serve(() => {});
    const [key] = Object.keys(ids()) as [string];
    writeFileSync(join(stateDir, 'schema-ids.json'), JSON.stringify({ [key.replace(url, hanging)]: 7 }));
    expect(await resolveSchemaId(request(hanging))).toBe(7);
  });

  test('another subject, schema or registry does not get it', async () => {
    await resolveSchemaId(request(url));
    up = false;
    for (const other of [
      { ...request(url), subject: 'p.exec-events-value' },
      { ...request(url), schema: { type: 'record', name: 'S', fields: [] } },
      { ...request(closed) },
    ]) {
      await expect(resolveSchemaId(other)).rejects.toMatchObject({ code: 'ERR_REGISTRY' });
    }
  });

  test('a registry that was set up anew and gives another id is believed', async () => {
    await resolveSchemaId(request(url));
    id = 8;
    expect(await resolveSchemaId(request(url))).toBe(8);
    up = false;
    expect(await resolveSchemaId(request(url))).toBe(8);
  });

  test('a registry that answers and lacks the schema is believed too', async () => {
    await resolveSchemaId(request(url));
    const [key] = Object.keys(ids()) as [string];
    const anew = await serve((_request, response) => json(response, 404, { error_code: 40401, message: 'gone' }));
    writeFileSync(join(stateDir, 'schema-ids.json'), JSON.stringify({ [key.replace(url, anew)]: 7 }));
    await expect(resolveSchemaId(request(anew))).rejects.toMatchObject({ code: 'ERR_REGISTRY' });
  });

  test('nothing but the whole file is left behind, and other ids stay', async () => {
    await resolveSchemaId(request(url));
    id = 9;
    await resolveSchemaId({ ...request(url), subject: 'other-value' });
    expect(Object.values(ids())).toEqual([7, 9]);
    expect(readdirSync(stateDir)).toEqual(['schema-ids.json']);
  });

  test.each(['{"half', 'null', '[1]'])('a damaged file (%s) costs a warning at most', async (content) => {
    writeFileSync(join(stateDir, 'schema-ids.json'), content);
    expect(await resolveSchemaId(request(url))).toBe(7);
    expect(Object.values(ids())).toContain(7);
  });

  test('a directory that cannot be written costs a warning', async () => {
    const file = join(stateDir, 'file');
    writeFileSync(file, '');
    expect(await resolveSchemaId({ ...request(url), stateDir: join(file, 'below') })).toBe(7);
    expect(warnings).toContain('schema ids cannot be kept; the next start needs the registry');
  });
});

test('without register nothing is ever written to the registry', async () => {
  const seen: string[] = [];
  const url = await serve((incoming, response) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    json(response, 404, { error_code: 40403, message: 'no such schema' });
  });
  await resolveSchemaId(request(url)).catch(() => {});
  // The lookup is a POST, and the only one.
  expect(seen).toEqual([`POST /subjects/${subject}`, `GET /subjects/${subject}/versions`]);
});

test('a schema is asked for once by many, and again after a failure', async () => {
  let calls = 0;
  let status = 404;
  const url = await serve((_request, response) => {
    calls += 1;
    json(
      response,
      status,
      status === 200 ? { schema: JSON.stringify(schema) } : { error_code: 40403, message: 'none' },
    );
  });
  const fetchSchema = createSchemaFetcher(url);
  await expect(fetchSchema(5)).rejects.toMatchObject({
    code: 'ERR_REGISTRY',
    message: expect.stringContaining('with id 5') as string,
  });
  status = 200;
  const [one, two] = await Promise.all([fetchSchema(5), fetchSchema(5)]);
  expect(one).toEqual(expect.objectContaining({ name: 'R' }));
  expect(two).toBe(one);
  expect(calls).toBe(2);
});
