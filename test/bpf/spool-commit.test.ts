import { afterEach, beforeEach, expect, test } from 'vitest';
import { detachPinned } from '../../src/kernel/addon.ts';
import {
  acknowledging,
  CaptureReader,
  endEverything,
  newPinPath,
  newToken,
  removeLeftovers,
  removePins,
  storm,
  whyNoCapture,
} from '../support/capture.ts';

let pinPath: string;

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
  removeLeftovers();
  pinPath = newPinPath();
});
afterEach(() => {
  endEverything();
  if (pinPath !== undefined) removePins(pinPath);
});

const spooling = (records: number) => ({ ...acknowledging(0), spooled: records, spoolId: 77 });

/** A reader that has read some execs, and ends as a process does that dies before the commit. */
async function readAndDie(): Promise<{ readonly position: number; readonly records: number }> {
  using reader = new CaptureReader(pinPath);
  await storm(newToken(), 20);
  reader.read();
  return { position: reader.position, records: reader.records.length };
}

test('a commit that a process did not live to make is made by the next one, before it reads', async () => {
  const { position, records } = await readAndDie();
  using next = new CaptureReader(pinPath);
  const before = next.status;
  // Nothing ends there: nothing is done.
  expect(next.capture.exec.rollForward(position - 8, spooling(records))).toBe(false);
  expect(next.capture.exec.rollForward(position + 2 ** 30, spooling(records))).toBe(false);
  expect(next.status).toMatchObject({ consumerPosition: before.consumerPosition, spooled: 0, spoolId: 0 });

  expect(next.capture.exec.rollForward(position, { ...spooling(records), undecodable: 1 })).toBe(true);
  expect(next.status).toMatchObject({ consumerPosition: position, spooled: records, spoolId: 77, undecodable: 1 });
  // What comes behind it is read, and nothing twice.
  const token = newToken();
  await storm(token, 1);
  await next.find(({ args }) => args?.includes(`${token}-0`) ?? false, 'the next exec');
  expect(
    next.events.filter(({ args }) => args?.some((arg) => arg.startsWith('token-') && !arg.startsWith(token))),
  ).toEqual([]);
  // Too late: something was read.
  expect(next.capture.exec.rollForward(next.position, spooling(1))).toBe(false);
});

test('what became of spooled records is known to the next process, and holds a detach up', async () => {
  const { position, records } = await readAndDie();
  {
    using second = new CaptureReader(pinPath);
    second.capture.exec.rollForward(position, spooling(records));
    second.capture.exec.noteSpool({
      spoolId: 0,
      acknowledged: 5,
      evicted: 2,
      missing: 1,
      firstOffset: 40,
      lastOffset: 44,
    });
  }
  {
    using third = new CaptureReader(pinPath);
    expect(third.status).toMatchObject({ spooled: records, spoolAcknowledged: 5, spoolEvicted: 2, spoolMissing: 1 });
    expect(third.status).toMatchObject({ firstOffset: 40, lastOffset: 44 });
    third.capture.exec.noteSpool({
      spoolId: 77,
      acknowledged: 6,
      evicted: 2,
      missing: 1,
      firstOffset: -1,
      lastOffset: -1,
    });
    expect(third.status).toMatchObject({ spoolId: 77, spoolAcknowledged: 6, firstOffset: 40, lastOffset: 44 });
    third.capture.detach();
    third.read();
    third.commit();
  }
  const left = records - 9;
  expect(() => detachPinned(pinPath, false)).toThrow(`${left} records in the spool have not been acknowledged`);
  expect(detachPinned(pinPath, true)?.exec).toMatchObject({
    discarded: 0,
    spooled: records,
    spoolAcknowledged: 6,
    spoolEvicted: 2,
    spoolMissing: 1,
  });
});
