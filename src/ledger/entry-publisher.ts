import type { Clock } from '../clock.ts';
import { isOutOfSpace, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { LedgerEntry } from '../schemas/ledger-entry.ts';
import { isFinal, type LastEntries } from './last-entries.ts';

export interface EntryPublisherOptions {
  readonly lastEntries: Pick<LastEntries, 'write'>;
  /** Resolves when the broker has acknowledged them. */
  readonly send: (entries: readonly LedgerEntry[], signal: AbortSignal) => Promise<unknown>;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends what waits for the broker or for room on the disk. */
  readonly signal: AbortSignal;
}

/** After the disk had no room, an end is kept so much later (milliseconds). */
const askAgainAfter = 1_000;

/** Publishes entries, and keeps them for the next start: as unpublished before they are sent, then as published. */
export class EntryPublisher {
  readonly #options: EntryPublisherOptions;
  #hasRoom = true;

  constructor(options: EntryPublisherOptions) {
    this.#options = options;
  }

  /** @throws Bpf2KafkaError ERR_CONFIG when the state directory cannot be written, ERR_UNDELIVERED as Delivery.accept */
  async publish(entries: readonly LedgerEntry[]): Promise<void> {
    await this.#keep(entries, { published: false });
    await this.#options.send(entries, this.#options.signal);
    await this.#keep(entries, { published: true });
  }

  /** On a full disk they are kept with the next ones. Only an end waits: told and not kept, it would be told once more. */
  async #keep(entries: readonly LedgerEntry[], how: { readonly published: boolean }): Promise<void> {
    const { lastEntries, clock, log, signal } = this.#options;
    for (;;) {
      try {
        await lastEntries.write(entries, how);
        if (!this.#hasRoom) log.info('the newest entries of the ledger are kept again');
        this.#hasRoom = true;
        return;
      } catch (error) {
        if (!isOutOfSpace(error) || signal.aborted) throw error;
        if (this.#hasRoom)
          log.error({ reason: reasonOf(error) }, 'no_space: the newest entries of the ledger are not kept');
        this.#hasRoom = false;
        if (!entries.some(isFinal)) return;
        await clock.sleep(askAgainAfter, signal);
      }
    }
  }
}
