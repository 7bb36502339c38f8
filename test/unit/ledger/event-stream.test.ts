import { expect, test } from 'vitest';
import type { EpochCut } from '../../../src/kernel/counts.ts';
import type { StreamStatus } from '../../../src/kernel/event-ring.ts';
import { type EventReader, EventStreamAccount } from '../../../src/ledger/event-stream.ts';

const counts = { entered: 30, fellThrough: 0, ringFull: 4, ringBusy: 0, bare: 9 };
const cut: EpochCut = {
  epoch: 5,
  beginBootMicros: 0,
  endBootMicros: 1,
  exec: { ...counts, filtered: {}, skipped: 0, seq: 1, producerPosition: 700, bareProducerPosition: 70 },
  exit: { ...counts, bare: 0, filtered: {}, skipped: 0, seq: 1, producerPosition: 700, bareProducerPosition: 0 },
  packets: [],
};

const reader = (firstOffset: number, lastOffset: number, acknowledged: number): EventReader => ({
  firstOffset,
  lastOffset,
  committedAfter: () => ({ acknowledged, undecodable: 0, evicted: 0, missing: 0 }),
});

const ringTotals = (acknowledged: number, undecodable: number) => ({
  acknowledged,
  undecodable,
  spoolAcknowledged: 0,
  spoolEvicted: 0,
  spoolMissing: 0,
});

/** @param waiting what is still in the ring before this position */
const ring = (acknowledged: number, undecodable: number, waiting: Readonly<Record<number, number>>) => ({
  status: () =>
    ({ ...counts, ...ringTotals(acknowledged, undecodable), unobservedMicros: 0, programHash: 'p' }) as StreamStatus,
  pending: (_epoch: number, position: number) => waiting[position] ?? Number.NaN,
});

const destination = { cluster_id: 'c', topic: 't', partition: 0, replication_factor: 1, min_insync_replicas: 1 };
const common = { stream: ring(15, 1, { 700: 3 }), deliveryState: () => 'capturing' as const, destination };

function execs(whole: EventReader, bare: EventReader) {
  return new EventStreamAccount({
    ...common,
    name: 'exec',
    reader: whole,
    bare: { ring: ring(9, 2, { 70: 2 }), reader: bare },
  });
}

test('an account is over both rings, each without what was committed of later epochs', () => {
  const account = execs(reader(0, 1, 5), reader(0, 1, 1));
  expect(account.account(cut)).toMatchObject({
    seen: 30,
    published: 18,
    pending: 5,
    lost: { ring_full: 4, undecodable: 3 },
    closed: false,
    impaired: 16,
  });
  expect(account.impaired()).toBe(16);
});

test('what was moved to the spool is pending until it has left, and then what became of it', () => {
  const whole = ring(15, 1, { 700: 3 });
  const account = new EventStreamAccount({
    ...common,
    name: 'exec',
    stream: {
      ...whole,
      status: () => ({ ...whole.status(), spooled: 30, spoolAcknowledged: 9, spoolEvicted: 5, spoolMissing: 2 }),
    },
    reader: {
      firstOffset: 0,
      lastOffset: 1,
      committedAfter: () => ({ acknowledged: 4, undecodable: 0, evicted: 3, missing: 1 }),
    },
    bare: { ring: ring(9, 2, { 70: 2 }), reader: reader(0, 1, 1) },
    spool: { recordsThrough: (epoch) => (epoch === cut.epoch ? 11 : Number.NaN) },
  });
  expect(account.account(cut)).toMatchObject({
    published: 15 + 9 - 4 + 9 - 1,
    pending: 3 + 11 + 2,
    lost: { ring_full: 4, undecodable: 3, spool_full: 2, spool_missing: 1 },
    impaired: 4 + 9 + 3 + 2 + 1,
  });
  expect(account.impaired()).toBe(4 + 9 + 3 + 5 + 2);
});

test('what rings of earlier versions held is in the account, whether they are read to their end or not', () => {
  const ended = ring(40, 1, { 90: 0 });
  const going = ring(20, 0, { 80: 6 });
  const at = (producerPosition: number, of: typeof ended) => ({
    ...of,
    status: () => ({ ...of.status(), producerPosition }),
  });
  const account = new EventStreamAccount({
    ...common,
    name: 'exec',
    reader: reader(70, 99, 5),
    earlier: [
      { ring: at(90, ended), reader: reader(3, 42, 0) },
      { ring: at(80, going), reader: reader(50, 69, 2) },
    ],
  });
  expect(account.account(cut)).toMatchObject({
    published: 15 - 5 + 40 + 20 - 2,
    pending: 3 + 6,
    lost: { ring_full: 4, undecodable: 2 },
    destination: { first_offset: 3, last_offset: 99 },
  });
  expect(account.impaired()).toBe(4 + 9 + 2);
});

test('offsets are the first and the last of both readers', () => {
  const offsetsOf = (whole: EventReader, bare: EventReader) => execs(whole, bare).account(cut)?.destination;
  expect(offsetsOf(reader(40, 90, 0), reader(60, 99, 0))).toMatchObject({ first_offset: 40, last_offset: 99 });
  expect(offsetsOf(reader(40, 90, 0), reader(-1, -1, 0))).toMatchObject({ first_offset: 40, last_offset: 90 });
  expect(offsetsOf(reader(-1, -1, 0), reader(60, 99, 0))).toMatchObject({ first_offset: 60, last_offset: 99 });
  expect(offsetsOf(reader(-1, -1, 0), reader(-1, -1, 0))).toMatchObject({ first_offset: -1, last_offset: -1 });
});

test('a stream without bare records has the account of its one ring', () => {
  const account = new EventStreamAccount({ ...common, name: 'exit', reader: reader(40, 90, 5) });
  expect(account.account(cut)).toMatchObject({
    published: 10,
    pending: 3,
    lost: { ring_full: 4, undecodable: 1 },
    impaired: 5,
    destination: { first_offset: 40, last_offset: 90 },
  });
});

test('the offsets of an entry are those of its destination, not the ones that an earlier place left in the pins', () => {
  const status = { ...ringTotals(900, 0), firstOffset: 7, lastOffset: 906 } as StreamStatus;
  const reader = {
    firstOffset: -1,
    lastOffset: -1,
    committedAfter: () => ({ acknowledged: 0, undecodable: 0, evicted: 0, missing: 0 }),
  };
  const stream = new EventStreamAccount({
    name: 'exec',
    stream: { status: () => status, pending: () => 0 },
    reader,
    deliveryState: () => 'capturing',
    destination,
  });
  expect(stream.account(cut)?.destination).toEqual({ ...destination, first_offset: -1, last_offset: -1 });
  Object.assign(reader, { firstOffset: 0, lastOffset: 41 });
  expect(stream.account(cut)?.destination).toEqual({ ...destination, first_offset: 0, last_offset: 41 });
});
