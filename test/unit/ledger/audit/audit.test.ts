import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Audit } from '../../../../src/ledger/audit/audit.ts';
import type { AuditReport, Problem, ProblemKind } from '../../../../src/ledger/audit/audit-report.ts';
import type { DeadLetter } from '../../../../src/schemas/dead-letter.ts';
import type { ExecEvent } from '../../../../src/schemas/exec-event.ts';
import type { LedgerEntry } from '../../../../src/schemas/ledger-entry.ts';
import { honestWorld, hostPlan, type StoredRecord, simulate, type World, worldOf } from './histories.ts';

function auditOf({ entries, records, facts }: World): AuditReport {
  const audit = new Audit();
  for (const entry of entries) audit.addEntry(entry);
  for (const { event, partition, offset } of records) audit.addRecord(event, partition, offset);
  return audit.finish(facts);
}

const problemsOf = (report: AuditReport): Problem[] => [
  ...report.streams.flatMap(({ problems }) => problems),
  ...report.problems,
];
const kindsOf = (report: AuditReport): ProblemKind[] => [...new Set(problemsOf(report).map(({ kind }) => kind))];

/** Whatever the world: the report must not close, and name one of these kinds. */
function expectDetected(world: World, ...kinds: ProblemKind[]): AuditReport {
  const report = auditOf(world);
  expect(report.closes).toBe(false);
  expect(kindsOf(report).filter((kind) => kinds.includes(kind))).not.toEqual([]);
  return report;
}

function expectCloses(world: World): AuditReport {
  const report = auditOf(world);
  expect(problemsOf(report)).toEqual([]);
  expect(report.closes).toBe(true);
  return report;
}

/** What a dead letter says of its record besides the content. */
const letterOf = ({ host_id, host_name, boot_id, attach_id, epoch, event_time, seq }: ExecEvent): DeadLetter => ({
  host_id,
  host_name,
  boot_id,
  attach_id,
  epoch,
  event_time,
  topic: 'p.exec-events',
  stream_name: 'exec',
  seq,
  schema_fingerprint: '0123456789abcdef',
  error_code: 'MESSAGE_TOO_LARGE',
  reason: 'too large',
  value_bytes: null,
  value_size: 1,
  value_sha256: '00',
});

const sameAttach = (entry: LedgerEntry, { event }: StoredRecord) =>
  entry.host_id === event.host_id && entry.boot_id === event.boot_id && entry.attach_id === event.attach_id;
const identity = ({ event }: StoredRecord) => `${event.host_id} ${event.boot_id} ${event.seq}`;

/** The entry that closes the epoch of a record; undefined when none does. */
function closingEntry({ entries }: World, record: StoredRecord): LedgerEntry | undefined {
  return entries
    .filter((entry) => entry.closed && sameAttach(entry, record) && entry.epoch >= record.event.epoch)
    .sort((a, b) => a.epoch - b.epoch)[0];
}

/** Records whose absence nothing excuses: a closed entry tells of them, and no crash. */
const accounted = (world: World) =>
  world.records.filter((record) => {
    const entry = closingEntry(world, record);
    return entry !== undefined && entry.state !== 'closing';
  });

function pick<Value>(values: readonly Value[], at: number): Value {
  fc.pre(values.length > 0);
  return values[at % values.length] as Value;
}

const index = fc.nat({ max: 1_000_000 });
const amount = fc.integer({ min: 1, max: 5 });
const runs = { numRuns: 500 };

/** One that says more than the others: events in it, most of them published, and an end. */
const plain = worldOf(hostPlan({ events: fc.constant('record') }));
const orderly = (live: boolean) =>
  worldOf(
    hostPlan({ live }).map((host) => ({
      ...host,
      attaches: host.attaches.map((attach) => ({ ...attach, end: 'stopped' as const })),
    })),
  );
const stopped = orderly(false);

describe('closes', () => {
  test('an honest history, whatever happened in it', () => {
    fc.assert(
      fc.property(honestWorld, (world) => void expectCloses(world)),
      { numRuns: 2000 },
    );
  });

  test('counts every identity once, and the repeats', () => {
    fc.assert(
      fc.property(stopped, (world) => {
        const { totals, streams } = expectCloses(world);
        const distinct = new Set(world.records.map(identity)).size;
        expect(totals.records - totals.repeats).toBe(distinct);
        expect(streams.reduce((total, stream) => total + stream.distinct, 0)).toBe(distinct);
        expect(totals.seen).toBe(totals.published + totals.filtered + totals.lost);
        expect(streams.every(({ verdict }) => verdict === 'closed')).toBe(true);
      }),
      runs,
    );
  });

  test('records that are in the dead letter instead, with their content or without, some in both', () => {
    fc.assert(
      fc.property(honestWorld, fc.infiniteStream(fc.nat(3)), (world, numbers) => {
        const audit = new Audit();
        for (const entry of world.entries) audit.addEntry(entry);
        let letters = 0;
        for (const { event, partition, offset } of world.records) {
          const way = numbers.next().value as number;
          if (way <= 1) audit.addRecord(event, partition, offset);
          if (way === 0) continue;
          letters += 1;
          audit.addDeadExec(letterOf(event), way === 2 ? undefined : event, partition, offset);
        }
        const report = audit.finish(world.facts);
        expect(problemsOf(report)).toEqual([]);
        expect(report.closes).toBe(true);
        expect(report.streams.reduce((total, stream) => total + stream.dead_letters, 0)).toBe(letters);
      }),
      runs,
    );
  });

  test('entries and records in any order, any of them repeated', () => {
    fc.assert(
      fc.property(honestWorld, fc.infiniteStream(index), (world, numbers) => {
        const next = () => numbers.next().value as number;
        const shuffled = <Value>(values: readonly Value[]): Value[] =>
          values
            .flatMap((value) => Array.from({ length: 1 + (next() % 2) }, () => ({ value, key: next() })))
            .sort((a, b) => a.key - b.key)
            .map(({ value }) => value);
        const report = expectCloses({
          ...world,
          entries: shuffled(world.entries),
          records: shuffled(world.records),
        });
        const verdicts = (streams: AuditReport['streams']) =>
          streams.map(({ host_id, attach_id, entries, seen, verdict }) => [host_id, attach_id, entries, seen, verdict]);
        expect(verdicts(report.streams)).toEqual(verdicts(auditOf(world).streams));
      }),
      runs,
    );
  });

  test('with ledger entries lost, as long as the final ones are there', () => {
    fc.assert(
      fc.property(honestWorld, fc.array(index, { minLength: 1, maxLength: 5 }), (world, drops) => {
        const last = (entry: LedgerEntry) =>
          !world.entries.some(
            (other) =>
              other.host_id === entry.host_id && other.attach_id === entry.attach_id && other.epoch > entry.epoch,
          );
        const finals = new Set(world.entries.filter((entry) => entry.state !== 'capturing' || last(entry)));
        const dropped = new Set(drops.map((at) => pick(world.entries, at)));
        expectCloses({ ...world, entries: world.entries.filter((entry) => finals.has(entry) || !dropped.has(entry)) });
      }),
      runs,
    );
  });

  test('an attach that ended in a crash: what was pending is lost at most, and what came later is said', () => {
    const calm = { late: 0, early: 0, again: 0 };
    const attach = (through: number, nextEpoch: boolean) => ({
      end: 'crashed' as const,
      through,
      nextEpoch,
      epochs: [
        { ...calm, events: ['record', 'record', 'record'] as const, entry: 'closed' as const, pending: 1 },
        { ...calm, events: ['record', 'record', 'record'] as const, entry: 'open' as const, pending: 2 },
        { ...calm, events: ['record', 'record'] as const, entry: 'none' as const, pending: 1 },
      ],
    });
    for (const nextEpoch of [false, true]) {
      const told = (through: number) => {
        const { streams, totals } = expectCloses(
          simulate([{ live: false, attaches: [attach(through, nextEpoch)] }], 1_000),
        );
        expect(streams[0]?.verdict).toBe('closed');
        expect(totals.lost).toBe(2);
        return [streams[0]?.distinct, ...(streams[0]?.notes ?? [])];
      };
      const ended = 'ended without a word: up to 2 are lost, some of them may be there';
      const unobserved = 'not observed for 1 s';
      expect(told(0)).toEqual([4, ended, unobserved]);
      expect(told(2)).toEqual([6, ended, unobserved]);
      expect(told(4)).toEqual([6, '2 records published after the last entry before the end', ended, unobserved]);
    }
  });

  test('records that are newer than the newest closed epoch are not yet accounted', () => {
    fc.assert(
      fc.property(orderly(true), (world) => {
        const report = expectCloses(world);
        const open = world.records.filter((record) => closingEntry(world, record) === undefined);
        expect(report.totals.not_yet_accounted).toBe(new Set(open.map(identity)).size);
      }),
      runs,
    );
  });
});

describe('does not close', () => {
  test('when a record is not there; its window and its seq are named', () => {
    fc.assert(
      fc.property(honestWorld, index, (world, at) => {
        const gone = pick(accounted(world), at);
        const records = world.records.filter((record) => identity(record) !== identity(gone));
        const report = expectDetected({ ...world, records }, 'lost_after_ack');
        const stream = report.streams.find(({ problems }) => problems.some(({ kind }) => kind === 'lost_after_ack'));
        const { event } = gone;
        expect([stream?.host_id, stream?.attach_id, stream?.stream_name]).toEqual([
          event.host_id,
          event.attach_id,
          'exec',
        ]);
        const problem = stream?.problems.find(({ kind }) => kind === 'lost_after_ack');
        expect(problem?.count).toBe(1);
        expect(problem?.after_epoch).toBeLessThan(event.epoch);
        expect(problem?.epoch).toBeGreaterThanOrEqual(event.epoch);
      }),
      runs,
    );
  });

  test('when a record is not there; without other losses exactly its seq is named', () => {
    fc.assert(
      fc.property(plain, index, (world, at) => {
        const gone = pick(accounted(world), at);
        // Above the newest record no number is known to have been given out.
        fc.pre(world.records.some((record) => sameBoot(record, gone) && record.event.seq > gone.event.seq));
        const records = world.records.filter((record) => identity(record) !== identity(gone));
        const report = expectDetected({ ...world, records }, 'lost_after_ack');
        expect(problemsOf(report).map(({ seqs }) => seqs)).toEqual([[gone.event.seq]]);
      }),
      runs,
    );
  });
  const sameBoot = (a: StoredRecord, b: StoredRecord) =>
    a.event.host_id === b.event.host_id && a.event.attach_id === b.event.attach_id;

  test('when a record is not there and those behind it have moved up', () => {
    fc.assert(
      fc.property(honestWorld, index, (world, at) => {
        const gone = pick(accounted(world), at);
        const records = world.records
          .filter((record) => identity(record) !== identity(gone))
          .map((record) =>
            record.event.host_id === gone.event.host_id &&
            record.event.attach_id === gone.event.attach_id &&
            record.event.seq > gone.event.seq
              ? { ...record, event: { ...record.event, seq: record.event.seq - 1 } }
              : record,
          );
        expectDetected({ ...world, records }, 'missing', 'lost_after_ack');
      }),
      runs,
    );
  });

  test('when a record was replaced by one with another seq', () => {
    fc.assert(
      fc.property(stopped, index, (world, at) => {
        const gone = pick(accounted(world), at);
        const last = Math.max(...world.records.map(({ event }) => event.seq));
        const records = world.records.map((record) =>
          identity(record) === identity(gone) ? { ...record, event: { ...record.event, seq: last + 1000 } } : record,
        );
        expectDetected({ ...world, records }, 'seq_mismatch');
      }),
      runs,
    );
  });

  test('when a record is there that the ledger does not tell of', () => {
    fc.assert(
      fc.property(honestWorld, index, (world, at) => {
        const known = pick(accounted(world), at);
        const last = Math.max(...world.records.map(({ event }) => event.seq));
        const more = { ...known, event: { ...known.event, seq: last + 1 } };
        expectDetected({ ...world, records: [...world.records, more] }, 'unexpected');
      }),
      runs,
    );
  });

  test('when a count of an entry is forged', () => {
    const forged = fc.constantFrom<(entry: LedgerEntry, by: number) => LedgerEntry>(
      (entry, by) => ({ ...entry, seen: entry.seen + by }),
      (entry, by) => ({ ...entry, published: entry.published - by }),
      (entry, by) => ({ ...entry, pending: entry.pending + by }),
      (entry, by) => ({ ...entry, lost: { ...entry.lost, ring_full: (entry.lost.ring_full ?? 0) + by } }),
      (entry, by) => ({ ...entry, filtered: { ...entry.filtered, exe: (entry.filtered.exe ?? 0) + by } }),
      (entry, by) => ({ ...entry, unexplained: by }),
      // Says so itself: the field is not what is trusted.
      (entry, by) => ({ ...entry, seen: entry.seen + by, unexplained: by }),
    );
    fc.assert(
      fc.property(honestWorld, index, amount, forged, (world, at, by, forge) => {
        const entry = pick(world.entries, at);
        const entries = world.entries.map((other) => (other === entry ? forge(entry, by) : other));
        expectDetected({ ...world, entries }, 'unbalanced');
      }),
      runs,
    );
  });

  test('when two counts are forged so that the entry still balances', () => {
    const forged = fc.constantFrom<(entry: LedgerEntry, by: number) => LedgerEntry>(
      (entry, by) => ({ ...entry, seen: entry.seen + by, published: entry.published + by }),
      (entry, by) => ({
        ...entry,
        published: entry.published - by,
        lost: { ...entry.lost, ring_full: (entry.lost.ring_full ?? 0) + by },
      }),
      (entry, by) => ({
        ...entry,
        published: entry.published - by,
        filtered: { ...entry.filtered, exe: (entry.filtered.exe ?? 0) + by },
      }),
      (entry, by) => ({
        ...entry,
        seen: entry.seen + by,
        lost: { ...entry.lost, ring_full: (entry.lost.ring_full ?? 0) + by },
      }),
    );
    fc.assert(
      fc.property(stopped, index, amount, forged, (world, at, by, forge) => {
        // From one entry of an attach on: no count falls.
        const first = pick(
          world.entries.filter(({ closed }) => closed),
          at,
        );
        const entries = world.entries.map((entry) =>
          entry.host_id === first.host_id &&
          entry.attach_id === first.attach_id &&
          entry.epoch >= first.epoch &&
          entry.closed
            ? forge(entry, by)
            : entry,
        );
        const report = auditOf({ ...world, entries });
        expect(report.closes).toBe(false);
      }),
      runs,
    );
  });

  /** Events and losses made up, from one closed entry of an attach on. */
  const inflated = (world: World, first: LedgerEntry, by: number): World => ({
    ...world,
    entries: world.entries.map((entry) =>
      entry.host_id === first.host_id &&
      entry.attach_id === first.attach_id &&
      entry.epoch >= first.epoch &&
      entry.closed
        ? { ...entry, seen: entry.seen + by, lost: { ...entry.lost, ring_full: (entry.lost.ring_full ?? 0) + by } }
        : entry,
    ),
  });

  test('when losses are made up while the capture goes on: there are no holes for them', () => {
    fc.assert(
      fc.property(plain, index, amount, (world, at, by) => {
        const regular = world.entries.filter(({ closed, state }) => closed && state !== 'closing');
        const first = pick(
          regular.filter((entry) =>
            regular.some(
              (later) =>
                later.host_id === entry.host_id && later.attach_id === entry.attach_id && later.epoch > entry.epoch,
            ),
          ),
          at,
        );
        expectDetected(inflated(world, first, by), 'seq_mismatch');
      }),
      runs,
    );
  });

  test('when losses are made up, although the records are deleted: fewer numbers were given out', () => {
    fc.assert(
      fc.property(stopped, index, amount, (world, at, by) => {
        const first = pick(
          world.entries.filter(({ closed }) => closed),
          at,
        );
        const end = world.facts.partitions[0]?.end ?? 0;
        const facts = { ...world.facts, partitions: [{ partition: 0, logStart: end, end }] };
        expectCloses({ ...world, records: [], facts });
        expectDetected({ ...inflated(world, first, by), records: [], facts }, 'seq_mismatch');
      }),
      runs,
    );
  });

  test('when a record is dropped and its epoch is forged to have lost it in the ring, before a number was given', () => {
    // fell_through and skipped take no number: the hole tells.
    fc.assert(
      fc.property(stopped, index, (world, at) => {
        const gone = pick(accounted(world), at);
        const records = world.records.filter((record) => identity(record) !== identity(gone));
        const entries = world.entries.map((entry) =>
          sameAttach(entry, gone) && entry.epoch >= gone.event.epoch && entry.closed
            ? {
                ...entry,
                published: entry.published - 1,
                lost: { ...entry.lost, fell_through: (entry.lost.fell_through ?? 0) + 1 },
              }
            : entry,
        );
        expectDetected({ ...world, entries, records }, 'seq_mismatch');
      }),
      runs,
    );
  });

  test('when a count or the low watermark falls', () => {
    fc.assert(
      fc.property(stopped, index, fc.boolean(), (world, at, watermark) => {
        const late = world.entries.filter((entry) =>
          world.entries.some(
            (before) =>
              before.host_id === entry.host_id &&
              before.attach_id === entry.attach_id &&
              before.epoch < entry.epoch &&
              before.low_watermark > before.attach_id &&
              entry.closed,
          ),
        );
        const entry = pick(late, at);
        const forged = watermark ? { ...entry, low_watermark: entry.attach_id } : { ...entry, unobserved_micros: -1 };
        const entries = world.entries.map((other) => (other === entry ? forged : other));
        expectDetected({ ...world, entries }, watermark ? 'watermark_falls' : 'count_falls');
      }),
      runs,
    );
  });

  test('when a closed entry has no low watermark', () => {
    fc.assert(
      fc.property(stopped, index, (world, at) => {
        const entry = pick(
          world.entries.filter(({ closed }) => closed),
          at,
        );
        const entries = world.entries.map((other) => (other === entry ? { ...entry, low_watermark: 0 } : other));
        expectDetected({ ...world, entries }, 'watermark_falls');
      }),
      runs,
    );
  });

  test('when one epoch is closed twice with different counts', () => {
    fc.assert(
      fc.property(honestWorld, index, (world, at) => {
        const entry = pick(
          world.entries.filter(({ closed, state }) => closed && state !== 'closing'),
          at,
        );
        const other = { ...entry, seen: entry.seen + 1, published: entry.published + 1 };
        expectDetected({ ...world, entries: [...world.entries, other] }, 'conflicting_entries');
      }),
      runs,
    );
  });

  test('when a record is repeated with another content; its seq is named', () => {
    const changed = fc.constantFrom<(record: StoredRecord) => StoredRecord>(
      (record) => ({ ...record, event: { ...record.event, pid: record.event.pid + 1 } }),
      (record) => ({ ...record, event: { ...record.event, args: ['curl', 'https://example.org/other'] } }),
      (record) => ({ ...record, event: { ...record.event, uid: null } }),
      (record) => ({ ...record, event: { ...record.event, epoch: record.event.epoch + 1 } }),
      (record) => ({ ...record, event: { ...record.event, boot_micros: record.event.boot_micros - 1 } }),
    );
    fc.assert(
      fc.property(honestWorld, index, changed, (world, at, change) => {
        const record = pick(world.records, at);
        const report = expectDetected({ ...world, records: [...world.records, change(record)] }, 'identity_conflict');
        expect(problemsOf(report)[0]?.seqs).toEqual([record.event.seq]);
      }),
      runs,
    );
  });

  test('when the final entry of an attach is missing', () => {
    fc.assert(
      fc.property(honestWorld, index, (world, at) => {
        const final = pick(
          world.entries.filter(
            (entry) =>
              (entry.state === 'stopped' || entry.state === 'closing') &&
              // Another attach of the host came after it, and the ledger still knows this one.
              world.entries.some(
                (other) => other.host_id === entry.host_id && other.interval_start > entry.interval_end,
              ) &&
              world.entries.some(
                (other) => other !== entry && other.attach_id === entry.attach_id && other.host_id === entry.host_id,
              ),
          ),
          at,
        );
        expectDetected({ ...world, entries: world.entries.filter((entry) => entry !== final) }, 'no_final_entry');
      }),
      runs,
    );
  });

  test('when an epoch stays open', () => {
    fc.assert(
      fc.property(worldOf(hostPlan({ live: true })), (world) => {
        const report = expectCloses(world);
        fc.pre(
          report.streams.some(
            ({ state, notes }) => state === 'capturing' && notes.join().includes('pending in the open epoch'),
          ),
        );
        expectDetected({ ...world, facts: { ...world.facts, now: world.facts.now + 10 * 60_000 } }, 'stays_open');
      }),
      runs,
    );
  });

  test('when a stopped attach ends with an open epoch', () => {
    fc.assert(
      fc.property(plain, index, (world, at) => {
        const final = pick(
          world.entries.filter(({ state, published }) => state === 'stopped' && published > 0),
          at,
        );
        const entries = world.entries.map((entry) =>
          entry === final ? { ...final, closed: false, published: final.published - 1, pending: 1 } : entry,
        );
        expectDetected({ ...world, entries }, 'stays_open');
      }),
      runs,
    );
  });

  test('when two attaches of one boot captured at the same time', () => {
    fc.assert(
      fc.property(plain, index, (world, at) => {
        const later = pick(
          world.entries.filter((entry) =>
            world.entries.some(
              (earlier) =>
                earlier.host_id === entry.host_id &&
                earlier.boot_id === entry.boot_id &&
                earlier.attach_id < entry.attach_id,
            ),
          ),
          at,
        );
        // The earlier one goes on: its entries are as late as those of the later one.
        const entries = world.entries.map((entry) =>
          entry.host_id === later.host_id && entry.boot_id === later.boot_id && entry.attach_id < later.attach_id
            ? {
                ...entry,
                interval_start: entry.interval_start + 86_400_000,
                interval_end: entry.interval_end + 86_400_000,
              }
            : entry,
        );
        expectDetected({ ...world, entries }, 'double_capture');
      }),
      runs,
    );
  });

  test('a record later than the next attach of the boot is a double capture too', () => {
    fc.assert(
      fc.property(stopped, index, (world, at) => {
        const record = pick(
          world.records.filter(({ event }) =>
            world.entries.some(
              (entry) =>
                entry.host_id === event.host_id && entry.boot_id === event.boot_id && entry.attach_id > event.attach_id,
            ),
          ),
          at,
        );
        const records = world.records.map((other) =>
          identity(other) === identity(record)
            ? { ...other, event: { ...other.event, boot_micros: other.event.boot_micros + 3_600_000_000 } }
            : other,
        );
        expectDetected({ ...world, records }, 'double_capture');
      }),
      runs,
    );
  });

  test('when records belong to no attach of the ledger', () => {
    fc.assert(
      fc.property(honestWorld, index, (world, at) => {
        const record = pick(world.records, at);
        const entries = world.entries.filter((entry) => !sameAttach(entry, record));
        const facts = { ...world.facts, now: world.facts.now + 60_000 };
        const report = expectDetected({ ...world, entries, facts }, 'unaccounted');
        expect(report.problems[0]?.text).toContain(record.event.boot_id);
      }),
      runs,
    );
  });

  test('when the topic was made anew: what had been acknowledged is lost_after_ack', () => {
    fc.assert(
      fc.property(honestWorld, index, (world, at) => {
        const gone = pick(accounted(world), at);
        // What was written before is gone; what comes now has offsets from 0 on, and some of that is deleted already.
        const logStart = at % (gone.offset + 1);
        const facts = { ...world.facts, partitions: [{ partition: 0, logStart, end: gone.offset }] };
        const report = expectDetected({ ...world, records: [], facts }, 'lost_after_ack');
        expect(kindsOf(report)).toEqual(['lost_after_ack']);
      }),
      runs,
    );
  });

  test('when acknowledged offsets begin anew', () => {
    fc.assert(
      fc.property(stopped, index, (world, at) => {
        const late = world.entries.filter((entry) =>
          world.entries.some(
            (before) =>
              before.host_id === entry.host_id &&
              before.attach_id === entry.attach_id &&
              before.epoch < entry.epoch &&
              (before.destination?.last_offset ?? 0) > 0,
          ),
        );
        const entry = pick(late, at);
        const entries = world.entries.map((other) =>
          other === entry && other.destination !== null
            ? { ...other, destination: { ...other.destination, last_offset: 0 } }
            : other,
        );
        expectDetected({ ...world, entries }, 'broker_rewound');
      }),
      runs,
    );
  });

  test('nothing at all is no proof', () => {
    const { facts } = { facts: { now: 0, clusterId: 'c', topic: 't', partitions: [] } };
    expect(auditOf({ entries: [], records: [], facts })).toMatchObject({ closes: false, empty: true });
  });
});

describe('not checkable', () => {
  const deletedBefore = (world: World, offset: number): World => ({
    ...world,
    records: world.records.filter((record) => record.offset >= offset),
    facts: { ...world.facts, partitions: world.facts.partitions.map((one) => ({ ...one, logStart: offset })) },
  });

  test('is what retention has deleted: it never fails, and it is never closed', () => {
    fc.assert(
      fc.property(honestWorld, index, (world, at) => {
        const cut = pick(world.records, at).offset;
        const left = deletedBefore(world, cut);
        const report = expectCloses(left);
        const still = new Set(left.records.map(identity));
        for (const stream of report.streams) {
          const deleted = accounted(world).filter(
            (record) =>
              record.event.host_id === stream.host_id &&
              record.event.attach_id === stream.attach_id &&
              record.event.boot_id === stream.boot_id &&
              !still.has(identity(record)),
          );
          if (deleted.length > 0) expect(stream.verdict).toBe('not checkable');
        }
      }),
      runs,
    );
  });

  test('a record that is missing behind the deleted ones is still found', () => {
    fc.assert(
      fc.property(plain, index, index, (world, at, where) => {
        const gone = pick(accounted(world), at);
        // Everything up to two entries before its window has been deleted.
        const entry = closingEntry(world, gone) as LedgerEntry;
        const before = world.entries
          .filter((other) => other.closed && sameAttach(other, gone) && other.epoch < entry.epoch)
          .sort((a, b) => b.epoch - a.epoch)[1];
        fc.pre(before?.destination !== null && before !== undefined && before.destination.last_offset > 0);
        const cut = where % (before.destination.last_offset + 2);
        const left = deletedBefore(world, cut);
        expectDetected(
          { ...left, records: left.records.filter((record) => identity(record) !== identity(gone)) },
          'lost_after_ack',
        );
      }),
      runs,
    );
  });

  test('a copy closes where it is whole, and what is left out of it is missing', () => {
    fc.assert(
      fc.property(plain, index, (world, at) => {
        const copy = { ...world, facts: { ...world.facts, topic: 'copy.exec-events' } };
        expectCloses(copy);
        const gone = pick(accounted(world), at);
        const records = world.records.filter((record) => identity(record) !== identity(gone));
        expectDetected({ ...copy, records }, 'missing');
      }),
      runs,
    );
  });
});

describe('an attach that goes on', () => {
  const calm = { late: 0, early: 0, again: 0, pending: 1, entry: 'closed' as const };
  const epochs = Array.from({ length: 4 }, () => ({ ...calm, events: ['record', 'record'] as const }));
  const world = simulate([{ live: true, attaches: [{ epochs, end: 'stopped', through: 0, nextEpoch: false }] }], 1_000);

  test('after it had been stopped: what is open then is no end', () => {
    const entries = world.entries.map((entry, at) =>
      at === 1
        ? { ...entry, state: 'stopped' as const }
        : at === 3
          ? { ...entry, closed: false, published: entry.published - 1, pending: 1 }
          : entry,
    );
    const { streams } = expectCloses({ ...world, entries });
    expect(streams[0]?.notes).toEqual(['1 pending in the open epoch 1003', '2 records not yet accounted']);
  });

  test('at another cluster: what was published before is not checkable here, and the rest closes', () => {
    const entries = world.entries.map((entry, at) =>
      at < 2 && entry.destination !== null
        ? { ...entry, destination: { ...entry.destination, cluster_id: 'cluster-0' } }
        : entry,
    );
    const records = world.records.filter(({ event }) => event.epoch >= 1_002);
    const { streams } = expectCloses({ ...world, entries, records });
    expect(streams[0]?.not_checkable).toEqual([
      expect.objectContaining({ after_epoch: 999, epoch: 1_001, expected: 4, found: 0 }),
    ]);
    const first = records.filter(({ event }) => event.epoch !== 1_003);
    expectDetected({ ...world, entries, records: first }, 'lost_after_ack');
  });
});

describe('a part of the time', () => {
  test('closes for any window of an honest history, and its counts are differences', () => {
    fc.assert(
      fc.property(stopped, index, index, (world, a, b) => {
        const times = [pick(world.entries, a).interval_start, pick(world.entries, b).interval_end];
        const [since, until] = [Math.min(...times), Math.max(...times)];
        const report = auditOf({ ...world, facts: { ...world.facts, since, until } });
        expect(problemsOf(report)).toEqual([]);
        for (const stream of report.streams) {
          if (stream.closed_epoch === null) continue;
          const { seen, published, filtered, lost, distinct } = stream;
          const sums = [filtered, lost]
            .flatMap((counts) => Object.values(counts))
            .reduce((total, count) => total + count, 0);
          expect([distinct, seen]).toEqual([published, published + sums]);
        }
      }),
      runs,
    );
  });

  test('what is missing outside of it does not count', () => {
    fc.assert(
      fc.property(stopped, index, (world, at) => {
        const gone = pick(accounted(world), at);
        const entry = closingEntry(world, gone) as LedgerEntry;
        const records = world.records.filter((record) => identity(record) !== identity(gone));
        const within = (since: number, until: number) =>
          auditOf({ ...world, records, facts: { ...world.facts, since, until } });
        expect(within(entry.interval_start, entry.interval_end).closes).toBe(false);
        expect(
          problemsOf(within(entry.interval_end + 30_001, Number.MAX_SAFE_INTEGER)).map(({ kind }) => kind),
        ).toEqual([]);
      }),
      runs,
    );
  });
});
