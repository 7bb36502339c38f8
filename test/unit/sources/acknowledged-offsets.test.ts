import { expect, test } from 'vitest';
import { AcknowledgedOffsets } from '../../../src/sources/acknowledged-offsets.ts';
import { fakeLog } from '../producers/fakes.ts';

const setUp = (before?: { firstOffset: number; lastOffset: number }) => {
  const { log, lines } = fakeLog();
  return { offsets: new AcknowledgedOffsets(log, before), lines };
};

test('before anything is acknowledged there are none', () => {
  expect(setUp().offsets).toMatchObject({ first: -1, last: -1 });
  expect(setUp({ firstOffset: -1, lastOffset: -1 }).offsets).toMatchObject({ first: -1, last: -1 });
});

test('the first one stays, the last one goes on, and gaps are those of other hosts', () => {
  const { offsets, lines } = setUp();
  offsets.note({ firstOffset: 0, lastOffset: 0 });
  expect(offsets).toMatchObject({ first: 0, last: 0 });
  offsets.note({ firstOffset: 1, lastOffset: 500 });
  offsets.note({ firstOffset: 700, lastOffset: 710 });
  expect(offsets).toMatchObject({ first: 0, last: 710 });
  expect(lines).toEqual([]);
});

test('they go on from those of an earlier process', () => {
  const { offsets, lines } = setUp({ firstOffset: 5, lastOffset: 9 });
  expect(offsets).toMatchObject({ first: 5, last: 9 });
  offsets.note({ firstOffset: 10, lastOffset: 12 });
  expect(offsets).toMatchObject({ first: 5, last: 12 });
  expect(lines).toEqual([]);
});

test.each([9, 4])('an offset that was given before, %i after 9, is told each time', (firstOffset) => {
  const { offsets, lines } = setUp({ firstOffset: 5, lastOffset: 9 });
  offsets.note({ firstOffset, lastOffset: firstOffset + 1 });
  expect(lines).toEqual([
    {
      level: 'error',
      fields: { offset: firstOffset, before: 9 },
      message: expect.stringContaining('broker_rewound'),
    },
  ]);
  expect(offsets.last).toBe(firstOffset + 1);
  offsets.note({ firstOffset: firstOffset + 2, lastOffset: firstOffset + 2 });
  expect(lines).toHaveLength(1);
});

test('a batch that went to the dead letter as a whole leaves them as they are', () => {
  const { offsets, lines } = setUp({ firstOffset: 5, lastOffset: 9 });
  offsets.note({ firstOffset: -1, lastOffset: -1 });
  expect(offsets).toMatchObject({ first: 5, last: 9 });
  expect(lines).toEqual([]);
});
