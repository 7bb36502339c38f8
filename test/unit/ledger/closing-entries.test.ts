import { describe, expect, test } from 'vitest';
import type { FinalTotals } from '../../../src/kernel/counts.ts';
import { detachedEntries, entriesBefore, lateEnd } from '../../../src/ledger/closing-entries.ts';
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
const here = { bootId: 'boot', attachId: 1_000, nowMillis: now, moved: false, spooled: () => 0 };

const packets: LedgerEntry = {
  ...entry,
  stream_name: 'packets:eth0',
  low_watermark: 1_007,
  seen: 900,
  published: 700,
  pending: 150,
  filtered: { exclude_ip: 50 },
  lost: {},
};

describe('before its own entries a start publishes', () => {
  test.each([
    ['nothing when nothing is known', [], here, []],
    ['nothing when its attach goes on', [{ entry, published: true }], here, []],
    [
      'nothing when the attach before has its final entry',
      [{ entry: final, published: true }],
      { ...here, attachId: 2_000 },
      [],
    ],
    [
      'the final entry that did not get out',
      [{ entry: final, published: false }],
      { ...here, attachId: 2_000 },
      [final],
    ],
    [
      'what it had published elsewhere, when it has moved',
      [
        { entry, published: true },
        { entry: packets, published: true },
      ],
      { ...here, moved: true },
      [entry, packets],
    ],
  ])('%s', (_, kept, start, expected) => {
    expect(entriesBefore(kept, start)).toEqual(expected);
  });

  test.each([
    ['host_crash', { ...here, bootId: 'another' }],
    ['pins_removed', { ...here, attachId: 2_000 }],
  ])('the end of an attach that has none: %s, at most what was pending, of each stream', (reason, start) => {
    const kept = [
      { entry, published: true },
      { entry: packets, published: false },
      { entry: { ...final, stream_name: 'packets:eth1' }, published: true },
    ];
    const closing = { boot_id: 'boot', attach_id: 1_000, state: 'closing', closed: true, pending: 0 };
    expect(entriesBefore(kept, start)).toMatchObject([
      {
        ...closing,
        stream_name: 'exec',
        published: 48,
        lost: { ring_full: 2, [reason]: 10 },
        unobserved_micros: 5 + 10_000_000,
      },
      { ...closing, stream_name: 'packets:eth0', published: 700, lost: { [reason]: 150 } },
    ]);
  });
});

describe('the end of an attach that detach has removed', () => {
  const at = { bootId: 'boot', nowMillis: now };
  const offsets = { firstOffset: 3, lastOffset: 42 };
  const totals: FinalTotals = {
    attachId: 1_000,
    epoch: 1_009,
    exec: {
      entered: 70,
      fellThrough: 1,
      ringFull: 2,
      ringBusy: 0,
      bare: 0,
      filtered: {},
      skipped: 3,
      acknowledged: 60,
      undecodable: 0,
      firstOffset: 0,
      lastOffset: 59,
      discarded: 7,
      spooled: 0,
      spoolAcknowledged: 0,
      spoolEvicted: 0,
      spoolMissing: 0,
    },
    packets: [],
  };

  test('balances, with what was thrown away', () => {
    expect(detachedEntries([entry], totals, at)).toMatchObject([
      {
        stream_name: 'exec',
        epoch: 1_009,
        state: 'closing',
        closed: true,
        seen: 73,
        published: 60,
        lost: { fell_through: 1, ring_full: 2, skipped: 3, discarded: 7 },
        unexplained: 0,
        low_watermark: 1_069,
      },
    ]);
  });

  test('balances, and has given no number to what was filtered', () => {
    const filtered = { 'exclude_exe:/bin/a': 4, exclude_uid: 1 };
    expect(detachedEntries([entry], { ...totals, exec: { ...totals.exec, filtered, entered: 75 } }, at)).toMatchObject([
      { seen: 78, filtered, unexplained: 0, low_watermark: 1_069 },
    ]);
  });

  test('does not balance when a count is wrong', () => {
    const wrong = { ...totals, exec: { ...totals.exec, acknowledged: 59 } };
    expect(detachedEntries([entry], wrong, at)).toMatchObject([{ unexplained: 1 }]);
  });

  test('has an entry of each stream of events that is known', () => {
    const exit = { ...totals.exec, entered: 20, acknowledged: 17, discarded: 0 };
    const both = [entry, { ...entry, stream_name: 'exit' }];
    expect(detachedEntries(both, { ...totals, exit }, at)).toMatchObject([
      { stream_name: 'exec', seen: 73, published: 60, unexplained: 0 },
      { stream_name: 'exit', seen: 23, published: 17, low_watermark: 1_019, unexplained: 0 },
    ]);
    expect(detachedEntries([entry], { ...totals, exit }, at)).toMatchObject([{ stream_name: 'exec' }]);
  });

  test('is not made of the entry of another attach', () => {
    expect(detachedEntries([], totals, at)).toEqual([]);
    expect(detachedEntries([entry], totals, { ...at, bootId: 'another' })).toEqual([]);
    expect(detachedEntries([entry], { ...totals, attachId: 2 }, at)).toEqual([]);
  });

  test('has one entry for each interface, also for one that was not in the ledger yet', () => {
    const destination = { cluster_id: 'c', topic: 'packet-counts', partition: 1 } as LedgerEntry['destination'];
    const slots = [
      { name: 'eth0', seen: 1_000, filtered: 50, published: 940, discarded: 10, ...offsets },
      { name: 'veth1', seen: 7, filtered: 0, published: 7, discarded: 0, ...offsets },
      { name: 'eth0', seen: 30, filtered: 5, published: 20, discarded: 5, ...offsets },
    ];
    const entries = detachedEntries([entry, { ...packets, destination }], { ...totals, packets: slots }, at);
    const closing = { host_id: 'host', epoch: 1_009, low_watermark: 1_010, state: 'closing', closed: true, pending: 0 };
    expect(entries.slice(1)).toMatchObject([
      {
        ...closing,
        stream_name: 'packets:eth0',
        seen: 1_030,
        published: 960,
        filtered: { exclude_ip: 55 },
        lost: { discarded: 15 },
        unexplained: 0,
        unobserved_micros: 5,
      },
      {
        ...closing,
        stream_name: 'packets:veth1',
        seen: 7,
        published: 7,
        lost: {},
        destination: { ...destination, first_offset: 3, last_offset: 42 },
        unobserved_micros: 0,
      },
    ]);
    expect(entries[1]?.filtered).toEqual({ exclude_ip: 55 });
    expect(entries[2]?.filtered).toEqual({});
  });

  test('of packets does not balance when a count is wrong', () => {
    const slots = [{ name: 'eth0', seen: 10, filtered: 1, published: 7, discarded: 1, ...offsets }];
    expect(detachedEntries([packets], { ...totals, packets: slots }, at)).toMatchObject([
      { stream_name: 'packets:eth0', unexplained: 1 },
    ]);
  });
});

describe('an attach that is over, with records in the spool', () => {
  const start = {
    ...here,
    bootId: 'another',
    spooled: ({ stream_name }: LedgerEntry) => (stream_name === 'exec' ? 4 : 0),
  };

  test('what is there is pending, and only the rest is lost, at most', () => {
    const [open] = entriesBefore([{ entry, published: true }], start);
    expect(open).toMatchObject({ state: 'closing', closed: false, pending: 4, published: 48 });
    expect(open?.lost).toEqual({ ring_full: 2, host_crash: 6 });
    expect(open).toBeDefined();
    // It is told once; a start in the middle does not count anew.
    expect(entriesBefore([{ entry: open as LedgerEntry, published: true }], start)).toEqual([]);
    expect(entriesBefore([{ entry: open as LedgerEntry, published: false }], start)).toEqual([open]);
  });

  test.each([
    ['published', { acknowledged: 4, evicted: 0, lastOffset: 90 }, 52, {}],
    ['dropped', { acknowledged: 1, evicted: 3, lastOffset: 90 }, 49, { spool_full: 3 }],
    ['gone', { acknowledged: 1, evicted: 0, lastOffset: -1 }, 49, { spool_missing: 3 }],
  ])('when they have left the account is closed: %s', (_, late, published, lost) => {
    const [open] = entriesBefore([{ entry, published: true }], start) as [LedgerEntry];
    const end = lateEnd(open, late);
    expect(end).toMatchObject({ state: 'closing', closed: true, pending: 0, published, epoch: open.epoch });
    expect(end.lost).toEqual({ ...open.lost, ...lost });
    const sum = Object.values(end.lost).reduce((total, count) => total + count, end.published);
    expect(sum).toBe(end.seen);
  });
});
