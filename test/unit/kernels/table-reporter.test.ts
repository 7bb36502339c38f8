import { expect, test } from 'vitest';
import { panicsOf, tableOf } from '../../kernels/table-reporter.ts';

const cell = { passed: 3, failed: 0, skipped: 0, seconds: 1.5 };

test('a row for each machine, a column for each subject, and what did not run as such', () => {
  const table = tableOf([
    { ...cell, machine: 'linux 5.10', subject: 'refusal' },
    { ...cell, machine: 'linux 6.12, preempt=full', subject: 'packets', failed: 1, skipped: 2 },
  ]);
  expect(table.split('\n')).toEqual([
    'kernel                    refusal           packets',
    'linux 5.10                3 passed (1.5 s)  -',
    'linux 6.12, preempt=full  -                 3 passed, 1 failed, 2 skipped (1.5 s)',
  ]);
});

test('a machine that was booted twice is told of with what its console said', () => {
  expect(panicsOf([])).toBe('');
  const text = panicsOf([{ machine: 'linux 7.3', printed: 'Kernel panic - not syncing: Fatal exception' }]);
  expect(text).toMatch(/^linux 7\.3: .*booted once more.*:\nKernel panic - not syncing: Fatal exception$/m);
});
