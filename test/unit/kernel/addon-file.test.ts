import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Bpf2KafkaError } from '../../../src/errors.ts';
import { explainAddonFailure, findAddon, type Platform, thisPlatform } from '../../../src/kernel/addon-file.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-addon-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function put(...path: string[]): string {
  const file = join(root, ...path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, '');
  return file;
}

function refusal(platform: Platform): Bpf2KafkaError {
  try {
    findAddon(root, () => platform);
  } catch (error) {
    return error as Bpf2KafkaError;
  }
  throw new Error('it was found');
}

test('the build of a checkout goes before what a package brings', () => {
  const brought = put('dist', 'addon', `linux-${process.arch}`, 'bpf2kafka.node');
  expect(findAddon(root)).toBe(brought);
  const built = put('build', 'Release', 'bpf2kafka.node');
  expect(findAddon(root)).toBe(built);
});

test.each([
  ['a checkout that is not set up', { arch: 'x64', glibc: '2.36' }, /it is not in .*npm run setup/],
  ['arm64', { arch: 'arm64', glibc: '2.36' }, /brings it for x64 only; this machine is arm64; build it there/],
  ['musl', { arch: 'x64', glibc: undefined }, /needs glibc.*\(musl\?\)/],
  ['32 bits', { arch: 'ia32', glibc: '2.36' }, /runs on x64 and arm64; this is ia32/],
])('%s is told what to do', (_title, platform, message) => {
  expect(refusal(platform)).toMatchObject({ code: 'ERR_ADDON', exitCode: 3, message: expect.stringMatching(message) });
});

test('an addon that is newer than the system says so', () => {
  const error = new Error("/lib/libc.so.6: version `GLIBC_2.34' not found (required by bpf2kafka.node)");
  const explained = explainAddonFailure(error, () => ({ arch: 'x64', glibc: '2.28' }));
  expect(explained.message).toMatch(/GLIBC_2\.34' not found.*glibc 2\.34 or newer is needed, or build it there/);
  expect(explained.cause).toBe(error);
});

test('an addon that needs another C library is told by its name', () => {
  const error = new Error('Error relocating bpf2kafka.node: __strdup: symbol not found');
  expect(explainAddonFailure(error, () => ({ arch: 'x64', glibc: undefined })).message).toMatch(/musl/);
});

test('this platform is told as it is', () => {
  expect(thisPlatform()).toEqual({ arch: process.arch, glibc: expect.stringMatching(/^2\.\d+/) });
});
