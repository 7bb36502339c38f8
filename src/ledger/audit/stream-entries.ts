import { sum } from '../account.ts';
import type { HistoryEntry, LedgerHistory } from './ledger-history.ts';

/** Written for an attach that ended without a word: what was pending, of which some may have been published. */
export const upToReasons: ReadonlySet<string> = new Set(['host_crash', 'pins_removed', 'spool_missing']);

/** The time that is audited, milliseconds since 1970; without bounds: all of it. */
export interface AuditRange {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

/** The entries of one stream of one attach as the checks need them. */
export class StreamEntries {
  readonly history: LedgerHistory;
  /** Ordered by epoch. */
  readonly all: readonly HistoryEntry[];
  /** Ordered by epoch, one an epoch. */
  readonly closed: readonly HistoryEntry[];
  /** Where each of the closed ones stands among all. */
  readonly positions: readonly number[];
  readonly hasFinal: boolean;
  readonly #range: AuditRange;

  constructor(history: LedgerHistory, range: AuditRange) {
    this.history = history;
    this.#range = range;
    const ordered = history.ordered();
    const regular = ordered.findLast(({ state }) => state !== 'closing');
    // After `stopped` it can have gone on: a process that was killed before it had removed the pins.
    this.hasFinal = ordered.some(({ state }) => state === 'closing') || ordered.at(-1)?.state === 'stopped';
    this.all = ordered.flatMap((entry) => closingInPlace(entry, regular));
    const closed: HistoryEntry[] = [];
    const positions: number[] = [];
    for (const [position, entry] of this.all.entries()) {
      if (!entry.closed || closed.at(-1)?.epoch === entry.epoch) continue;
      closed.push(entry);
      positions.push(position);
    }
    this.closed = closed;
    this.positions = positions;
  }

  get attachId(): number {
    return this.history.attachId;
  }

  /** Of the newest closed entry, or before the beginning. */
  get closedEpoch(): number {
    return this.epochOf(this.closed.length - 1);
  }

  /** @param index of a closed entry; -1 stands for the beginning of the attach */
  epochOf(index: number): number {
    return this.closed[index]?.epoch ?? this.attachId - 1;
  }

  inRange({ intervalStart, intervalEnd }: HistoryEntry): boolean {
    const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = this.#range;
    return intervalStart >= since && intervalEnd <= until;
  }
}

/**
 * A `closing` entry is written later, from what had been kept on disk. That can be older than what had been published:
 * then it adds nothing. When it repeats the newest entry, its counts are of that entry's epoch, whatever its own is.
 */
function closingInPlace(entry: HistoryEntry, regular: HistoryEntry | undefined): HistoryEntry[] {
  if (entry.state !== 'closing' || regular === undefined) return [entry];
  if (entry.epoch < regular.epoch) return [];
  const repeats = entry.seen === regular.seen && entry.published === regular.published;
  return [repeats && entry.epoch === regular.epoch + 1 ? { ...entry, epoch: regular.epoch } : entry];
}

/** What of the events seen must stand in the topic. */
export function net({ seen, filtered, lost }: HistoryEntry): number {
  return seen - sum(filtered) - sum(lost);
}

/** What of the losses may stand there all the same. */
export function upTo({ lost }: HistoryEntry): number {
  return Object.entries(lost).reduce((total, [reason, count]) => total + (upToReasons.has(reason) ? count : 0), 0);
}

/** What of the events between two closed entries must stand in the topic, and what may stand there at most. */
export function publishedBetween(
  entry: HistoryEntry,
  before: HistoryEntry | undefined,
): { readonly least: number; readonly most: number } {
  const least = net(entry) - (before === undefined ? 0 : net(before));
  return { least, most: least + upTo(entry) - (before === undefined ? 0 : upTo(before)) };
}
