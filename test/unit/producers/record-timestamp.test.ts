import { describe, expect, test } from 'vitest';
import { recordTimestamp, withTimestamps } from '../../../src/producers/record-timestamp.ts';
import { packRecords } from '../../../src/records/record-packer.ts';
import { recordOf } from './fakes.ts';

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

describe('records that are to be sent', () => {
  const headers = { seq: '1' };
  const at = (timestamp: number) => recordOf(`of ${timestamp}`, { key: 'ключ', timestamp, headers });
  const sent = (...times: number[]) => [...withTimestamps(packRecords(times.map(at)), now, 7 * day)];
  const skewed = (timestamp: number) => {
    return { ...at(timestamp), timestamp: now, headers: { ...headers, clock_skew: `${timestamp}` } };
  };

  test('are the same ones when all can have the times of their events', () => {
    const records = packRecords([at(now - minute), at(now)]);
    expect(withTimestamps(records, now, 7 * day)).toBe(records);
  });

  test.each([
    ['the first', [5_000, now, now - 1]],
    ['the last', [now, now - 1, now + day]],
    ['some', [now, now + day, now - 5 * day, now - 1, 0]],
    ['all', [now + day, now + 2 * day, 5_000]],
  ])('say so where they cannot: %s', (_, times) => {
    const fits = (time: number) => Math.abs(time - now) < minute;
    expect(sent(...times)).toEqual(times.map((time) => (fits(time) ? at(time) : skewed(time))));
  });

  test('are in the end as long as their new headers make them', () => {
    const whole = packRecords([at(5_000)]);
    // Both texts with their lengths; the number of headers is of one byte as before.
    expect(withTimestamps(whole, now, day).bytes).toBe(whole.bytes + 1 + 'clock_skew'.length + 1 + '5000'.length);
  });
});
