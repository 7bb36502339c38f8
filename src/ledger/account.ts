import type { PacketTotals, StreamCut } from '../kernel/counts.ts';

/**
 * The equation: seen = published + filtered + lost + pending. Every term is counted where it happens and
 * none is derived from the others, so a mistake anywhere shows as `unexplained`.
 */
export interface Account {
  readonly seen: number;
  readonly published: number;
  readonly pending: number;
  /** By rule. */
  readonly filtered: Readonly<Record<string, number>>;
  /** By reason. */
  readonly lost: Readonly<Record<string, number>>;
}

export function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** What the account does not explain: 0 when it is right. */
export function unexplained({ seen, published, pending, filtered, lost }: Account): number {
  return seen - published - pending - sum(filtered) - sum(lost);
}

/** Why an event can be lost before it is told which: all of them, whether they have happened or not. */
export const lossReasons = [
  'skipped',
  'fell_through',
  'ring_full',
  'ring_busy',
  'undecodable',
  'spool_full',
  'spool_missing',
] as const;

/** What the reader did with the records that latched the cut's epoch or an earlier one. */
export interface ReaderTotals {
  readonly published: number;
  readonly undecodable: number;
  readonly pending: number;
  /** Dropped by the spool, and gone with it. */
  readonly spoolEvicted: number;
  readonly spoolMissing: number;
}

/** What the kernel counted of a stream of events. */
export type KernelTotals = Omit<StreamCut, 'seq' | 'bare' | 'producerPosition' | 'bareProducerPosition'>;

/** The account of a stream of events through the end of the epoch at which both were counted. */
export function eventAccount(cut: KernelTotals, reader: ReaderTotals): Account {
  const lost: Record<(typeof lossReasons)[number], number> = {
    skipped: cut.skipped,
    fell_through: cut.fellThrough,
    ring_full: cut.ringFull,
    ring_busy: cut.ringBusy,
    undecodable: reader.undecodable,
    spool_full: reader.spoolEvicted,
    spool_missing: reader.spoolMissing,
  };
  return {
    // What the recursion guard keeps out never enters the dispatcher; the kernel counts it on the side.
    seen: cut.entered + cut.skipped,
    published: reader.published,
    pending: reader.pending,
    filtered: cut.filtered,
    // Only what happened: an empty map says that nothing was lost.
    lost: Object.fromEntries(Object.entries(lost).filter(([, count]) => count > 0)),
  };
}

/** The account of the packets of one interface, counted in packets, not in records. */
export function packetAccount(
  { seen, filtered }: Pick<PacketTotals, 'seen' | 'filtered'>,
  { published, pending }: Pick<ReaderTotals, 'published' | 'pending'>,
): Account {
  return { seen, published, pending, filtered: filtered > 0 ? { exclude_ip: filtered } : {}, lost: {} };
}
