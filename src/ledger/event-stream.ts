import type { EpochCut, KernelCounts } from '../kernel/counts.ts';
import type { EventRing, EventStream, RingStatus } from '../kernel/event-ring.ts';
import type { LedgerState } from '../schemas/ledger-entry.ts';
import { eventAccount, type ReaderTotals } from './account.ts';
import type { LedgerStream, StreamAccount, StreamDestination } from './ledger-stream.ts';

/** What the ledger asks of the reader of a ring. */
export interface EventReader {
  /** Of the first and the last record that was acknowledged at the present destination; -1 before there is one. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /**
   * Of the records that were committed in this process, those that latched a later epoch.
   * @param epoch the newest one that has ended, or the one of the call before
   */
  committedAfter(epoch: number): Readonly<Record<'acknowledged' | 'undecodable' | 'evicted' | 'missing', number>>;
}

/** What it asks of the spool. */
export interface SpooledRecords {
  /** Records of this capture on disk that latched the epoch or an earlier one. */
  recordsThrough(epoch: number): number;
}

/** A ring, and who reads it. */
export interface ReadRing {
  readonly ring: Pick<EventRing, 'status' | 'pending'>;
  readonly reader: EventReader;
}

type RingTotals = Pick<
  RingStatus,
  'acknowledged' | 'undecodable' | 'spoolAcknowledged' | 'spoolEvicted' | 'spoolMissing'
>;

export interface EventStreamAccountOptions {
  readonly name: 'exec' | 'exit';
  readonly stream: Pick<EventStream, 'status' | 'pending'>;
  readonly reader: EventReader;
  /** The ring of bare records; undefined for a stream that has none. */
  readonly bare?: ReadRing | undefined;
  /** Those that earlier versions wrote to. */
  readonly earlier?: readonly ReadRing[];
  /** Of a stream whose whole records may be on disk. */
  readonly spool?: SpooledRecords | undefined;
  readonly deliveryState: () => LedgerState;
  readonly destination: StreamDestination;
}

/**
 * The account of one stream of events: what the kernel counted, what the readers committed, and what is still in the
 * rings or on disk.
 */
export class EventStreamAccount implements LedgerStream {
  readonly name: 'exec' | 'exit';
  readonly holdsEpoch = true;
  readonly deliveryState: () => LedgerState;
  readonly #options: EventStreamAccountOptions;

  constructor(options: EventStreamAccountOptions) {
    this.name = options.name;
    this.#options = options;
    this.deliveryState = options.deliveryState;
  }

  account({ epoch, ...cuts }: EpochCut): StreamAccount | undefined {
    const { stream, reader, bare, earlier = [], spool, destination } = this.#options;
    const cut = cuts[this.name];
    if (cut === undefined) return undefined;
    const status = stream.status();
    const waiting = stream.pending(epoch, cut.producerPosition) + (spool?.recordsThrough(epoch) ?? 0);
    const totals = [totalsOf(status, reader.committedAfter(epoch), waiting)];
    if (bare) {
      const pending = bare.ring.pending(epoch, cut.bareProducerPosition);
      totals.push(totalsOf(bare.ring.status(), bare.reader.committedAfter(epoch), pending));
    }
    for (const { ring, reader: before } of earlier) {
      const ended = ring.status();
      totals.push(totalsOf(ended, before.committedAfter(epoch), ring.pending(epoch, ended.producerPosition)));
    }
    const readers = [reader, ...this.#besides.map((ring) => ring.reader)];
    const all = totals.reduce(added);
    const account = eventAccount(cut, all);
    return {
      ...account,
      closed: account.pending === 0,
      lowWatermark: cut.seq,
      impaired: impairments(cut, lossesOf(all)),
      unobservedMicros: status.unobservedMicros,
      destination: { ...destination, ...offsetsOf(readers) },
      programTag: status.programHash,
    };
  }

  /** Every ring but the main one. */
  get #besides(): readonly ReadRing[] {
    const { bare, earlier = [] } = this.#options;
    return bare ? [bare, ...earlier] : earlier;
  }

  impaired(): number {
    const status = this.#options.stream.status();
    const besides = this.#besides.map(({ ring }) => lossesOf(ring.status()));
    return impairments(
      status,
      besides.reduce((sum, losses) => sum + losses, lossesOf(status)),
    );
  }
}

/** Of one ring, through the end of an epoch. */
function totalsOf(ring: RingTotals, later: ReturnType<EventReader['committedAfter']>, pending: number): ReaderTotals {
  return {
    published: ring.acknowledged + ring.spoolAcknowledged - later.acknowledged,
    undecodable: ring.undecodable - later.undecodable,
    spoolEvicted: ring.spoolEvicted - later.evicted,
    spoolMissing: ring.spoolMissing - later.missing,
    pending,
  };
}

function added(a: ReaderTotals, b: ReaderTotals): ReaderTotals {
  return {
    published: a.published + b.published,
    undecodable: a.undecodable + b.undecodable,
    spoolEvicted: a.spoolEvicted + b.spoolEvicted,
    spoolMissing: a.spoolMissing + b.spoolMissing,
    pending: a.pending + b.pending,
  };
}

/** All rings of a stream go to one topic. */
function offsetsOf(readers: readonly Pick<EventReader, 'firstOffset' | 'lastOffset'>[]) {
  const first = readers.map(({ firstOffset }) => firstOffset).filter((offset) => offset >= 0);
  return {
    first_offset: first.length > 0 ? Math.min(...first) : -1,
    last_offset: Math.max(...readers.map(({ lastOffset }) => lastOffset)),
  };
}

/** What was lost behind the kernel. */
function lossesOf({
  undecodable,
  spoolEvicted,
  spoolMissing,
}: Pick<ReaderTotals, 'undecodable' | 'spoolEvicted' | 'spoolMissing'>): number {
  return undecodable + spoolEvicted + spoolMissing;
}

/**
 * Losses, without `skipped`, which is known only when an epoch has ended; and records of which only the bare fact is
 * left.
 */
function impairments(
  { fellThrough, ringFull, ringBusy, bare }: Omit<KernelCounts, 'entered'>,
  lostBehind: number,
): number {
  return fellThrough + ringFull + ringBusy + bare + lostBehind;
}
