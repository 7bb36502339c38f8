import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Audit } from '../../../../src/ledger/audit/audit.ts';
import type { AuditReport } from '../../../../src/ledger/audit/audit-report.ts';
import type { ExitEvent } from '../../../../src/schemas/exit-event.ts';
import { fullExit } from '../../schemas/exits.ts';
import { honestWorld, type StoredRecord, type World } from './histories.ts';

/** Streams of events are checked alike: these tests are about which records belong to which stream. */

const exitTopic = 'p.exit-events';

const exitOf = ({ event }: StoredRecord): ExitEvent => {
  const { host_id, host_name, boot_id, attach_id, epoch, seq, event_time, boot_micros, pid } = event;
  return { ...fullExit, host_id, host_name, boot_id, attach_id, epoch, seq, event_time, boot_micros, pid };
};

/** The world's execs, and exits with the same numbers and the same losses. */
function auditOf({ entries, records, facts }: World, exits = records.map(exitOf)): AuditReport {
  const audit = new Audit();
  for (const entry of entries) {
    const { destination } = entry;
    audit.addEntry(entry);
    audit.addEntry({
      ...entry,
      stream_name: 'exit',
      destination: destination && { ...destination, topic: exitTopic },
    });
  }
  for (const { event, partition, offset } of records) audit.addRecord(event, partition, offset);
  for (const [offset, exit] of exits.entries()) audit.addExit(exit, 0, offset);
  return audit.finish({ ...facts, exitEvents: { topic: exitTopic, partitions: facts.partitions } });
}

const problemsOf = (report: AuditReport, name: string) =>
  report.streams.filter(({ stream_name }) => stream_name === name).flatMap(({ problems }) => problems);

test('execs and exits of an honest history close, each by itself', () => {
  fc.assert(
    fc.property(honestWorld, (world) => {
      const report = auditOf(world);
      expect(report.streams.flatMap(({ problems }) => problems)).toEqual([]);
      expect(report.problems).toEqual([]);
      const seen = (name: string) =>
        report.streams.filter(({ stream_name }) => stream_name === name).map((stream) => stream.seen);
      expect(seen('exit')).toEqual(seen('exec'));
      expect(report.totals.records).toBe(2 * world.records.length);
    }),
    { numRuns: 50 },
  );
});

test('an exit that is not there is missed in its stream, and not in the other', () => {
  let found = 0;
  fc.assert(
    fc.property(honestWorld, fc.nat(), (world, at) => {
      fc.pre(world.records.length > 0);
      const exits = world.records.map(exitOf);
      const gone = exits[at % exits.length] as ExitEvent;
      const rest = exits.filter(
        ({ host_id, boot_id, seq }) => host_id !== gone.host_id || boot_id !== gone.boot_id || seq !== gone.seq,
      );
      const report = auditOf(world, rest);
      expect(problemsOf(report, 'exec')).toEqual([]);
      // One that no closed entry tells of is nothing to miss.
      if (problemsOf(report, 'exit').length > 0) found += 1;
    }),
    { numRuns: 50 },
  );
  expect(found).toBeGreaterThan(10);
});

test('an exit that is repeated with another content is a conflict', () => {
  fc.assert(
    fc.property(honestWorld, fc.nat(), (world, at) => {
      fc.pre(world.records.length > 0);
      const exits = world.records.map(exitOf);
      const repeat = { ...(exits[at % exits.length] as ExitEvent), exit_code: 1 };
      const report = auditOf(world, [...exits, repeat]);
      expect(problemsOf(report, 'exit').map(({ kind }) => kind)).toContain('identity_conflict');
      expect(problemsOf(report, 'exec')).toEqual([]);
    }),
    { numRuns: 20 },
  );
});

test('exits of an attach that the ledger does not know are told of', () => {
  const audit = new Audit();
  audit.addExit(fullExit, 0, 0);
  const facts = { topic: 'exec-events', partitions: [], clusterId: 'c', now: fullExit.event_time + 3_600_000 };
  expect(audit.finish(facts).problems).toMatchObject([{ kind: 'unaccounted', count: 1 }]);
});
