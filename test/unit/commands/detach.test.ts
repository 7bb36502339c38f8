import { expect, test } from 'vitest';
import { detachLine } from '../../../src/commands/detach.ts';

const slot = (discarded: number) => ({ discarded });

test.each([
  ['nothing was pinned', undefined, 'nothing is pinned in /pins'],
  ['nothing was left', { exec: slot(0), exit: slot(0), packets: [slot(0)] }, 'detached /pins'],
  ['records', { exec: slot(3), packets: [] }, 'detached /pins; lost: 3 records that no broker had acknowledged'],
  [
    'records of both streams',
    { exec: slot(3), exit: slot(4), packets: [] },
    'detached /pins; lost: 7 records that no broker had acknowledged',
  ],
  ['packets', { exec: slot(0), packets: [slot(2), slot(5)] }, 'detached /pins; lost: the counts of 7 packets'],
  [
    'both',
    { exec: slot(3), packets: [slot(2)] },
    'detached /pins; lost: 3 records that no broker had acknowledged, the counts of 2 packets',
  ],
])('says what was given up: %s', (_, totals, line) => {
  expect(detachLine('/pins', totals)).toBe(line);
});
