import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** A run of vitest whose only test passes, and what runs beside it. */

const fixtures = join(import.meta.dirname, 'beside-fixtures');
const vitest = join(import.meta.dirname, '../../../node_modules/vitest/vitest.mjs');

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-beside-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function runBeside(script: string): { output: string[]; status: number | null } {
  const { stdout, status } = spawnSync(process.execPath, [vitest, 'run', '--root', fixtures], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', VITEST: undefined, BESIDE_DIRECTORY: directory, BESIDE_SCRIPT: script },
  });
  return { output: stdout.trimEnd().split('\n'), status };
}

const leave = (outcome: object) => `echo '${JSON.stringify(outcome)}' >"$BPF2KAFKA_TEST_OUTCOME"`;

test('its tests count with the others, and what it printed comes before the last lines', () => {
  const { output, status } = runBeside(`echo a table; ${leave({ passed: 5, failed: [], skipped: ['a: no reason'] })}`);
  expect(output).toContain('a table');
  expect(output.slice(-2)).toEqual(['skipped: a: no reason', '6 passed, 0 failed, 1 skipped']);
  expect(status).toBe(0);
});

test('it stands behind the others in priority', () => {
  const { output } = runBeside(`nice; ${leave({ passed: 5, failed: [], skipped: [] })}`);
  expect(output).toContain(String(Math.min(getPriority() + 10, 19)));
});

test('its failures are those of the whole', () => {
  const { output, status } = runBeside(`${leave({ passed: 5, failed: ['a > b: no'], skipped: [] })}; exit 1`);
  expect(output.slice(-2)).toEqual(['failed: a > b: no', '6 passed, 1 failed, 0 skipped']);
  expect(status).toBe(1);
});

test('an end without a result is a failure, also behind one that left some', () => {
  const { output, status } = runBeside('echo a reason; exit 3');
  expect(output).toContain('a reason');
  expect(output.at(-2)).toMatch(/^failed: the tests in virtual machines ended with 3 and left no result: /);
  expect(output.at(-1)).toBe('1 passed, 1 failed, 0 skipped');
  expect(status).toBe(1);
});
