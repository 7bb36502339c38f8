import type { Clock } from '../clock.ts';
import type { Capture, EpochCut } from '../kernel/addon.ts';
import type { WallClock } from '../kernel/wall-clock.ts';
import type { Log } from '../log.ts';
import type { LedgerDestination, LedgerEntry, LedgerState } from '../schemas/ledger-entry.ts';
import { version } from '../version.ts';
import { type Account, execAccount, type KernelTotals, unexplained } from './account.ts';

/** What the ledger asks of the reader of the ring. */
export interface Committed {
  committedAfter(epoch: number): { readonly acknowledged: number; readonly undecodable: number };
}

/** What is the same in every entry of an attach. */
export interface LedgerIdentity {
  readonly hostId: string;
  readonly hostName: string | null;
  readonly bootId: string;
  /** Microseconds since boot. */
  readonly attachId: number;
}

export interface ExecLedgerOptions {
  readonly capture: Capture;
  readonly reader: Committed;
  readonly identity: LedgerIdentity;
  readonly wallClock: WallClock;
  readonly clock: Clock;
  readonly log: Log;
  /** Between two entries when nothing happens, milliseconds. */
  readonly intervalMillis: number;
  /** Resolves when the entry is acknowledged by the broker. */
  readonly publish: (entry: LedgerEntry) => Promise<void>;
  /** What the delivery is doing. */
  readonly deliveryState: () => LedgerState;
  /** Where the records go. */
  readonly destination: Omit<LedgerDestination, 'first_offset' | 'last_offset'>;
}

/** A new loss or state is told at once, but not more often than this (milliseconds). */
const soonest = 1_000;
/** How long an entry waits for the records of its epoch to be acknowledged before it says that they are pending. */
const closeWithin = 1_000;
/** First pause between two looks; each is twice the one before (milliseconds). */
const closePoll = 20;

/**
 * Ends an epoch at regular times and publishes what became of everything through its end. At most one epoch
 * is open: while its records are pending no other is ended, and later entries cover a longer time.
 */
export class ExecLedger {
  readonly #options: ExecLedgerOptions;
  #open: EpochCut | undefined;
  #lowWatermark = 0;
  /** Losses that the newest entry tells of, those aside that show only when an epoch ends. */
  #told = 0;
  #lastState: LedgerState = 'capturing';

  constructor(options: ExecLedgerOptions) {
    this.#options = options;
  }

  /** Goes on from the newest entry of an earlier process, when it is of the same attach. */
  resume(last: LedgerEntry | undefined): void {
    const { bootId, attachId } = this.#options.identity;
    if (last?.boot_id === bootId && last.attach_id === attachId) this.#lowWatermark = last.low_watermark;
  }

  /** Publishes an entry at once, then each interval and at every loss or change of state, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, intervalMillis } = this.#options;
    while (!signal.aborted) {
      await this.entry(undefined, signal);
      const next = clock.elapsedMillis() + intervalMillis;
      do await clock.sleep(Math.min(soonest, next - clock.elapsedMillis()), signal);
      while (!signal.aborted && clock.elapsedMillis() < next && !this.#somethingNew());
    }
  }

  /**
   * The last entry of this process. What an earlier epoch still had pending is told before.
   * @param state `stopped` when the capture has ended
   */
  async finish(state: LedgerState | undefined): Promise<LedgerEntry> {
    if (this.#open !== undefined) await this.entry();
    return this.entry(state);
  }

  /**
   * Ends the epoch, unless one is still open, and publishes its entry.
   * @param state instead of what the stream is doing
   */
  async entry(state?: LedgerState, signal?: AbortSignal): Promise<LedgerEntry> {
    const { capture, publish, log } = this.#options;
    this.#open ??= await capture.advanceEpoch();
    const cut = this.#open;
    const account = await this.#settle(cut, signal);
    const entry = this.#compose(cut, account, state);
    if (entry.closed) {
      this.#open = undefined;
      this.#lowWatermark = cut.seq;
      entry.low_watermark = cut.seq;
    }
    if (entry.unexplained !== 0)
      log.error({ epoch: entry.epoch, unexplained: entry.unexplained }, 'the account does not balance');
    this.#told = losses(cut, account.lost.undecodable);
    this.#lastState = entry.state;
    await publish(entry);
    return entry;
  }

  /** The account through the cut once nothing of it is pending, or as it stands after a while. */
  async #settle(cut: EpochCut, signal?: AbortSignal): Promise<Account> {
    const { clock } = this.#options;
    const deadline = clock.elapsedMillis() + closeWithin;
    for (let pause = closePoll; ; pause *= 2) {
      const account = this.#account(cut);
      if (account.pending === 0 || clock.elapsedMillis() >= deadline || signal?.aborted) return account;
      await clock.sleep(pause, signal);
    }
  }

  /** In one turn of the loop, so that no commit comes between its terms. */
  #account(cut: EpochCut): Account {
    const { capture, reader } = this.#options;
    const { acknowledged, undecodable } = capture.status();
    const later = reader.committedAfter(cut.epoch);
    return execAccount(cut, {
      published: acknowledged - later.acknowledged,
      undecodable: undecodable - later.undecodable,
      pending: capture.pending(cut.epoch, cut.producerPosition),
    });
  }

  #compose(cut: EpochCut, account: Account, state: LedgerState | undefined): LedgerEntry {
    const { identity, capture, wallClock, deliveryState, destination } = this.#options;
    const { firstOffset, lastOffset, unobservedMicros, programHash } = capture.status();
    const wallMillis = (bootMicros: number) => Math.floor((bootMicros + wallClock.offsetAt(bootMicros)) / 1000);
    const grew = losses(cut, account.lost.undecodable) > this.#told;
    return {
      host_id: identity.hostId,
      host_name: identity.hostName,
      boot_id: identity.bootId,
      attach_id: identity.attachId,
      epoch: cut.epoch,
      stream_name: 'exec',
      state: state ?? (grew ? 'degraded' : deliveryState()),
      interval_start: wallMillis(cut.beginBootMicros),
      interval_end: wallMillis(cut.endBootMicros),
      low_watermark: this.#lowWatermark,
      closed: account.pending === 0,
      seen: account.seen,
      published: account.published,
      pending: account.pending,
      filtered: { ...account.filtered },
      lost: { ...account.lost },
      unexplained: unexplained(account),
      unobserved_micros: unobservedMicros,
      destination: { ...destination, first_offset: firstOffset, last_offset: lastOffset },
      sidecar_version: version,
      program_tag: programHash,
    };
  }

  #somethingNew(): boolean {
    const { capture, deliveryState } = this.#options;
    const status = capture.status();
    return losses(status, status.undecodable) > this.#told || deliveryState() !== this.#lastState;
  }
}

function losses(kernel: Omit<KernelTotals, 'entered' | 'skipped'>, undecodable = 0): number {
  return kernel.fellThrough + kernel.ringFull + kernel.ringBusy + undecodable;
}
