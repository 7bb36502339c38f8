import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const main = join(import.meta.dirname, '../../../bench/main.ts');

/** Node.js resolves what it imports more strictly than the tests do. */
test('every row can be loaded, and a row that there is not is named', () => {
  const { status, stderr } = spawnSync(process.execPath, [main, '--only', '99'], { encoding: 'utf8' });
  expect(stderr).toContain('--only 99: there is no row 99');
  expect(status).toBe(2);
}, 30_000);
