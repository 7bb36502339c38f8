import type { Clock } from './clock.ts';
import type { RunConfig } from './config/types.ts';
import { reasonOf } from './errors.ts';
import type { Inlets } from './inlets.ts';
import { entriesBefore, isLate, lateEnd } from './ledger/closing-entries.ts';
import { EntryPublisher } from './ledger/entry-publisher.ts';
import { EpochsOnDemand } from './ledger/epochs.ts';
import type { LastEntries } from './ledger/last-entries.ts';
import { Ledger } from './ledger/ledger.ts';
import type { Log } from './log.ts';
import type { Outlets } from './outlets.ts';
import { type EventPipeline, execRing, type PacketPipeline } from './pipelines.ts';
import type { Spool } from './spool/spool.ts';

export interface AccountingOptions {
  readonly config: Pick<RunConfig, 'ledgerIntervalMillis'>;
  readonly inlets: Pick<Inlets, 'capture' | 'identity' | 'wallClock'>;
  readonly outlets: Outlets;
  readonly events: readonly EventPipeline[];
  readonly packets: PacketPipeline | undefined;
  readonly spool: Spool;
  readonly lastEntries: LastEntries;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends what waits for the broker. */
  readonly signal: AbortSignal;
}

/**
 * The account of this sidecar, published beside the events: entries at regular times for each stream, the ends of attaches
 * that ended without one, and at last its own.
 */
export class Accounting {
  readonly ledger: Ledger;
  readonly #options: AccountingOptions;
  readonly #entries: EntryPublisher;

  constructor(options: AccountingOptions) {
    const { config, inlets, outlets, events, packets, lastEntries, clock, log, signal } = options;
    const { capture, identity, wallClock } = inlets;
    const { codec, delivery } = outlets.ledger;
    this.#options = options;
    this.#entries = new EntryPublisher({
      lastEntries,
      send: (entries, until) => delivery.accept(codec.encode(entries), until),
      clock,
      log,
      signal,
    });
    this.ledger = new Ledger({
      epochs: packets?.source ?? new EpochsOnDemand(capture),
      streamsOf: (cut) => [...events.map(({ account }) => account), ...(packets?.accounts.of(cut) ?? [])],
      identity,
      wallClock,
      clock,
      log,
      intervalMillis: config.ledgerIntervalMillis,
      publish: (entries) => this.#entries.publish(entries),
    });
  }

  /**
   * Ends the account of an attach that ended without one, then gives entries at regular times until the signal aborts.
   * @param attachedAt when the capture was attached, milliseconds since 1970
   */
  async run(attachedAt: number, signal: AbortSignal): Promise<void> {
    const { inlets, outlets, spool } = this.#options;
    const { kept } = this.#options.lastEntries;
    const before = entriesBefore(kept, {
      ...inlets.identity,
      // No earlier attach went on past the beginning of this one, however long the broker has kept us waiting.
      nowMillis: attachedAt,
      moved: [outlets.exec, outlets.exit, outlets.packets].some((outlet) => outlet?.destination.moved),
      spooled: (last) => (last.stream_name === 'exec' ? spool.tallyOf(execRing(last)).late?.records : 0) ?? 0,
    });
    if (before.length > 0) await this.#entries.publish(before);
    this.ledger.resume(kept.map(({ entry }) => entry));
    await Promise.all([this.ledger.run(signal), this.#endLate(signal)]);
  }

  /**
   * Publishes the last entries, once the regular ones have ended.
   * @param ending nothing is captured any more
   * @returns whether they are acknowledged and closed
   */
  async finish(ending: boolean): Promise<boolean> {
    const { log, signal } = this.#options;
    if (signal.aborted) return false;
    try {
      return await this.ledger.finish(ending ? 'stopped' : undefined, signal);
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'the last entries of the ledger were not published');
      return false;
    }
  }

  /** Ends the accounts of attaches that are over, when nothing of them is in the spool any more. */
  async #endLate(signal: AbortSignal): Promise<void> {
    const { lastEntries, spool } = this.#options;
    for (const { entry } of lastEntries.kept.filter((kept) => isLate(kept.entry))) {
      const ring = execRing(entry);
      await spool.emptiedOf(ring, signal);
      if (spool.heldOf(ring).length > 0) return;
      const { late, lastOffset } = spool.tallyOf(ring);
      await this.#entries.publish([lateEnd(entry, { acknowledged: 0, evicted: 0, ...late, lastOffset })]);
      await spool.forget(ring);
    }
  }
}
