import { describe, expect, test } from 'vitest';
import type { FinalTotals } from '../../../src/kernel/addon.ts';
import { detachedEntry, entryBefore, refuseOtherHostId } from '../../../src/ledger/last-entry.ts';
import type { LedgerEntry } from '../../../src/schemas/ledger-entry.ts';

const now = 1_764_000_000_000;
const entry: LedgerEntry = {
  host_id: 'host',
  host_name: null,
  boot_id: 'boot',
  attach_id: 1_000,
  epoch: 1_007,
  stream_name: 'exec',
  state: 'capturing',
  interval_start: now - 20_000,
  interval_end: now - 10_000,
  low_watermark: 1_050,
  closed: false,
  seen: 60,
  published: 48,
  pending: 10,
  filtered: {},
  lost: { ring_full: 2 },
  unexplained: 0,
  unobserved_micros: 5,
  destination: null,
  sidecar_version: '0',
  program_tag: '',
};
const final: LedgerEntry = { ...entry, state: 'stopped', closed: true, pending: 0, published: 58 };
const here = { hostId: 'host', bootId: 'boot', attachId: 1_000, nowMillis: now, moved: false };

describe('before its own entries a start publishes', () => {
  test.each([
    ['nothing when nothing is known', undefined, here, undefined],
    ['nothing when its attach goes on', { entry, published: true }, here, undefined],
    [
      'nothing when the attach before has its final entry',
      { entry: final, published: true },
      { ...here, attachId: 2_000 },
      undefined,
    ],
    ['the final entry that did not get out', { entry: final, published: false }, { ...here, attachId: 2_000 }, final],
    ['what it had published elsewhere, when it has moved', { entry, published: true }, { ...here, moved: true }, entry],
  ])('%s', (_, kept, start, expected) => {
    expect(entryBefore(kept, start)).toEqual(expected);
  });

  test.each([
    ['host_crash', { ...here, bootId: 'another' }],
    ['pins_removed', { ...here, attachId: 2_000 }],
  ])('the end of an attach that has none: %s, at most what was pending', (reason, start) => {
    const closing = entryBefore({ entry, published: true }, start);
    expect(closing).toMatchObject({
      boot_id: 'boot',
      attach_id: 1_000,
      state: 'closing',
      closed: true,
      pending: 0,
      lost: { ring_full: 2, [reason]: 10 },
      unobserved_micros: 5 + 10_000_000,
    });
    expect(closing?.published).toBe(48);
  });
});

test('another host id over a capture that goes on is refused, and only there', () => {
  const kept = { entry, published: true };
  expect(() => refuseOtherHostId(kept, { ...here, hostId: 'renamed' })).toThrow(/begun as host.*--on-exit detach/);
  expect(() => refuseOtherHostId(kept, here)).not.toThrow();
  expect(() => refuseOtherHostId(kept, { ...here, hostId: 'renamed', attachId: 2_000 })).not.toThrow();
  expect(() => refuseOtherHostId(undefined, here)).not.toThrow();
});

describe('the end of an attach that detach has removed', () => {
  const totals: FinalTotals = {
    attachId: 1_000,
    epoch: 1_009,
    entered: 70,
    fellThrough: 1,
    ringFull: 2,
    ringBusy: 0,
    skipped: 3,
    acknowledged: 60,
    undecodable: 0,
    firstOffset: 0,
    lastOffset: 59,
    discarded: 7,
    packets: [],
  };

  test('balances, with what was thrown away', () => {
    expect(detachedEntry(entry, totals, { bootId: 'boot', nowMillis: now })).toMatchObject({
      epoch: 1_009,
      state: 'closing',
      closed: true,
      seen: 73,
      published: 60,
      lost: { fell_through: 1, ring_full: 2, skipped: 3, discarded: 7 },
      unexplained: 0,
      low_watermark: 1_069,
    });
  });

  test('does not balance when a count is wrong', () => {
    const wrong = { ...totals, acknowledged: 59 };
    expect(detachedEntry(entry, wrong, { bootId: 'boot', nowMillis: now })?.unexplained).toBe(1);
  });

  test('is not made of the entry of another attach', () => {
    expect(detachedEntry(undefined, totals, { bootId: 'boot', nowMillis: now })).toBeUndefined();
    expect(detachedEntry(entry, totals, { bootId: 'another', nowMillis: now })).toBeUndefined();
    expect(detachedEntry(entry, { ...totals, attachId: 2 }, { bootId: 'boot', nowMillis: now })).toBeUndefined();
  });
});
