import type { EpochCut } from '../kernel/counts.ts';
import type { LedgerDestination, LedgerState } from '../schemas/ledger-entry.ts';
import type { Account } from './account.ts';

/** One of the streams that the ledger keeps the account of. */
export interface LedgerStream {
  /** As in the entries; unique. */
  readonly name: string;
  /**
   * True: its account can be taken through an epoch long after later ones have ended, so one epoch is held until it is
   * closed. False: only through the newest.
   */
  readonly holdsEpoch: boolean;
  /**
   * The account through the end of an epoch. All its terms are taken in this call, in one turn of the loop, so that no
   * commit comes between them.
   * @param cut of the newest epoch, or, when the stream holds epochs, the one of the call before
   * @returns undefined while what is pending is not known yet
   */
  account(cut: EpochCut): StreamAccount | undefined;
  /** As in StreamAccount, up to now. */
  impaired(): number;
  /** What its delivery is doing. */
  deliveryState(): LedgerState;
}

export interface StreamAccount extends Account {
  /**
   * Every record of this epoch and before is acknowledged or lost. More than nothing pending: records of filtered packets
   * are not pending, and have to be there all the same.
   */
  readonly closed: boolean;
  /** Of this epoch, for when it is closed. */
  readonly lowWatermark: number;
  /**
   * Events whose loss can be told before an epoch ends, that lost their key, or of which only the bare fact is left: when
   * they grow, the stream is degraded.
   */
  readonly impaired: number;
  /** How long nothing was captured since the attach. */
  readonly unobservedMicros: number;
  readonly destination: LedgerDestination;
  /** Hash of the compiled kernel programs. */
  readonly programTag: string;
}

/** Where the records of a stream go. */
export type StreamDestination = Omit<LedgerDestination, 'first_offset' | 'last_offset'>;
