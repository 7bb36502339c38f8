import type { Capture, EpochCut } from '../kernel/addon.ts';
import type { LedgerState } from '../schemas/ledger-entry.ts';
import { execAccount, type KernelTotals } from './account.ts';
import type { LedgerStream, StreamAccount, StreamDestination } from './ledger-stream.ts';

/** What the ledger asks of the reader of the ring. */
export interface ExecReader {
  /**
   * Of the records that were committed in this process, those that latched a later epoch.
   * @param epoch the newest one that has ended, or the one of the call before
   */
  committedAfter(epoch: number): { readonly acknowledged: number; readonly undecodable: number };
}

export interface ExecStreamOptions {
  readonly capture: Pick<Capture, 'status' | 'pending'>;
  readonly reader: ExecReader;
  readonly deliveryState: () => LedgerState;
  readonly destination: StreamDestination;
}

/** The account of the execs: what the kernel counted, what the reader committed, and what is still in the ring. */
export class ExecStream implements LedgerStream {
  readonly name = 'exec';
  readonly holdsEpoch = true;
  readonly deliveryState: () => LedgerState;
  readonly #options: ExecStreamOptions;

  constructor(options: ExecStreamOptions) {
    this.#options = options;
    this.deliveryState = options.deliveryState;
  }

  account(cut: EpochCut): StreamAccount {
    const { capture, reader, destination } = this.#options;
    const { acknowledged, undecodable, firstOffset, lastOffset, unobservedMicros, programHash } = capture.status();
    const later = reader.committedAfter(cut.epoch);
    const account = execAccount(cut, {
      published: acknowledged - later.acknowledged,
      undecodable: undecodable - later.undecodable,
      pending: capture.pending(cut.epoch, cut.producerPosition),
    });
    return {
      ...account,
      closed: account.pending === 0,
      lowWatermark: cut.seq,
      impaired: losses(cut, undecodable - later.undecodable),
      unobservedMicros,
      destination: { ...destination, first_offset: firstOffset, last_offset: lastOffset },
      programTag: programHash,
    };
  }

  impaired(): number {
    const status = this.#options.capture.status();
    return losses(status, status.undecodable);
  }
}

/** Without `skipped`, which is known only when an epoch has ended. */
function losses(kernel: Omit<KernelTotals, 'entered' | 'filtered' | 'skipped'>, undecodable: number): number {
  return kernel.fellThrough + kernel.ringFull + kernel.ringBusy + undecodable;
}
