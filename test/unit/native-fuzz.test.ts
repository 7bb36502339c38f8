import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');

// What was found once, and the same inputs made of it each time; `npm run fuzz` looks for new ones.
test.for([
  ['event_ring', 'the ring reader takes any ring: no crash, no read outside, no loop without end'],
  ['record_writer', 'the writer of records takes any program that it does not refuse, and any record'],
])('%s: %s', { timeout: 300_000 }, ([target], { skip }) => {
  const { status, stderr } = spawnSync('sh', ['scripts/fuzz.sh', target as string, '-runs=10000', '-seed=1'], {
    cwd: root,
    encoding: 'utf8',
  });
  skip(status === 69, stderr.trim());
  expect(stderr).toMatch(/^Done 10000 runs/m);
  expect(status).toBe(0);
});
