import type { Problem } from './audit-report.ts';
import type { HistoryEntry, LedgerHistory } from './ledger-history.ts';
import type { RecordTally } from './record-tally.ts';

/** Wall times of two entries are compared: by so much they may be inexact (milliseconds). */
const clockSlack = 1_000;

/** One stream of an attach with what is needed to place it in time. */
export interface Attach {
  readonly history: LedgerHistory;
  /** Of the attach, whatever the stream: its records have the time since boot. */
  readonly execs: RecordTally | undefined;
  readonly entries: readonly HistoryEntry[];
  /** Wall time of its first entry's beginning and its newest entry's end. */
  readonly begin: number;
  readonly end: number;
}

export function attachOf(history: LedgerHistory, execs: RecordTally | undefined): Attach {
  const entries = history.ordered();
  const end = entries.reduce((latest, { intervalEnd }) => Math.max(latest, intervalEnd), Number.NEGATIVE_INFINITY);
  return { history, execs, entries, begin: entries[0]?.intervalStart ?? end, end };
}

/** Within a boot the time since boot decides; otherwise the wall time at the end, when clocks are most likely right. */
export function inTime(a: Attach, b: Attach): number {
  if (a.history.bootId === b.history.bootId) return a.history.attachId - b.history.attachId;
  return a.end - b.end || compare(a.history.bootId, b.history.bootId);
}

/** Hosts by their id, their attaches in time, the streams of one by name. */
export function inOrder(a: Attach, b: Attach): number {
  return (
    compare(a.history.hostId, b.history.hostId) || inTime(a, b) || compare(a.history.streamName, b.history.streamName)
  );
}

/** What one attach of a host says about an earlier one of the same boot; of the same stream. */
export function beside(earlier: Attach, later: Attach): Problem[] {
  const { bootId, attachId } = later.history;
  if (earlier.history.bootId !== bootId || earlier.history.attachId >= attachId) return [];
  if (!overlaps(earlier, later)) return [];
  const text = `double_capture: attach ${earlier.history.attachId} of the same boot went on while this one captured: two captures of one host, each with its own account`;
  return [{ kind: 'double_capture', text }];
}

/** The later attach_id is a time since boot; the end of the earlier one is known as wall time, and from its records. */
function overlaps(earlier: Attach, later: Attach): boolean {
  const { attachId } = later.history;
  const { execs } = earlier;
  if (execs !== undefined && execs.maxBootMicros > attachId) return true;
  if (earlier.end <= later.begin + clockSlack) return false;
  // The wall clock may have been set back in between: the offset that held for the last record decides.
  if (execs === undefined || execs.records === 0) return true;
  return earlier.end * 1000 - execs.wallMinusBootMicros > attachId + clockSlack * 1000;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
