import type { EpochCut, EventRing, EventStream, KernelCounts, RingStatus } from '../kernel/addon.ts';
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
  committedAfter(epoch: number): { readonly acknowledged: number; readonly undecodable: number };
}

export interface EventStreamAccountOptions {
  readonly name: 'exec' | 'exit';
  readonly stream: Pick<EventStream, 'status' | 'pending'>;
  readonly reader: EventReader;
  /** The ring of bare records; undefined for a stream that has none. */
  readonly bare?: { readonly ring: Pick<EventRing, 'status' | 'pending'>; readonly reader: EventReader } | undefined;
  readonly deliveryState: () => LedgerState;
  readonly destination: StreamDestination;
}

/**
 * The account of one stream of events: what the kernel counted, what the readers committed, and what is still in the
 * rings.
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
    const { stream, reader, bare, destination } = this.#options;
    const cut = cuts[this.name];
    if (cut === undefined) return undefined;
    const status = stream.status();
    const totals = [totalsOf(status, reader.committedAfter(epoch), stream.pending(epoch, cut.producerPosition))];
    if (bare) {
      const pending = bare.ring.pending(epoch, cut.bareProducerPosition);
      totals.push(totalsOf(bare.ring.status(), bare.reader.committedAfter(epoch), pending));
    }
    const both = totals.reduce(added);
    const account = eventAccount(cut, both);
    return {
      ...account,
      closed: account.pending === 0,
      lowWatermark: cut.seq,
      impaired: impairments(cut, both.undecodable),
      unobservedMicros: status.unobservedMicros,
      destination: { ...destination, ...offsetsOf(bare ? [reader, bare.reader] : [reader]) },
      programTag: status.programHash,
    };
  }

  impaired(): number {
    const { stream, bare } = this.#options;
    const status = stream.status();
    return impairments(status, status.undecodable + (bare?.ring.status().undecodable ?? 0));
  }
}

/** Of one ring, through the end of an epoch. */
function totalsOf(
  { acknowledged, undecodable }: Pick<RingStatus, 'acknowledged' | 'undecodable'>,
  later: ReturnType<EventReader['committedAfter']>,
  pending: number,
): ReaderTotals {
  return { published: acknowledged - later.acknowledged, undecodable: undecodable - later.undecodable, pending };
}

function added(a: ReaderTotals, b: ReaderTotals): ReaderTotals {
  return {
    published: a.published + b.published,
    undecodable: a.undecodable + b.undecodable,
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

/**
 * Losses, without `skipped`, which is known only when an epoch has ended; and records of which only the bare fact is
 * left.
 */
function impairments(
  { fellThrough, ringFull, ringBusy, bare }: Omit<KernelCounts, 'entered'>,
  undecodable: number,
): number {
  return fellThrough + ringFull + ringBusy + bare + undecodable;
}
