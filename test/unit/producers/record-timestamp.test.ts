import { describe, expect, test } from 'vitest';
import { recordTimestamp } from '../../../src/producers/record-timestamp.ts';

const minute = 60_000;
const day = 24 * 60 * minute;
const now = 1_764_000_000_000;

describe('the timestamp of a record', () => {
  test('is the time of the event', () => {
    expect(recordTimestamp(now - minute, now, 7 * day)).toEqual({ timestamp: now - minute });
  });

  test.each([
    ['30 minutes ahead is still taken', now + 30 * minute, 7 * day, true],
    ['a millisecond more is not: the broker would refuse the batch', now + 30 * minute + 1, 7 * day, false],
    ['half of the retention is still taken', now - 3.5 * day, 7 * day, true],
    ['a millisecond older is not: the broker would soon delete it', now - 3.5 * day - 1, 7 * day, false],
    ['any age is taken without a limit', now - 5_000 * day, Number.POSITIVE_INFINITY, true],
    ['a clock that starts in 1970 is not, whatever the retention', 5_000, Number.POSITIVE_INFINITY, false],
  ])('%s', (_, event, retention, taken) => {
    expect(recordTimestamp(event, now, retention)).toEqual(
      taken ? { timestamp: event } : { timestamp: now, clockSkew: event },
    );
  });
});
