import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { schemaCommand } from '../../../src/commands/schema.ts';
import type { SchemaConfig } from '../../../src/config/types.ts';
import { topicNames } from '../../../src/schemas/catalog.ts';

const config: SchemaConfig = {
  register: false,
  registry: undefined,
  registrySecurity: {},
  topicPrefix: '',
  logLevel: 'silent',
};

async function call(name: string | undefined, changed: Partial<SchemaConfig> = {}) {
  const stdout = new PassThrough();
  const io = { stdout, stderr: new PassThrough(), stdoutClosed: new AbortController().signal };
  const code = await schemaCommand(name, { ...config, ...changed }, io);
  stdout.end();
  return { code, stdout: await text(stdout) };
}

test('without a name it lists the topics', async () => {
  expect(await call(undefined)).toEqual({ code: 0, stdout: `${topicNames.join('\n')}\n` });
});

test('with a name it prints the schema as JSON, docs included', async () => {
  const { code, stdout } = await call('exec-events');
  expect(code).toBe(0);
  const schema = JSON.parse(stdout) as { name: string; fields: { doc: string }[] };
  expect(schema.name).toBe('ExecEvent');
  expect(schema.fields[0]?.doc).toBeTruthy();
});

test('an unknown name is refused with those that exist', async () => {
  await expect(call('exec')).rejects.toMatchObject({
    code: 'ERR_USAGE',
    message: expect.stringContaining('there are: exec-events') as string,
  });
});

test('--register needs a registry and a name', async () => {
  await expect(call('exec-events', { register: true })).rejects.toMatchObject({
    code: 'ERR_USAGE',
    message: expect.stringContaining('--registry') as string,
  });
  await expect(call(undefined, { register: true })).rejects.toMatchObject({ code: 'ERR_USAGE' });
});
