import type { FinalPackets, FinalStream, FinalTotals } from '../kernel/counts.ts';
import type { LedgerEntry } from '../schemas/ledger-entry.ts';
import { type Account, eventAccount, packetAccount, sum, unexplained } from './account.ts';
import { type AttachIdentity, isFinal, isOf, type Kept } from './last-entries.ts';
import { packetStreamName } from './packet-streams.ts';

/** What a start is: a new attach, or one that goes on. */
interface Start extends AttachIdentity {
  readonly nowMillis: number;
  /** The attach goes on, with another topic, partition or cluster to write to. */
  readonly moved: boolean;
  /** Records of an attach that is over, up to the epoch of the entry, that the spool still had when this was noted. */
  readonly spooled: (last: LedgerEntry) => number;
}

/** What became of the records that the spool had when their attach was over, up to the epoch of its last entry. */
export interface LateRecords {
  readonly acknowledged: number;
  readonly evicted: number;
  /** In the topic, of the last acknowledged record; -1 when none was. */
  readonly lastOffset: number;
}

/**
 * What a start has to publish before its own first entries: the end of an attach that has none yet, or, in a ledger
 * that does not know this attach, what it had published elsewhere.
 */
export function entriesBefore(kept: readonly Kept[], start: Start): readonly LedgerEntry[] {
  return kept.flatMap(({ entry, published }) => {
    if (isOf(entry, start)) return start.moved ? [entry] : [];
    if (isFinal(entry) || isLate(entry)) return published ? [] : [entry];
    const reason = entry.boot_id === start.bootId ? 'pins_removed' : 'host_crash';
    return [crashEntry(entry, reason, start.nowMillis, start.spooled(entry))];
  });
}

/** The end of an attach was told, and some of its records are in the spool. */
export function isLate({ state, closed }: LedgerEntry): boolean {
  return state === 'closing' && !closed;
}

/** @param entry that tells of the end, with what was in the spool as pending; the spool has none of it any more */
export function lateEnd(entry: LedgerEntry, { acknowledged, evicted, lastOffset }: LateRecords): LedgerEntry {
  const missing = entry.pending - acknowledged - evicted;
  const { destination } = entry;
  return {
    ...entry,
    closed: true,
    pending: 0,
    published: entry.published + acknowledged,
    lost: withLost(withLost(entry.lost, 'spool_full', evicted), 'spool_missing', missing),
    destination: destination && { ...destination, last_offset: Math.max(destination.last_offset, lastOffset) },
  };
}

function withLost(lost: Readonly<Record<string, number>>, reason: string, count: number): Record<string, number> {
  return count > 0 ? { ...lost, [reason]: (lost[reason] ?? 0) + count } : { ...lost };
}

/**
 * The end of an attach of which nothing is left but its newest entry, and what the spool has. What was pending otherwise
 * is lost, at most: some of it may have been published. What happened since is not known, and a number for it would be
 * a lie.
 */
function crashEntry(last: LedgerEntry, reason: string, nowMillis: number, spooled: number): LedgerEntry {
  return {
    ...last,
    state: 'closing',
    interval_start: last.interval_end,
    interval_end: nowMillis,
    closed: spooled === 0,
    pending: spooled,
    lost: withLost(last.lost, reason, last.pending - spooled),
    unobserved_micros: last.unobserved_micros + Math.max(0, nowMillis - last.interval_end) * 1000,
  };
}

/**
 * The end of an attach that `detach` has removed, exact: the kernel had stopped when it was counted.
 * @param last the newest entries that are known; with none of this attach nothing is known of its host either
 */
export function detachedEntries(
  last: readonly LedgerEntry[],
  totals: FinalTotals,
  { bootId, nowMillis }: { readonly bootId: string; readonly nowMillis: number },
): readonly LedgerEntry[] {
  const ofAttach = last.filter((entry) => isOf(entry, { bootId, attachId: totals.attachId }));
  const known = new Map(ofAttach.map((entry) => [entry.stream_name, entry]));
  const packets = Map.groupBy(totals.packets, ({ name }) => packetStreamName(name));
  return [
    ...(['exec', 'exit'] as const).flatMap((stream) => {
      const { [stream]: ended } = totals;
      const before = known.get(stream);
      return ended === undefined || before === undefined ? [] : [eventsEnd(before, ended, totals, nowMillis)];
    }),
    ...[...packets].flatMap(([stream, slots]) => {
      const before = known.get(stream) ?? newStream(stream, ofAttach);
      return before === undefined ? [] : [packetsEnd(before, slots, totals, nowMillis)];
    }),
  ];
}

/** Records that were thrown away, in the ring and in the spool. */
export function discardedRecords(
  ended: Pick<FinalStream, 'discarded' | 'spooled' | 'spoolAcknowledged' | 'spoolEvicted' | 'spoolMissing'>,
): number {
  const { discarded, spooled, spoolAcknowledged, spoolEvicted, spoolMissing } = ended;
  return discarded + spooled - spoolAcknowledged - spoolEvicted - spoolMissing;
}

function eventsEnd(last: LedgerEntry, ended: FinalStream, totals: FinalTotals, nowMillis: number): LedgerEntry {
  const { acknowledged, undecodable, spoolAcknowledged, spoolEvicted, spoolMissing } = ended;
  const published = acknowledged + spoolAcknowledged;
  const account = eventAccount(ended, { published, undecodable, spoolEvicted, spoolMissing, pending: 0 });
  return {
    ...detachedEntry(last, totals, nowMillis, withDiscarded(account, discardedRecords(ended))),
    low_watermark: totals.attachId + ended.entered - ended.fellThrough - sum(ended.filtered),
    destination: last.destination && { ...last.destination, ...offsetsOf(ended) },
  };
}

function offsetsOf({ firstOffset, lastOffset }: Pick<FinalStream, 'firstOffset' | 'lastOffset'>) {
  return { first_offset: firstOffset, last_offset: lastOffset };
}

function packetsEnd(
  last: LedgerEntry,
  slots: readonly FinalPackets[],
  totals: FinalTotals,
  nowMillis: number,
): LedgerEntry {
  const total = (name: 'seen' | 'filtered' | 'published' | 'discarded') =>
    slots.reduce((sum, slot) => sum + slot[name], 0);
  const account = packetAccount(
    { seen: total('seen'), filtered: total('filtered') },
    { published: total('published'), pending: 0 },
  );
  return {
    ...detachedEntry(last, totals, nowMillis, withDiscarded(account, total('discarded'))),
    low_watermark: totals.epoch + 1,
    // They are those of the topic, the same for every interface.
    destination: last.destination && { ...last.destination, ...offsetsOf(slots[0] as FinalPackets) },
  };
}

/** An interface that had appeared after the last entries: what is the same for all streams is in theirs. */
function newStream(stream: string, ofAttach: readonly LedgerEntry[]): LedgerEntry | undefined {
  const [other] = ofAttach;
  const packets = ofAttach.find(({ stream_name }) => stream_name.startsWith(packetStreamName('')));
  return other && { ...other, stream_name: stream, unobserved_micros: 0, destination: packets?.destination ?? null };
}

function withDiscarded(account: Account, discarded: number): Account {
  return discarded > 0 ? { ...account, lost: { ...account.lost, discarded } } : account;
}

function detachedEntry(last: LedgerEntry, { epoch }: FinalTotals, nowMillis: number, account: Account): LedgerEntry {
  return {
    ...last,
    epoch,
    state: 'closing',
    interval_start: last.interval_end,
    interval_end: nowMillis,
    closed: true,
    seen: account.seen,
    published: account.published,
    pending: account.pending,
    filtered: { ...account.filtered },
    lost: { ...account.lost },
    unexplained: unexplained(account),
  };
}
