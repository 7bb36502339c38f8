import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { schemaCommand } from '../../src/commands/schema.ts';
import { createLog } from '../../src/log.ts';
import { topicSchema } from '../../src/schemas/catalog.ts';
import { createCodec, createDecoder } from '../../src/schemas/codec.ts';
import type { AvroSchema } from '../../src/schemas/fingerprint.ts';
import { createSchemaFetcher, resolveSchemaId } from '../../src/schemas/registry.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';
import { fullEvent } from '../unit/schemas/events.ts';

const { schema } = topicSchema('exec-events');
const log = createLog('silent');
let registry: TestRegistry;
let stateDir: string;
let subject: string;
let subjects = 0;

beforeAll(async () => {
  registry = await startRegistry();
  stateDir = mkdtempSync(join(tmpdir(), 'registry-test-'));
});
afterAll(async () => {
  await registry?.stop();
  rmSync(stateDir, { recursive: true });
});
beforeEach(() => {
  subjects += 1;
  subject = `t${subjects}.exec-events-value`;
});

const request = (register: boolean, of: AvroSchema = schema) => ({
  url: registry.url,
  subject,
  schema: of,
  register,
  stateDir,
  log,
});

async function ask(
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${registry.url}${path}`, {
    method,
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
const registerText = (schemaText: string) => ask('POST', `/subjects/${subject}/versions`, { schema: schemaText });

describe('looking an id up', () => {
  test('a schema that is not there is refused with the remedy, and stays out', async () => {
    await expect(resolveSchemaId(request(false))).rejects.toMatchObject({
      code: 'ERR_REGISTRY',
      message: expect.stringMatching(/does not have the schema.*--register-schemas/) as string,
    });
    expect((await ask('GET', `/subjects/${subject}/versions`)).status).toBe(404);
  });

  test('a subject that holds another schema only is refused, too', async () => {
    await registerText('{"type":"record","name":"Other","fields":[]}');
    await expect(resolveSchemaId(request(false))).rejects.toMatchObject({ code: 'ERR_REGISTRY' });
    expect((await ask('GET', `/subjects/${subject}/versions`)).body).toEqual([1]);
  });

  test('what was registered is found', async () => {
    const { id } = (await registerText(JSON.stringify(schema))).body;
    expect(await resolveSchemaId(request(false))).toBe(id);
  });

  test('the same schema with other white space and docs is found', async () => {
    await registerText('{"type":"record","name":"ExecEvent","namespace":"io.bpf2kafka.v1","fields":[]}');
    const undocumented = JSON.stringify(schema, (key, value: unknown) => (key === 'doc' ? undefined : value), 1);
    const { id } = (await registerText(undocumented)).body;
    expect(await resolveSchemaId(request(false))).toBe(id);
  });

  test('a schema that differs by a default alone is another one', async () => {
    await registerText(JSON.stringify(schema).replace('"default":null', '"default":null,"order":"ignore"'));
    await expect(resolveSchemaId(request(false))).rejects.toMatchObject({ code: 'ERR_REGISTRY' });
  });
});

describe('registering', () => {
  test('gives an id, sets FULL_TRANSITIVE, and is the same the second time', async () => {
    const id = await resolveSchemaId(request(true));
    expect((await ask('GET', `/config/${subject}`)).body).toEqual({ compatibilityLevel: 'FULL_TRANSITIVE' });
    expect(await resolveSchemaId(request(true))).toBe(id);
    expect(await resolveSchemaId(request(false))).toBe(id);
    expect((await ask('GET', `/subjects/${subject}/versions`)).body).toEqual([1]);
  });

  test('a subject that was registered by hand gets FULL_TRANSITIVE as well', async () => {
    const { id } = (await registerText(JSON.stringify(schema))).body;
    await ask('PUT', `/config/${subject}`, { compatibility: 'BACKWARD' });
    expect(await resolveSchemaId(request(true))).toBe(id);
    expect((await ask('GET', `/config/${subject}`)).body).toEqual({ compatibilityLevel: 'FULL_TRANSITIVE' });
  });

  test('an incompatible schema is refused, said so, and changes nothing', async () => {
    await registerText(
      '{"type":"record","name":"ExecEvent","namespace":"io.bpf2kafka.v1","fields":[{"name":"pid","type":"string"}]}',
    );
    await expect(resolveSchemaId(request(true))).rejects.toMatchObject({
      code: 'ERR_REGISTRY',
      message: expect.stringMatching(/not compatible with what the registry/) as string,
    });
    expect((await ask('GET', `/subjects/${subject}/versions`)).body).toEqual([1]);
  });

  test('an address without the path of the API is refused with a hint', async () => {
    await expect(resolveSchemaId({ ...request(true), url: new URL(registry.url).origin })).rejects.toMatchObject({
      code: 'ERR_REGISTRY',
      message: expect.stringContaining('/apis/ccompat/v7') as string,
    });
  });

  test('schema NAME --register registers under the prefix and prints the id', async () => {
    const stdout = new PassThrough();
    const code = await schemaCommand(
      'exec-events',
      { register: true, registry: registry.url, registrySecurity: {}, topicPrefix: 'command.', logLevel: 'silent' },
      { stdout, stderr: new PassThrough(), stdoutClosed: new AbortController().signal },
    );
    stdout.end();
    const { id } = (await ask('GET', '/subjects/command.exec-events-value/versions/1')).body;
    expect([code, await text(stdout)]).toEqual([0, `command.exec-events-value has the id ${String(id)}\n`]);
  });
});

describe('reading by id', () => {
  test('the schema comes back whole, and decodes what was written with its id', async () => {
    const schemaId = await resolveSchemaId(request(true));
    const schemaById = createSchemaFetcher(registry.url);
    const { records } = createCodec({ topic: 'exec-events', framing: { kind: 'confluent', schemaId } }).encode([
      fullEvent,
    ]);
    const decoder = createDecoder({ topic: 'exec-events', schemaById });
    expect(await decoder.decode(records.at(0).value)).toEqual({ ok: true, event: fullEvent });
  });

  test('an id that the registry does not have is refused by number', async () => {
    await expect(createSchemaFetcher(registry.url)(987654)).rejects.toMatchObject({
      code: 'ERR_REGISTRY',
      message: expect.stringMatching(/id 987654.*does not have it/) as string,
    });
  });
});

test('the compatibility that was set refuses a change that would break readers', async () => {
  await resolveSchemaId(request(true));
  const broken = JSON.stringify(schema).replace('{"name":"pid","type":"int"', '{"name":"pid","type":"string"');
  expect((await registerText(broken)).status).toBe(409);
});
