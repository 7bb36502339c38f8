import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const fixtures = join(import.meta.dirname, 'summary-fixtures');
const vitest = join(import.meta.dirname, '../../../node_modules/vitest/vitest.mjs');

function runFixtures(files: string, more: NodeJS.ProcessEnv = {}): { output: string[]; status: number | null } {
  const run = spawnSync(process.execPath, [vitest, 'run', '--root', fixtures, files], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', VITEST: undefined, ...more },
  });
  return { output: run.stdout.trimEnd().split('\n'), status: run.status };
}

test('every test is counted once, in the last line', () => {
  const { output, status } = runFixtures('mixed');
  expect(output.at(-1)).toBe('1 passed, 2 failed, 4 skipped');
  expect(status).toBe(1);
});

test('each skipped test is named with its reason', () => {
  const { output } = runFixtures('mixed');
  expect(output.filter((line) => line.startsWith('skipped: '))).toEqual([
    'skipped: mixed.fixture.ts > finds out that it cannot run: no CAP_BPF',
    'skipped: mixed.fixture.ts > is switched off: no reason given',
    'skipped: mixed.fixture.ts > is not written: to do',
    'skipped: mixed.fixture.ts > with a hook that fails > never runs: a hook before it failed',
  ]);
});

test('each failure is named with the first line of its error, right before the last line', () => {
  const { output } = runFixtures('mixed');
  expect(output.slice(-3, -1)).toEqual([
    'failed: mixed.fixture.ts > with a hook that fails: hook',
    'failed: mixed.fixture.ts > fails: expected 1 to be 2 // Object.is equality',
  ]);
});

test('a file that does not load is a failure', () => {
  const { output, status } = runFixtures('broken');
  expect(output.at(-1)).toBe('0 passed, 1 failed, 0 skipped');
  expect(status).toBe(1);
});

test('an error that no test caught is a failure', () => {
  const { output, status } = runFixtures('stray');
  expect(output.at(-1)).toBe('1 passed, 1 failed, 0 skipped');
  expect(status).toBe(1);
});

test('a run that finds no test is a failure', () => {
  const { output, status } = runFixtures('no-such-file');
  expect(output.at(-1)).toBe('0 passed, 1 failed, 0 skipped');
  expect(status).toBe(1);
});

test('a run that counts with another one leaves its outcome in a file, and no last line', () => {
  const directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-outcome-'));
  try {
    const file = join(directory, 'outcome.json');
    const { output } = runFixtures('stray', { BPF2KAFKA_TEST_OUTCOME: file });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      passed: 1,
      failed: [expect.stringMatching(/^outside of tests: /)],
      skipped: [],
    });
    expect(output.join('\n')).not.toMatch(/\d+ passed, \d+ failed/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
