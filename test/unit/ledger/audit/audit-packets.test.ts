import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Audit } from '../../../../src/ledger/audit/audit.ts';
import type { AuditReport, Problem, ProblemKind } from '../../../../src/ledger/audit/audit-report.ts';
import type { LedgerEntry } from '../../../../src/schemas/ledger-entry.ts';
import type { PacketCount } from '../../../../src/schemas/packet-count.ts';
import { simulate } from './histories.ts';
import {
  type PacketEpoch,
  type PacketWorld,
  packetHost,
  packetWorldOf,
  type StoredCount,
  simulatePackets,
} from './packet-histories.ts';

function auditOf({ entries, records, facts }: PacketWorld): AuditReport {
  const audit = new Audit();
  for (const entry of entries) audit.addEntry(entry);
  for (const { count, partition, offset } of records) audit.addPacketCount(count, partition, offset);
  return audit.finish(facts);
}

const problemsOf = (report: AuditReport): Problem[] => [
  ...report.streams.flatMap(({ problems }) => problems),
  ...report.problems,
];

/** Whatever the world: the report must not close, and name one of these kinds. */
function expectDetected(world: PacketWorld, ...kinds: ProblemKind[]): AuditReport {
  const report = auditOf(world);
  expect(report.closes).toBe(false);
  const found = problemsOf(report).map(({ kind }) => kind);
  expect(found.filter((kind) => kinds.includes(kind))).not.toEqual([]);
  return report;
}

function expectCloses(world: PacketWorld): AuditReport {
  const report = auditOf(world);
  expect(problemsOf(report)).toEqual([]);
  expect(report.closes).toBe(true);
  return report;
}

const sameStream = (entry: LedgerEntry, { count }: StoredCount) =>
  entry.host_id === count.host_id &&
  entry.boot_id === count.boot_id &&
  entry.attach_id === count.attach_id &&
  entry.stream_name === `packets:${count.interface_name}`;

/** All that tells two records of one host apart; that their attaches have different epochs makes it unique. */
const identity = ({ count }: StoredCount) =>
  [count.host_id, count.boot_id, count.epoch, count.interface_index, count.source_address, count.traffic_class].join();

/** The entry that closes the epoch of a record; undefined when none does. */
function closingEntry({ entries }: PacketWorld, record: StoredCount): LedgerEntry | undefined {
  return entries
    .filter((entry) => entry.closed && sameStream(entry, record) && entry.epoch >= record.count.epoch)
    .sort((a, b) => a.epoch - b.epoch)[0];
}

/** Records whose absence nothing excuses: a closed entry tells of them, and no crash. */
const accounted = (world: PacketWorld) =>
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
const honest = packetWorldOf(packetHost());
const stopped = packetWorldOf(packetHost({ end: 'stopped', live: false }));

/** One interface with an entry for each of these epochs; the last one is final unless the host goes on. */
function oneHost(epochs: readonly Partial<PacketEpoch>[], options: { live?: boolean } = {}): PacketWorld {
  const traffic = [{ slot: 0, key: 1, trafficClass: 'keyed', packets: 10 }] as const;
  const calm = { traffic, entry: 'closed', late: false, again: 0 } as const;
  const attach = { slots: ['eth0'], epochs: epochs.map((epoch) => ({ ...calm, ...epoch })), through: 0 };
  return simulatePackets([{ live: options.live === true, attaches: [{ ...attach, end: 'stopped' }] }], 1_000, {
    alone: true,
  });
}

describe('closes', () => {
  test('an honest history, whatever happened in it', () => {
    fc.assert(
      fc.property(honest, (world) => void expectCloses(world)),
      { numRuns: 2000 },
    );
  });

  test('records that are in the dead letter instead, some in both', () => {
    fc.assert(
      fc.property(honest, fc.infiniteStream(fc.nat(2)), (world, numbers) => {
        const audit = new Audit();
        for (const entry of world.entries) audit.addEntry(entry);
        for (const { count, partition, offset } of world.records) {
          const way = numbers.next().value as number;
          if (way <= 1) audit.addPacketCount(count, partition, offset);
          if (way >= 1) audit.addDeadPacketCount(count, partition, offset);
        }
        const report = audit.finish(world.facts);
        expect(problemsOf(report)).toEqual([]);
        expect(report.closes).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('sums the packets of every identity once, those that were filtered on their own', () => {
    fc.assert(
      fc.property(stopped, (world) => {
        const { streams, totals, packet_totals } = expectCloses(world);
        const distinct = new Map(world.records.map((record) => [identity(record), record.count]));
        const sumOf = (filtered: boolean) =>
          [...distinct.values()]
            .filter(({ traffic_class }) => (traffic_class === 'filtered') === filtered)
            .reduce((total, { packets }) => total + packets, 0);
        expect(packet_totals).toMatchObject({
          seen: sumOf(false) + sumOf(true),
          published: sumOf(false),
          filtered: sumOf(true),
          records: world.records.length,
          repeats: world.records.length - distinct.size,
          not_yet_accounted: 0,
        });
        for (const { packets, published, filtered, verdict } of streams) {
          expect([verdict, packets]).toEqual(['closed', { published, filtered: filtered.exclude_ip ?? 0 }]);
        }
        expect(streams.reduce((total, stream) => total + stream.distinct, 0)).toBe(distinct.size);
        expect([totals.seen, totals.records]).toEqual([0, 0]);
      }),
      runs,
    );
  });

  test('entries and records in any order, any of them repeated', () => {
    fc.assert(
      fc.property(honest, fc.infiniteStream(index), (world, numbers) => {
        const next = () => numbers.next().value as number;
        const shuffled = <Value>(values: readonly Value[]): Value[] =>
          values
            .flatMap((value) => Array.from({ length: 1 + (next() % 2) }, () => ({ value, key: next() })))
            .sort((a, b) => a.key - b.key)
            .map(({ value }) => value);
        const report = expectCloses({ ...world, entries: shuffled(world.entries), records: shuffled(world.records) });
        const plain = (streams: AuditReport['streams']) =>
          streams.map(({ stream_name, attach_id, seen, packets, verdict }) => [
            stream_name,
            attach_id,
            seen,
            packets,
            verdict,
          ]);
        expect(plain(report.streams)).toEqual(plain(auditOf(world).streams));
      }),
      runs,
    );
  });

  test('an epoch that was written again: its records are repeats', () => {
    fc.assert(
      fc.property(honest, index, (world, at) => {
        const { count } = pick(world.records, at);
        const again = world.records.filter(
          ({ count: { host_id, epoch } }) => host_id === count.host_id && epoch === count.epoch,
        );
        const before = expectCloses(world).packet_totals?.repeats ?? 0;
        const report = expectCloses({ ...world, records: [...world.records, ...again] });
        expect(report.packet_totals?.repeats).toBe(before + again.length);
      }),
      runs,
    );
  });

  test('with ledger entries lost, as long as the final ones are there', () => {
    fc.assert(
      fc.property(honest, fc.array(index, { minLength: 1, maxLength: 5 }), (world, drops) => {
        const sameHistory = (a: LedgerEntry, b: LedgerEntry) =>
          a.host_id === b.host_id && a.attach_id === b.attach_id && a.stream_name === b.stream_name;
        const kept = (entry: LedgerEntry) =>
          entry.state !== 'capturing' ||
          !world.entries.some((other) => sameHistory(entry, other) && other.epoch > entry.epoch);
        const dropped = new Set(drops.map((at) => pick(world.entries, at)));
        expectCloses({ ...world, entries: world.entries.filter((entry) => kept(entry) || !dropped.has(entry)) });
      }),
      runs,
    );
  });

  test('an attach that ended in a crash: up to what was pending is lost', () => {
    const traffic = [
      { slot: 0, key: 1, trafficClass: 'keyed', packets: 10 },
      { slot: 0, key: 2, trafficClass: 'keyed', packets: 20 },
      { slot: 0, key: 0, trafficClass: 'filtered', packets: 5 },
    ] as const;
    const epoch = { traffic, late: false, again: 0 };
    const told = (through: number) => {
      const epochs = [
        { ...epoch, entry: 'closed' as const },
        { ...epoch, entry: 'open' as const },
      ];
      const attach = { slots: ['eth0'], epochs, end: 'crashed' as const, through };
      const world = simulatePackets([{ live: false, attaches: [attach] }], 1_000);
      const { streams, packet_totals } = expectCloses(world);
      // Another start told of the same end once more, as of a later epoch.
      const again = world.entries.slice(-1).map((entry) => ({ ...entry, epoch: entry.epoch + 2 }));
      expectCloses({ ...world, entries: [...world.entries, ...again] });
      expect(packet_totals).toMatchObject({ seen: 70, lost: 30, lost_by_reason: { host_crash: 30 } });
      return streams[0]?.packets;
    };
    expect(told(0)).toEqual({ published: 30, filtered: 5 });
    expect(told(2)).toEqual({ published: 60, filtered: 5 });
    expect(told(3)).toEqual({ published: 60, filtered: 10 });
  });

  test('packets that are newer than the newest closed epoch are not yet accounted', () => {
    const { streams, packet_totals } = expectCloses(oneHost([{}, { entry: 'none' }], { live: true }));
    expect(packet_totals).toMatchObject({ seen: 10, not_yet_accounted: 10 });
    expect(streams[0]?.notes).toEqual(['10 packets not yet accounted']);
  });

  test('beside the execs of the same host, with totals of their own', () => {
    const calm = { late: 0, early: 0, again: 0, pending: 1, entry: 'closed' as const };
    const attach = { epochs: [{ ...calm, events: ['record', 'record'] as const }], through: 0, nextEpoch: false };
    const execs = simulate([{ live: false, attaches: [{ ...attach, end: 'stopped' }] }], 1_000);
    const packets = oneHost([{}, {}]);
    const audit = new Audit();
    for (const entry of [...execs.entries, ...packets.entries]) audit.addEntry(entry);
    for (const { event, partition, offset } of execs.records) audit.addRecord(event, partition, offset);
    for (const { count, partition, offset } of packets.records) audit.addPacketCount(count, partition, offset);
    const report = audit.finish({ ...execs.facts, packetCounts: packets.facts.packetCounts });
    expect(report.streams.map(({ stream_name, verdict }) => [stream_name, verdict])).toEqual([
      ['exec', 'closed'],
      ['packets:eth0', 'closed'],
    ]);
    expect(report.totals).toMatchObject({ seen: 2, published: 2, records: 2 });
    expect(report.packet_totals).toMatchObject({ seen: 20, published: 20, records: 2 });
  });

  test('a host without packets needs no topic for them', () => {
    const world = oneHost([{ traffic: [] }, { traffic: [] }]);
    const packetCounts = { ...world.facts.packetCounts, partitions: [] };
    expectCloses({ ...world, facts: { ...world.facts, packetCounts } });
  });
});

describe('does not close', () => {
  test('when a record is not there; its stream, its window and its packets are named', () => {
    fc.assert(
      fc.property(honest, index, (world, at) => {
        const gone = pick(accounted(world), at);
        const records = world.records.filter((record) => identity(record) !== identity(gone));
        const report = expectDetected({ ...world, records }, 'lost_after_ack');
        const [stream, ...others] = report.streams.filter(({ verdict }) => verdict === 'does not close');
        const { count } = gone;
        expect(others).toEqual([]);
        expect([stream?.host_id, stream?.attach_id, stream?.stream_name]).toEqual([
          count.host_id,
          count.attach_id,
          `packets:${count.interface_name}`,
        ]);
        const [problem] = stream?.problems ?? [];
        expect(problem?.count).toBe(count.packets);
        expect(problem?.after_epoch).toBeLessThan(count.epoch);
        expect(problem?.epoch).toBeGreaterThanOrEqual(count.epoch);
        const noun =
          count.traffic_class === 'filtered' ? /^lost_after_ack: \d+ of \d+ filtered packets in/ : / packets/;
        expect(problem?.text).toMatch(noun);
      }),
      runs,
    );
  });

  test('when all records of an epoch are gone: that epoch is named', () => {
    const world = oneHost([{}, { entry: 'none' }, { entry: 'none' }, {}]);
    const records = world.records.filter(({ count }) => count.epoch !== 1_002);
    const [problem] = problemsOf(expectDetected({ ...world, records }, 'lost_after_ack'));
    expect(problem?.text).toMatch(
      /^lost_after_ack: 10 of 30 packets in epochs 1001 to 1003 .*; no record of epoch 1002$/,
    );
    expect(problem).toMatchObject({ after_epoch: 1_000, epoch: 1_003, count: 10 });
  });

  test('when a count is another than the kernel had', () => {
    fc.assert(
      fc.property(honest, index, fc.constantFrom(-1, 1), (world, at, by) => {
        const known = pick(accounted(world), at);
        fc.pre(known.count.packets + by > 0);
        const records = world.records.map((record) =>
          identity(record) === identity(known)
            ? { ...record, count: { ...record.count, packets: record.count.packets + by } }
            : record,
        );
        expectDetected({ ...world, records }, by < 0 ? 'lost_after_ack' : 'unexpected');
      }),
      runs,
    );
  });

  test('when packets are called filtered that were not, or the reverse', () => {
    fc.assert(
      fc.property(honest, index, (world, at) => {
        const known = pick(accounted(world), at);
        const other: PacketCount = {
          ...known.count,
          source_address: '192.0.2.99',
          traffic_class: known.count.traffic_class === 'filtered' ? 'keyed' : 'filtered',
        };
        const records = world.records.map((record) =>
          identity(record) === identity(known) ? { ...record, count: other } : record,
        );
        const report = expectDetected({ ...world, records }, 'lost_after_ack');
        expect(problemsOf(report).map(({ kind }) => kind)).toContain('unexpected');
      }),
      runs,
    );
  });

  test('when a record was counted into another epoch: too few in one window, too many in the other', () => {
    const world = oneHost([{}, {}]);
    const records = world.records.map((record) => ({
      ...record,
      count: { ...record.count, epoch: 1_001, source_port: record.offset },
    }));
    expectDetected({ ...world, records }, 'lost_after_ack');
    expectDetected({ ...world, records }, 'unexpected');
  });

  test('when a record is there that the ledger does not tell of', () => {
    fc.assert(
      fc.property(honest, index, (world, at) => {
        const known = pick(accounted(world), at);
        const more = { ...known, count: { ...known.count, source_address: '192.0.2.99' } };
        expectDetected({ ...world, records: [...world.records, more] }, 'unexpected');
      }),
      runs,
    );
  });

  test('when a record counts no packet', () => {
    fc.assert(
      fc.property(honest, index, fc.constantFrom(0, -1), (world, at, packets) => {
        const known = pick(accounted(world), at);
        const more = { ...known, count: { ...known.count, source_address: '192.0.2.99', packets } };
        expectDetected({ ...world, records: [...world.records, more] }, 'unexpected');
      }),
      runs,
    );
  });

  test('when a record is repeated with another content; its epoch is named', () => {
    const changed = fc.constantFrom<(count: PacketCount) => Partial<PacketCount>>(
      ({ packets }) => ({ packets: packets + 1 }),
      ({ bytes }) => ({ bytes: bytes - 1 }),
      ({ interval_start }) => ({ interval_start: interval_start - 1 }),
      ({ interval_end }) => ({ interval_end: interval_end + 1 }),
      () => ({ xdp_mode: 'generic' }),
      () => ({ interface_parent: 'bond0' }),
      () => ({ key_kind: 'service' }),
    );
    fc.assert(
      fc.property(honest, index, changed, (world, at, change) => {
        const { count, ...record } = pick(world.records, at);
        const more = { ...record, count: { ...count, ...change(count) } };
        const report = expectDetected({ ...world, records: [...world.records, more] }, 'identity_conflict');
        expect(problemsOf(report)).toEqual([
          expect.objectContaining({
            kind: 'identity_conflict',
            text: expect.stringContaining(`epoch ${count.epoch} `),
          }),
        ]);
      }),
      runs,
    );
  });

  test('when a record is repeated under another attach of the boot, or another name of its interface', () => {
    const { entries, records, facts } = oneHost([{}, {}]);
    const [first] = records as [StoredCount];
    for (const change of [{ attach_id: 999 }, { interface_name: 'eth9' }]) {
      const more = { ...first, count: { ...first.count, ...change } };
      expectDetected(
        { entries, records: [...records, more], facts: { ...facts, now: facts.now + 60_000 } },
        'unaccounted',
      );
    }
    // The stream is known too: then it is the identity that gives it away.
    const two = simulatePackets(
      [
        {
          live: false,
          attaches: [
            {
              slots: ['eth0', 'eth1'],
              through: 0,
              end: 'stopped',
              epochs: [
                {
                  traffic: [{ slot: 0, key: 1, trafficClass: 'keyed', packets: 10 }],
                  entry: 'closed',
                  late: false,
                  again: 0,
                },
              ],
            },
          ],
        },
      ],
      1_000,
    );
    const again = two.records.map((record) => ({ ...record, count: { ...record.count, interface_name: 'eth1' } }));
    const report = expectDetected({ ...two, records: [...two.records, ...again] }, 'identity_conflict');
    expect(report.streams.map(({ verdict }) => verdict)).toEqual(['closed', 'does not close']);
  });

  test('when a count of an entry is forged', () => {
    const forged = fc.constantFrom<(entry: LedgerEntry, by: number) => LedgerEntry>(
      (entry, by) => ({ ...entry, seen: entry.seen + by }),
      (entry, by) => ({ ...entry, published: entry.published - by }),
      (entry, by) => ({ ...entry, pending: entry.pending + by }),
      (entry, by) => ({ ...entry, lost: { ...entry.lost, discarded: (entry.lost.discarded ?? 0) + by } }),
      (entry, by) => ({ ...entry, filtered: { exclude_ip: (entry.filtered.exclude_ip ?? 0) + by } }),
      (entry, by) => ({ ...entry, unexplained: by }),
    );
    fc.assert(
      fc.property(honest, index, amount, forged, (world, at, by, forge) => {
        const entry = pick(world.entries, at);
        const entries = world.entries.map((other) => (other === entry ? forge(entry, by) : other));
        expectDetected({ ...world, entries }, 'unbalanced');
      }),
      runs,
    );
  });

  test('when two counts are forged so that the entry still balances', () => {
    const lost = (entry: LedgerEntry, by: number) => ({ ...entry.lost, discarded: (entry.lost.discarded ?? 0) + by });
    const filtered = (entry: LedgerEntry, by: number) => ({ exclude_ip: (entry.filtered.exclude_ip ?? 0) + by });
    const forged = fc.constantFrom<(entry: LedgerEntry, by: number) => LedgerEntry>(
      (entry, by) => ({ ...entry, seen: entry.seen + by, published: entry.published + by }),
      (entry, by) => ({ ...entry, published: entry.published - by, lost: lost(entry, by) }),
      (entry, by) => ({ ...entry, published: entry.published - by, filtered: filtered(entry, by) }),
      // Of exec it could not be told from the truth.
      (entry, by) => ({ ...entry, seen: entry.seen + by, filtered: filtered(entry, by) }),
    );
    fc.assert(
      fc.property(stopped, index, amount, forged, (world, at, by, forge) => {
        // From one entry of a stream on: no count falls.
        const first = pick(
          world.entries.filter(({ closed }) => closed),
          at,
        );
        const entries = world.entries.map((entry) =>
          entry.host_id === first.host_id &&
          entry.attach_id === first.attach_id &&
          entry.stream_name === first.stream_name &&
          entry.epoch >= first.epoch &&
          entry.closed
            ? forge(entry, by)
            : entry,
        );
        expectDetected({ ...world, entries }, 'lost_after_ack', 'missing', 'unexpected');
      }),
      runs,
    );
  });

  test('when one epoch is closed twice with different counts', () => {
    fc.assert(
      fc.property(honest, index, (world, at) => {
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

  test('when the low watermark is not the epoch behind the newest closed one', () => {
    fc.assert(
      fc.property(honest, index, fc.constantFrom(-1, 1), (world, at, by) => {
        const entry = pick(
          world.entries.filter(({ closed, state }) => closed && state !== 'closing'),
          at,
        );
        const entries = world.entries.map((other) =>
          other === entry ? { ...entry, low_watermark: entry.low_watermark + by } : other,
        );
        expectDetected({ ...world, entries }, 'watermark_falls');
      }),
      runs,
    );
    const open = oneHost([{}, { entry: 'open' }], { live: true });
    const entries = open.entries.map((entry) => ({ ...entry, low_watermark: entry.epoch + 1 }));
    expectCloses(open);
    expectDetected({ ...open, entries }, 'watermark_falls');
  });

  test('when records belong to no stream of the ledger; their interface is named', () => {
    fc.assert(
      fc.property(honest, index, (world, at) => {
        const record = pick(world.records, at);
        const entries = world.entries.filter((entry) => !sameStream(entry, record));
        const facts = { ...world.facts, now: world.facts.now + 60_000 };
        const report = expectDetected({ ...world, entries, facts }, 'unaccounted');
        expect(report.problems[0]?.text).toContain(`no ledger entry of packets:${record.count.interface_name}`);
      }),
      runs,
    );
  });

  test('when records came before any entry, but not when they are fresh', () => {
    const { records, facts } = oneHost([{}, {}], { live: true });
    const fresh = auditOf({ entries: [], records, facts });
    expect([fresh.problems, fresh.packet_totals?.not_yet_accounted]).toEqual([[], 20]);
  });

  test('when the final entry of an interface is missing that the next attach does not capture', () => {
    const epoch = { traffic: [], entry: 'closed', late: false, again: 0 } as const;
    const attach = { epochs: [epoch, epoch], through: 0, end: 'stopped' } as const;
    const attaches = [
      { ...attach, slots: ['eth0', 'eth1'] },
      { ...attach, slots: ['eth0'] },
    ];
    const world = simulatePackets([{ live: true, attaches }], 1_000);
    expectCloses(world);
    const entries = world.entries.filter(
      ({ stream_name, state }) => stream_name !== 'packets:eth1' || state !== 'stopped',
    );
    const report = expectDetected({ ...world, entries }, 'no_final_entry');
    expect(report.streams.filter(({ verdict }) => verdict !== 'closed').map(({ stream_name }) => stream_name)).toEqual([
      'packets:eth1',
    ]);
  });

  test('when an epoch stays open', () => {
    const world = oneHost([{}, { entry: 'open' }], { live: true });
    const { streams } = expectCloses(world);
    expect(streams[0]?.notes).toEqual(['10 pending in the open epoch 1001', '10 packets not yet accounted']);
    const report = expectDetected(
      { ...world, facts: { ...world.facts, now: world.facts.now + 10 * 60_000 } },
      'stays_open',
    );
    expect(problemsOf(report)[0]?.text).toContain('10 packets pending in epoch 1001');
  });

  test('when packets come after the final entry', () => {
    const world = oneHost([{}, {}]);
    const last = world.records.at(-1) as StoredCount;
    const more = (changed: Partial<PacketCount>) => ({
      ...world,
      records: [...world.records, { ...last, count: { ...last.count, epoch: 1_002, ...changed } }],
    });
    expectDetected(more({}), 'unexpected');
    expectDetected(more({ traffic_class: 'filtered' }), 'unexpected');
  });

  test('when two attaches of one boot captured at the same time', () => {
    const epoch = { traffic: [], entry: 'closed', late: false, again: 0 } as const;
    const attach = { slots: ['eth0'], epochs: [epoch], through: 0, end: 'stopped' } as const;
    const world = simulatePackets([{ live: false, attaches: [attach, attach] }], 1_000);
    const entries = world.entries.map((entry) =>
      entry.attach_id === 1_000 ? { ...entry, interval_end: entry.interval_end + 86_400_000 } : entry,
    );
    expectCloses(world);
    expectDetected({ ...world, entries }, 'double_capture');
  });

  test('when acknowledged offsets begin anew', () => {
    const world = oneHost([{}, {}, {}]);
    const entries = world.entries.map((entry, at) =>
      at === 2 && entry.destination !== null
        ? { ...entry, destination: { ...entry.destination, last_offset: 0 } }
        : entry,
    );
    expectDetected({ ...world, entries }, 'broker_rewound');
  });

  test('when there is no topic, or it was made anew', () => {
    fc.assert(
      fc.property(honest, index, (world, at) => {
        const gone = pick(accounted(world), at);
        for (const partitions of [[], [{ partition: 0, logStart: 0, end: gone.offset }]]) {
          const packetCounts = { ...world.facts.packetCounts, partitions };
          const report = expectDetected(
            { ...world, records: [], facts: { ...world.facts, packetCounts } },
            'lost_after_ack',
          );
          const [problem] = problemsOf(report);
          expect(problem?.text).toMatch(partitions.length === 0 ? /there is no topic p\.packet-counts/ : /made anew/);
        }
      }),
      runs,
    );
  });
});

describe('not checkable', () => {
  const deletedBefore = (world: PacketWorld, offset: number): PacketWorld => {
    const { packetCounts } = world.facts;
    const partitions = packetCounts.partitions.map((one) => ({ ...one, logStart: offset }));
    return {
      ...world,
      records: world.records.filter((record) => record.offset >= offset),
      facts: { ...world.facts, packetCounts: { ...packetCounts, partitions } },
    };
  };

  test('is what retention has deleted: it never fails, and it is never closed', () => {
    fc.assert(
      fc.property(honest, index, (world, at) => {
        const left = deletedBefore(world, pick(world.records, at).offset);
        const report = expectCloses(left);
        const still = new Set(left.records.map(identity));
        for (const record of accounted(world)) {
          if (still.has(identity(record))) continue;
          const stream = report.streams.find(
            ({ host_id, attach_id, stream_name }) =>
              host_id === record.count.host_id &&
              attach_id === record.count.attach_id &&
              stream_name === `packets:${record.count.interface_name}`,
          );
          expect(stream?.verdict).toBe('not checkable');
        }
      }),
      runs,
    );
  });

  test('one window is told once, with its filtered packets', () => {
    const traffic = [
      { slot: 0, key: 1, trafficClass: 'keyed', packets: 10 },
      { slot: 0, key: 0, trafficClass: 'filtered', packets: 5 },
    ] as const;
    const world = deletedBefore(oneHost([{ traffic }, { traffic }, { traffic }]), 4);
    const { streams, packet_totals } = expectCloses(world);
    expect(streams[0]?.not_checkable).toEqual([
      expect.objectContaining({ after_epoch: 999, epoch: 1_001, expected: 30, found: 0 }),
    ]);
    expect(packet_totals?.not_checkable).toBe(30);
  });

  test('a copy closes where it is whole, and what is left out of it is missing', () => {
    fc.assert(
      fc.property(stopped, index, (world, at) => {
        const packetCounts = { ...world.facts.packetCounts, topic: 'copy.packet-counts' };
        const copy = { ...world, facts: { ...world.facts, packetCounts } };
        expectCloses(copy);
        const gone = pick(accounted(world), at);
        const records = world.records.filter((record) => identity(record) !== identity(gone));
        expectDetected({ ...copy, records }, 'missing');
      }),
      runs,
    );
  });
});

test('a part of the time: the sums are those of that time', () => {
  const world = oneHost([{}, {}, {}, {}]);
  const [since, until] = [world.entries[1]?.interval_start, world.entries[2]?.interval_end];
  const { streams, closes } = auditOf({ ...world, facts: { ...world.facts, since, until } });
  expect(closes).toBe(true);
  expect(streams[0]).toMatchObject({ seen: 20, published: 20, packets: { published: 20, filtered: 0 }, distinct: 2 });
});
