import type { ExecEvent } from '../schemas/exec-event.ts';
import type { LedgerEntry } from '../schemas/ledger-entry.ts';
import type { AuditReport, AuditTotals, Problem, StreamReport } from './audit-report.ts';
import { type AuditFacts, auditStream, isoTime } from './audit-stream.ts';
import { type HistoryEntry, LedgerHistory } from './ledger-history.ts';
import { RecordTally } from './record-tally.ts';

/** A capture can publish its first records before its first entry; so long they belong to nothing (milliseconds). */
const firstEntryWithin = 60_000;
/** Wall times of two entries are compared: by so much they may be inexact (milliseconds). */
const clockSlack = 1_000;

/**
 * Checks the ledger against the records, from outside: it knows nothing but what stands in the topics. Entries and
 * records may come in any order and any number of times.
 */
export class Audit {
  readonly #histories = new Map<string, LedgerHistory>();
  /** By host, boot and attach. */
  readonly #tallies = new Map<string, Map<string, Map<number, RecordTally>>>();
  #lastRecord: { readonly hostId: string; readonly bootId: string; readonly tally: RecordTally } | undefined;

  addEntry(entry: LedgerEntry): void {
    const key = JSON.stringify([entry.host_id, entry.boot_id, entry.attach_id, entry.stream_name]);
    let history = this.#histories.get(key);
    if (history === undefined) {
      history = new LedgerHistory(entry);
      this.#histories.set(key, history);
    }
    history.add(entry);
  }

  /** @param offset of the record in the topic's partition */
  addRecord(event: ExecEvent, partition: number, offset: number): void {
    this.#tallyOf(event).add(event, partition, offset);
  }

  /** Call it once, when everything has been added. */
  finish(facts: AuditFacts): AuditReport {
    const attaches = [...this.#histories.values()].map((history) => describe(history, this.#find(history)));
    attaches.sort((a, b) => compare(a.history.hostId, b.history.hostId) || inTime(a, b));
    const families = new Map<string, Attach[]>();
    for (const attach of attaches) getOrAdd(families, familyOf(attach), () => []).push(attach);
    const streams: StreamReport[] = [];
    for (const attach of attaches) {
      if (!touches(attach.entries, facts)) continue;
      const siblings = (families.get(familyOf(attach)) ?? []).filter((other) => other !== attach);
      streams.push(
        auditStream({
          history: attach.history,
          tally:
            attach.history.streamName === 'exec'
              ? (attach.tally ?? new RecordTally(attach.history.attachId))
              : undefined,
          facts,
          superseded: siblings.some((other) => inTime(attach, other) < 0),
          problems: siblings.flatMap((earlier) => beside(earlier, attach)),
        }),
      );
    }
    const { problems, fresh } = this.#unaccounted(facts);
    const totals = totalsOf(streams, fresh, facts);
    const empty = streams.length === 0 && problems.length === 0;
    const closes = !empty && problems.length === 0 && streams.every(({ verdict }) => verdict !== 'does not close');
    return { closes, empty, streams, problems, totals };
  }

  #tallyOf({ host_id: hostId, boot_id: bootId, attach_id: attachId }: ExecEvent): RecordTally {
    const last = this.#lastRecord;
    if (last?.tally.attachId === attachId && last.bootId === bootId && last.hostId === hostId) return last.tally;
    const boots = getOrAdd(this.#tallies, hostId, () => new Map<string, Map<number, RecordTally>>());
    const attaches = getOrAdd(boots, bootId, () => new Map<number, RecordTally>());
    const tally = getOrAdd(attaches, attachId, () => new RecordTally(attachId));
    this.#lastRecord = { hostId, bootId, tally };
    return tally;
  }

  #find({ hostId, bootId, attachId }: LedgerHistory): RecordTally | undefined {
    return this.#tallies.get(hostId)?.get(bootId)?.get(attachId);
  }

  /** Records of attaches that the ledger does not know. */
  #unaccounted({ now, since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY }: AuditFacts) {
    const problems: Problem[] = [];
    let fresh = 0;
    for (const [hostId, boots] of this.#tallies) {
      for (const [bootId, tallies] of boots) {
        for (const tally of tallies.values()) {
          if (this.#histories.has(JSON.stringify([hostId, bootId, tally.attachId, 'exec']))) continue;
          if (tally.maxEventTime < since || tally.minEventTime > until) continue;
          if (now - tally.minEventTime < firstEntryWithin) {
            fresh += tally.records;
            continue;
          }
          const { records, minSeq, maxSeq, attachId } = tally;
          const host = tally.hostName ?? hostId;
          const text = `unaccounted: ${records} records of host ${host} (${hostId}), boot ${bootId}, attach ${attachId}, seq ${minSeq} to ${maxSeq}, from ${isoTime(tally.minEventTime)} on, and no ledger entry of that attach`;
          problems.push({ kind: 'unaccounted', text, count: records, seqs: [minSeq, maxSeq] });
        }
      }
    }
    return { problems, fresh };
  }
}

/** An attach with what is needed to place it in time. */
interface Attach {
  readonly history: LedgerHistory;
  readonly tally: RecordTally | undefined;
  readonly entries: readonly HistoryEntry[];
  /** Wall time of its first entry's beginning and its newest entry's end. */
  readonly begin: number;
  readonly end: number;
}

/** The attaches of one stream of one host. */
function familyOf({ history }: Attach): string {
  return JSON.stringify([history.hostId, history.streamName]);
}

function describe(history: LedgerHistory, tally: RecordTally | undefined): Attach {
  const entries = history.ordered();
  const end = entries.reduce((latest, { intervalEnd }) => Math.max(latest, intervalEnd), Number.NEGATIVE_INFINITY);
  return { history, tally, entries, begin: entries[0]?.intervalStart ?? end, end };
}

/** Within a boot the time since boot decides; otherwise the wall time at the end, when clocks are most likely right. */
function inTime(a: Attach, b: Attach): number {
  if (a.history.bootId === b.history.bootId) return a.history.attachId - b.history.attachId;
  return a.end - b.end || compare(a.history.bootId, b.history.bootId);
}

/** What one attach of a host says about an earlier one of the same boot. */
function beside(earlier: Attach, later: Attach): Problem[] {
  const { bootId, attachId } = later.history;
  if (earlier.history.bootId !== bootId || earlier.history.attachId >= attachId) return [];
  if (!overlaps(earlier, later)) return [];
  const text = `double_capture: attach ${earlier.history.attachId} of the same boot went on while this one captured: two captures of one host, each with its own account`;
  return [{ kind: 'double_capture', text }];
}

/** The later attach_id is a time since boot; the end of the earlier one is known as wall time, and from its records. */
function overlaps(earlier: Attach, later: Attach): boolean {
  const { attachId } = later.history;
  const { tally } = earlier;
  if (tally !== undefined && tally.maxBootMicros > attachId) return true;
  if (earlier.end <= later.begin + clockSlack) return false;
  // The wall clock may have been set back in between: the offset that held for the last record decides.
  if (tally === undefined || tally.records === 0) return true;
  return earlier.end * 1000 - tally.wallMinusBootMicros > attachId + clockSlack * 1000;
}

function touches(entries: readonly HistoryEntry[], facts: AuditFacts): boolean {
  const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = facts;
  return entries.some(({ intervalStart, intervalEnd }) => intervalStart >= since && intervalEnd <= until);
}

function totalsOf(streams: readonly StreamReport[], fresh: number, { unreadable = 0 }: AuditFacts): AuditTotals {
  const total = (figure: (stream: StreamReport) => number) => streams.reduce((all, stream) => all + figure(stream), 0);
  const byReason: Record<string, number> = {};
  for (const { lost } of streams) {
    for (const [reason, count] of Object.entries(lost)) byReason[reason] = (byReason[reason] ?? 0) + count;
  }
  const of = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((all, count) => all + count, 0);
  return {
    seen: total(({ seen }) => seen),
    published: total(({ published }) => published),
    filtered: total(({ filtered }) => of(filtered)),
    lost: of(byReason),
    lost_by_reason: byReason,
    records: total(({ records }) => records),
    repeats: total(({ repeats }) => repeats),
    not_yet_accounted: total(({ not_yet_accounted }) => not_yet_accounted) + fresh,
    not_checkable: total(({ not_checkable }) =>
      not_checkable.reduce((all, { expected, found }) => all + expected - found, 0),
    ),
    unreadable,
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function getOrAdd<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
