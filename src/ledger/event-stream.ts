import type { EpochCut, EventStream, KernelCounts } from '../kernel/addon.ts';
import type { LedgerState } from '../schemas/ledger-entry.ts';
import { eventAccount } from './account.ts';
import type { LedgerStream, StreamAccount, StreamDestination } from './ledger-stream.ts';

/** What the ledger asks of the reader of the ring. */
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
  readonly deliveryState: () => LedgerState;
  readonly destination: StreamDestination;
}

/** The account of one stream of events: what the kernel counted, what the reader committed, and what is still in the ring. */
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
    const { stream, reader, destination } = this.#options;
    const cut = cuts[this.name];
    if (cut === undefined) return undefined;
    const { acknowledged, undecodable, unobservedMicros, programHash } = stream.status();
    const later = reader.committedAfter(epoch);
    const account = eventAccount(cut, {
      published: acknowledged - later.acknowledged,
      undecodable: undecodable - later.undecodable,
      pending: stream.pending(epoch, cut.producerPosition),
    });
    return {
      ...account,
      closed: account.pending === 0,
      lowWatermark: cut.seq,
      impaired: losses(cut, undecodable - later.undecodable),
      unobservedMicros,
      destination: { ...destination, first_offset: reader.firstOffset, last_offset: reader.lastOffset },
      programTag: programHash,
    };
  }

  impaired(): number {
    const status = this.#options.stream.status();
    return losses(status, status.undecodable);
  }
}

/** Without `skipped`, which is known only when an epoch has ended. */
function losses(kernel: Omit<KernelCounts, 'entered'>, undecodable: number): number {
  return kernel.fellThrough + kernel.ringFull + kernel.ringBusy + undecodable;
}
