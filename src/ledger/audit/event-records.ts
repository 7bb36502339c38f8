import { sum } from '../account.ts';
import type { Findings } from './findings.ts';
import type { HistoryEntry } from './ledger-history.ts';
import type { RecordTally } from './record-tally.ts';
import { publishedBetween, type StreamEntries, upTo, upToReasons } from './stream-entries.ts';
import type { Located, Measure, StreamKind } from './stream-kind.ts';

const seqsNamed = 5;

/** Reasons whose events never got a sequence number; every other loss is a hole. */
const lostWithoutSeq: ReadonlySet<string> = new Set(['skipped', 'fell_through']);

/**
 * A record is an event, and the kernel numbers them.
 *
 * The sequence numbers are a second count of the same events. Cut a notes the next number S(a) just before its epoch
 * ends: numbers below S(a) belong to epochs up to a, and every number of an epoch before a is below S(a).
 */
export class EventRecords implements StreamKind {
  readonly openWithoutPending = false;
  readonly records: RecordTally;
  readonly measures: readonly [Measure];
  readonly #entries: StreamEntries;
  readonly #findings: Findings;

  constructor(entries: StreamEntries, records: RecordTally, findings: Findings) {
    this.#entries = entries;
    this.records = records;
    this.#findings = findings;
    this.measures = [
      {
        noun: 'records',
        found: (after, through) => records.distinct(after, through),
        told: publishedBetween,
        locate: (index) => this.#holesOf(index),
      },
    ];
  }

  watermarkFault({ closed, state, lowWatermark, epoch }: HistoryEntry): string | undefined {
    const { attachId } = this.#entries;
    if (!closed || state === 'closing' || lowWatermark >= attachId) return undefined;
    return `low_watermark of the closed epoch ${epoch} is ${lowWatermark}, below the first sequence number ${attachId}`;
  }

  checkRecords(complete: readonly boolean[]): void {
    this.#checkNumbers();
    this.#checkHoles(complete);
    this.#checkConflicts();
  }

  /** Sequence numbers that the window's records may have had. */
  #holesOf(index: number): Located {
    const { closed, attachId } = this.#entries;
    const start = this.#lowOf(index - 1);
    const low = this.#lowOf(index);
    // Without a later cut: at least as many numbers were given out as there were events to number.
    const next = this.#nextCut(index)
      ? this.#lowOf(index + 1)
      : Math.max(this.records.maxSeq + 1, attachId + numbered(closed[index] as HistoryEntry));
    let end = low;
    let lost = this.#lostWithSeq(index) - this.#lostWithSeq(index - 2);
    let holes = this.records.holes(start, end);
    if (holes <= lost && next > end) {
      // Events that began before the cut can be numbered after it.
      end = next;
      lost = this.#lostWithSeq(index + 1) - this.#lostWithSeq(index - 2);
      holes = this.records.holes(start, end);
    }
    const seqs = this.records.firstHoles(start, end, seqsNamed);
    // Without a hole nothing was numbered that is gone.
    const possible = seqs.length > 0 || !(this.#nextCut(index) || closed[index]?.state === 'stopped');
    if (holes === 0) return { seqs, possible, text: `no seq from ${start} to ${end - 1} is missing` };
    const more = holes > seqs.length ? ', …' : '';
    const counted = lost > 0 ? `; up to ${lost} of these ${holes} are counted as lost` : '';
    return { seqs, possible, text: `seq ${seqs.join(', ')}${more}${counted}` };
  }

  /** As many numbers as events that were numbered. */
  #checkNumbers(): void {
    const { closed, attachId } = this.#entries;
    for (const [index, entry] of closed.entries()) {
      if (entry.state === 'closing' || !this.#entries.inRange(entry)) continue;
      const next = closed[index + 1];
      const last = next === undefined && entry.state === 'stopped';
      const { epoch } = entry;
      const events = numbered(entry);
      const given = this.#lowOf(index) - attachId;
      const nextGiven = last
        ? given
        : next === undefined || next.state === 'closing'
          ? Number.POSITIVE_INFINITY
          : this.#lowOf(index + 1) - attachId;
      if (events < given || events > nextGiven) {
        const range =
          nextGiven === given || nextGiven === Number.POSITIVE_INFINITY ? `${given}` : `${given} to ${nextGiven}`;
        const text = `seq_mismatch: the ledger tells of ${events} numbered events through epoch ${epoch}, and ${range} numbers were given out`;
        this.#findings.problem('seq_mismatch', text, { epoch });
      }
    }
  }

  /** As many holes as losses, as far back as everything is there; which side of a cut a hole is on is not known. */
  #checkHoles(complete: readonly boolean[]): void {
    const { closed } = this.#entries;
    let start = -1;
    let holes = 0;
    for (const [index, entry] of closed.entries()) {
      if (entry.state === 'closing') return;
      if (!complete[index]) {
        // Numbers from the next cut on belong to later epochs.
        start = index + 1;
        holes = 0;
        continue;
      }
      if (index <= start) continue;
      const low = this.#lowOf(index);
      holes += this.records.holes(this.#lowOf(index - 1), low);
      const ended = entry.state === 'stopped' && index === closed.length - 1;
      const most = this.#lostWithSeq(index) - this.#lostWithSeq(start - 1) + this.#upTo(index) - this.#upTo(start - 1);
      const least = this.#lostWithSeq(ended ? index : index - 1) - this.#lostWithSeq(start);
      if (holes >= least && holes <= most) continue;
      if (this.#entries.inRange(entry)) {
        const seqs = this.records.firstHoles(this.#lowOf(index - 2), low, seqsNamed);
        const named = seqs.length === 0 ? '' : `: seq ${seqs.join(', ')}`;
        const told = holes > most ? most : least;
        const text = `seq_mismatch: ${holes} holes in seq from ${this.#lowOf(start)} to ${low - 1}, and the ledger tells of ${told} losses there (epoch ${entry.epoch})${named}`;
        this.#findings.problem('seq_mismatch', text, { epoch: entry.epoch, count: Math.abs(holes - told), seqs });
      }
      start = index;
      holes = 0;
    }
  }

  #checkConflicts(): void {
    const { conflicts, firstConflicts } = this.records;
    if (conflicts === 0) return;
    const seqs = [...new Set(firstConflicts.map(({ seq }) => seq))].slice(0, seqsNamed);
    const [first] = firstConflicts;
    const text = `identity_conflict: ${conflicts} records repeat a seq with other content: seq ${seqs.join(', ')} (the first at offset ${first?.offset} of partition ${first?.partition})`;
    this.#findings.problem('identity_conflict', text, { count: conflicts, seqs });
  }

  /** The closed entry behind this one, when it tells where the numbers stood. */
  #nextCut(index: number): boolean {
    const next = this.#entries.closed[index + 1];
    return next !== undefined && next.state !== 'closing';
  }

  #lowOf(index: number): number {
    return Math.max(this.#entries.closed[index]?.lowWatermark ?? 0, this.#entries.attachId);
  }

  /** Losses that are known at most, through a closed entry. */
  #upTo(index: number): number {
    const entry = this.#entries.closed[index];
    return entry === undefined ? 0 : upTo(entry);
  }

  /** Losses that certainly have a sequence number, through a closed entry. */
  #lostWithSeq(index: number): number {
    const { closed } = this.#entries;
    const entry = closed[Math.min(index, closed.length - 1)];
    if (index < 0 || entry === undefined) return 0;
    return Object.entries(entry.lost).reduce(
      (total, [reason, count]) => total + (lostWithoutSeq.has(reason) || upToReasons.has(reason) ? 0 : count),
      0,
    );
  }
}

/** Events that took a sequence number, through a closed entry. */
function numbered({ seen, filtered, lost }: HistoryEntry): number {
  const without = Object.entries(lost).reduce(
    (total, [reason, count]) => total + (lostWithoutSeq.has(reason) ? count : 0),
    0,
  );
  return seen - sum(filtered) - without;
}
