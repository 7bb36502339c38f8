import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readState, writeState } from '../../src/state-file.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-state-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

test('what was written is read, the directory is made, and nothing else is left in it', async () => {
  const path = join(directory, 'deep', 'file.json');
  expect(await readState(path)).toBeUndefined();
  await writeState(path, { a: 1 });
  await writeState(path, { a: 2 });
  expect(await readState(path)).toEqual({ a: 2 });
  expect(await readdir(join(directory, 'deep'))).toEqual(['file.json']);
});

test('a write that did not come to its end leaves the old content', async () => {
  const path = join(directory, 'file.json');
  await writeState(path, 'old');
  await writeFile(`${path}.unfinished`, '"ne');
  expect(await readState(path)).toBe('old');
  await writeState(path, 'new');
  expect(await readState(path)).toBe('new');
});

test('a file that is not JSON, and a path that cannot be written, are named with what to do', async () => {
  const path = join(directory, 'file.json');
  await writeFile(path, 'nonsense');
  await expect(readState(path)).rejects.toMatchObject({
    code: 'ERR_CONFIG',
    subject: path,
    remedy: 'move the file away',
  });
  const below = join(path, 'other.json');
  await expect(writeState(below, 1)).rejects.toMatchObject({ code: 'ERR_CONFIG', subject: below });
});
