import type { Findings } from './findings.ts';
import type { HistoryEntry } from './ledger-history.ts';
import { type Home, standingOf } from './standing.ts';
import type { StreamEntries } from './stream-entries.ts';
import type { Measure } from './stream-kind.ts';

/** What the topic has of the windows that are audited. */
export interface WindowTotals {
  /** By index of the closed entry: all that it tells of is there. */
  readonly complete: readonly boolean[];
  readonly distinct: number;
  /** By measure. */
  readonly found: readonly number[];
}

/** The entries of a stream against its records: between two closed entries the topic has what the counts tell of. */
export class WindowChecks {
  readonly #entries: StreamEntries;
  readonly #home: Home;
  readonly #findings: Findings;

  constructor(entries: StreamEntries, home: Home, findings: Findings) {
    this.#entries = entries;
    this.#home = home;
    this.#findings = findings;
  }

  check(measures: readonly Measure[]): WindowTotals {
    const complete: boolean[] = [];
    const totals = measures.map(() => 0);
    let distinct = 0;
    for (const [index, entry] of this.#entries.closed.entries()) {
      // A record with an epoch from before the attach counts into the first window, where it is too many.
      const after = index === 0 ? Number.NEGATIVE_INFINITY : this.#entries.epochOf(index - 1);
      const audited = this.#entries.inRange(entry);
      if (audited) distinct += this.#home.records.distinct(after, entry.epoch);
      complete[index] = true;
      for (const [at, measure] of measures.entries()) {
        const found = measure.found(after, entry.epoch);
        if (audited) totals[at] = (totals[at] as number) + found;
        if (!this.#check(index, found, measure)) complete[index] = false;
      }
    }
    return { complete, distinct, found: totals };
  }

  /** @returns whether it has what it must have, and not more than it may have */
  #check(index: number, found: number, measure: Measure): boolean {
    const { closed } = this.#entries;
    const entry = closed[index] as HistoryEntry;
    const { least, most } = measure.told(entry, closed[index - 1]);
    // It tells what was known last, and more may have been published after that.
    const openEnded = entry.state === 'closing' && index === closed.length - 1;
    const right = found >= least && (found <= most || openEnded);
    if (!this.#entries.inRange(entry)) return right;
    if (found > most && openEnded) {
      this.#findings.note(`${found - most} ${measure.noun} published after the last entry before the end`);
    } else if (found > most) {
      const { window, words } = this.#windowOf(index);
      const text = `unexpected: ${found} ${measure.noun} ${words}, and the ledger tells of ${most}`;
      this.#findings.problem('unexpected', text, { ...window, count: found - most });
    } else if (found < least) {
      this.#explainMissing(index, least, found, measure);
    }
    return right;
  }

  #explainMissing(index: number, expected: number, found: number, measure: Measure): void {
    const { window, words } = this.#windowOf(index);
    const standing = standingOf(index, this.#entries, this.#home);
    if (standing.kind === 'deleted') {
      this.#findings.cannotCheck({ reason: standing.reason, ...window, expected, found });
      return;
    }
    const { seqs, text: where, possible } = measure.locate(index);
    const acknowledged = standing.kind === 'gone' || (standing.kind === 'there' && possible);
    const kind = acknowledged ? 'lost_after_ack' : 'missing';
    const reason =
      standing.kind === 'gone'
        ? ` (${standing.reason})`
        : kind === 'lost_after_ack'
          ? ' (the broker acknowledged them, and their offsets have not been deleted: an unclean leader election, or the topic was made anew)'
          : '';
    const count = expected - found;
    const text = `${kind}: ${count} of ${expected} ${measure.noun} ${words}${reason}; ${where}`;
    this.#findings.problem(kind, text, { ...window, count, ...(seqs === undefined ? {} : { seqs }) });
  }

  #windowOf(index: number) {
    const after = this.#entries.epochOf(index - 1);
    const epoch = this.#entries.epochOf(index);
    return { window: { after_epoch: after, epoch }, words: `in epochs ${after + 1} to ${epoch}` };
  }
}
