import type { Source } from './batch.ts';
import { type OpenEnrichment, openEnrichment } from './enrich/enrichment.ts';
import { reasonOf } from './errors.ts';
import type { ExecFilters } from './exec-filters.ts';
import { figuresOf } from './figures-of.ts';
import { HostRecord } from './host-record.ts';
import type { Health } from './http/health.ts';
import { closeInlets, type Inlets, openInlets } from './inlets.ts';
import { isAttached } from './kernel/attached.ts';
import { entriesBefore } from './ledger/closing-entries.ts';
import { EpochsOnDemand } from './ledger/epochs.ts';
import { acknowledgedPlaces, LastEntries, refuseOtherHostId } from './ledger/last-entries.ts';
import { Ledger } from './ledger/ledger.ts';
import { packetStreamName } from './ledger/packet-streams.ts';
import type { Figures } from './metrics/figures.ts';
import { type Outlets, type OutletsOptions, openOutlets } from './outlets.ts';
import { type EventPipeline, eventPipelines, type PacketPipeline, packetPipeline } from './pipelines.ts';
import type { BatchObserver, Delivery } from './producers/delivery.ts';
import type { Codec } from './schemas/codec.ts';
import type { HostInfo } from './schemas/host-info.ts';
import type { LedgerEntry } from './schemas/ledger-entry.ts';

/**
 * The whole way of an event, the same for every stream, and the composition root that builds it:
 *
 *   kernel --> ring or map --> source --> codec --> delivery --> topic
 *                   ^                                   |
 *                   +-------------- commit -------------+
 *
 * Nothing leaves the kernel's buffer before the broker has acknowledged it, so whenever this process dies, the next
 * one goes on with the first event that was not.
 */
export async function publish<Event>(
  source: Source<Event>,
  { codec, delivery }: { readonly codec: Codec<Event>; readonly delivery: Pick<Delivery, 'accept'> },
  abort: AbortSignal,
): Promise<void> {
  let previous = Promise.resolve();
  for await (const batch of source) {
    // Before the source reads into the memory of this one again, and while the batch before is on its way.
    const encoded = codec.encode(batch.events);
    await previous;
    previous = delivery.accept(encoded, abort).then((acknowledgement) => batch.commit(acknowledgement));
    previous.catch(() => source.abandon()); // thrown in the next turn, for which a source may wait for this commit
  }
  await previous;
}

export interface SidecarOptions extends OutletsOptions {
  /** Runs when the topics are there and nothing has been published yet. */
  readonly onTopicsReady?: () => Promise<void>;
}

/** What was left when the sidecar stopped. */
export interface StopReport {
  /** Records that wait in the kernel for the next start. */
  readonly backlog: number;
  /** Packets that wait there. */
  readonly packets: number;
  /** The kernel goes on capturing for the next start. */
  readonly capturing: boolean;
  /** Nothing is pinned any more. */
  readonly detached: boolean;
}

/** How often the distance between wall time and time since boot is looked at, milliseconds. */
const clockSyncInterval = 10_000;
/** How often it is looked whether the host is as it was told to be, milliseconds. */
const hostInterval = 60_000;
/** How often interfaces that have appeared are looked for, milliseconds. */
const interfaceInterval = 1_000;

export class Sidecar {
  readonly #options: SidecarOptions;
  readonly #inlets: Inlets;
  readonly #outlets: Outlets;
  readonly #enrichment: OpenEnrichment;
  readonly #events: readonly EventPipeline[];
  readonly #packets: PacketPipeline | undefined;
  readonly #ledger: Ledger;
  readonly #lastEntries: LastEntries;
  readonly #host: HostRecord;
  /** Ends what waits for the broker. */
  readonly #abort = new AbortController();
  /** Ends the regular entries of the ledger. */
  readonly #endAccounting = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  #publishingEvents: readonly Promise<void>[] = [];
  #publishingPackets: Promise<void> | undefined;
  #accounting: Promise<void> | undefined;
  #stopping = false;
  #ended = false;

  private constructor(
    options: SidecarOptions,
    inlets: Inlets,
    enrichment: OpenEnrichment,
    outlets: Outlets,
    lastEntries: LastEntries,
  ) {
    const { config, clock, log } = options;
    const { capture, identity, wallClock } = inlets;
    this.#options = options;
    this.#inlets = inlets;
    this.#enrichment = enrichment;
    this.#outlets = outlets;
    this.#lastEntries = lastEntries;
    this.#events = eventPipelines(options, inlets, outlets, enrichment);
    this.#packets = packetPipeline(options, inlets, outlets);
    this.#host = new HostRecord({ config, inlets, clock, publish: (info) => this.#publishHost(info) });
    this.#ledger = new Ledger({
      epochs: this.#packets?.source ?? new EpochsOnDemand(capture),
      streamsOf: (cut) => [...this.#events.map(({ account }) => account), ...(this.#packets?.accounts.of(cut) ?? [])],
      identity,
      wallClock,
      clock,
      log,
      intervalMillis: config.ledgerIntervalMillis,
      publish: (entries) => this.#publishEntries(entries),
    });
  }

  /**
   * Captures, reaches the broker, and is ready to publish. The kernel captures from the first step on, so
   * a broker that is slow to answer costs nothing. When the broker or a topic is refused, a capture that
   * this call began ends as `--on-exit` says, and one that was pinned before stays.
   */
  static async open(options: SidecarOptions): Promise<Sidecar> {
    const inlets = openInlets(options);
    const enrichment = openEnrichment({ ...options, redaction: options.config.redaction });
    try {
      const lastEntries = await LastEntries.read(options.config.stateDir);
      refuseOtherHostId(lastEntries.kept, inlets.identity);
      const outlets = await openOutlets(options, acknowledgedPlaces(lastEntries.kept, inlets.identity));
      await options.onTopicsReady?.();
      return new Sidecar(options, inlets, enrichment, outlets, lastEntries);
    } catch (error) {
      enrichment.close();
      closeInlets(inlets.capture, options.config.onExit);
      throw error;
    }
  }

  /** Names of the streams that are captured now. */
  get streams(): readonly string[] {
    const interfaces = this.#inlets.packets?.watch.attached ?? [];
    return [...this.#events.map(({ account }) => account.name), ...interfaces.map(packetStreamName)];
  }

  get health(): Health {
    const deliveries = Object.values(this.#outlets).flatMap((outlet) =>
      outlet === undefined ? [] : [{ topic: outlet.destination.topic, ...outlet.delivery.state }],
    );
    const names = this.#events.map(({ account }) => account.name);
    return { capturing: isAttached(this.#options.config.pinPath, names), stopping: this.#stopping, deliveries };
  }

  /** What was counted until now; undefined when it has ended. */
  get figures(): Figures | undefined {
    if (this.#ended) return undefined;
    const { capturing } = this.health;
    return figuresOf({
      capturing,
      inlets: this.#inlets,
      outlets: this.#outlets,
      ledger: this.#ledger,
      packets: this.#packets,
    });
  }

  /** Hears of each batch that is acknowledged from now on, entries of the ledger among them. */
  observe(observer: BatchObserver): void {
    for (const outlet of Object.values(this.#outlets)) outlet?.delivery.observe(observer);
  }

  /** Publishes until `stop`; rejects when that has become impossible. Call it once. */
  async run(): Promise<void> {
    this.#timers.push(
      setInterval(() => this.#syncClock(), clockSyncInterval),
      setInterval(() => this.#inlets.packets?.watch.lookAgain(), interfaceInterval),
      setInterval(() => this.#tellHost(), hostInterval),
    );
    this.#tellHost();
    const { signal } = this.#abort;
    this.#publishingEvents = this.#events.flatMap((events) =>
      events.sources.map((source) => publish(source, events, signal)),
    );
    if (this.#packets) this.#publishingPackets = publish(this.#packets.source, this.#packets, signal);
    this.#accounting = this.#account(this.#endAccounting.signal);
    try {
      await Promise.all([...this.#publishingEvents, this.#publishingPackets, this.#accounting]);
    } catch (error) {
      // `stop` has given up waiting, and reports what is left.
      if (!this.#abort.signal.aborted) throw error;
    } finally {
      this.#endTimers();
    }
  }

  /** Replaces the rules that keep execs out while it goes on; as Capture.exclude. */
  async exclude(filters: ExecFilters): Promise<void> {
    await this.#inlets.capture.exclude(filters);
    this.#host.filters = filters;
    this.#tellHost();
  }

  /**
   * Publishes what is in the kernel, then ends the capture or keeps it, as `--on-exit` says. When `deadline`
   * aborts first, what is left stays in the kernel, and the capture goes on, for the next start.
   */
  async stop(deadline: AbortSignal): Promise<StopReport> {
    this.#stopping = true;
    const giveUp = () => this.#abort.abort();
    deadline.addEventListener('abort', giveUp, { once: true });
    if (deadline.aborted) giveUp();
    const { capture } = this.#inlets;
    const deliveries = Object.values(this.#outlets).flatMap((outlet) => outlet?.delivery ?? []);
    for (const delivery of deliveries) delivery.retryNow();
    try {
      const drained = await this.#drain();
      this.#endAccounting.abort();
      await Promise.allSettled([this.#accounting]);
      const ending = drained && this.#options.config.onExit === 'detach';
      this.#endTimers(); // the next look at the interfaces would count on them again
      if (ending) capture.detach();
      for (const source of this.#events.flatMap(({ sources }) => sources)) source.finish();
      await Promise.allSettled(this.#publishingEvents);
      const accounted = await this.#finishAccount(ending);
      this.#packets?.source.finish();
      await Promise.allSettled([this.#publishingPackets]);
      await Promise.all(deliveries.map((delivery) => delivery.close()));

      const backlog = capture.exec.backlog() + (capture.exit?.backlog() ?? 0);
      const packets = this.#inlets.packets?.capture.backlog() ?? 0;
      const detached = ending && accounted && backlog === 0 && packets === 0;
      if (detached) capture.unpin();
      return { backlog, packets, capturing: !ending, detached };
    } finally {
      deadline.removeEventListener('abort', giveUp);
      this.#enrichment.close();
      this.#ended = true;
      capture.close();
    }
  }

  /** True when everything that had been captured was acknowledged; false when that was given up. */
  async #drain(): Promise<boolean> {
    if (this.#abort.signal.aborted || this.#publishingEvents.length === 0) return false;
    const given = Promise.withResolvers<boolean>();
    this.#abort.signal.addEventListener('abort', () => given.resolve(false), { once: true });
    for (const publishing of [...this.#publishingEvents, this.#publishingPackets])
      void publishing?.catch(() => given.resolve(false));
    const sources = [...this.#events.flatMap((events) => events.sources), this.#packets?.source];
    Promise.all(sources.map((source) => source?.drained())).then(
      () => given.resolve(true),
      () => given.resolve(false),
    );
    return given.promise;
  }

  /** Ends the account of an attach that ended without one, then gives entries at regular times. */
  async #account(signal: AbortSignal): Promise<void> {
    const { kept } = this.#lastEntries;
    const { exec, exit, packets } = this.#outlets;
    const before = entriesBefore(kept, {
      ...this.#inlets.identity,
      nowMillis: this.#options.clock.nowMillis(),
      moved: [exec, exit, packets].some((outlet) => outlet?.destination.moved),
    });
    if (before.length > 0) await this.#publishEntries(before);
    this.#ledger.resume(kept.map(({ entry }) => entry));
    await this.#ledger.run(signal);
  }

  /** True when the last entries are acknowledged and closed. */
  async #finishAccount(ending: boolean): Promise<boolean> {
    if (this.#abort.signal.aborted) return false;
    try {
      return await this.#ledger.finish(ending ? 'stopped' : undefined, this.#abort.signal);
    } catch (error) {
      this.#options.log.warn({ reason: reasonOf(error) }, 'the last entries of the ledger were not published');
      return false;
    }
  }

  async #publishEntries(entries: readonly LedgerEntry[]): Promise<void> {
    const { codec, delivery } = this.#outlets.ledger;
    await this.#lastEntries.write(entries, { published: false });
    await delivery.accept(codec.encode(entries), this.#abort.signal);
    await this.#lastEntries.write(entries, { published: true });
  }

  async #publishHost(info: HostInfo): Promise<void> {
    const { hosts, delivery } = this.#outlets.ledger;
    await delivery.accept(hosts.encode([info]), this.#abort.signal);
  }

  /** Nobody waits for it: what an end interrupts is told by the next start. */
  #tellHost(): void {
    this.#host.tell().catch((error: unknown) => {
      if (!this.#stopping)
        this.#options.log.error({ reason: reasonOf(error) }, 'the record of this host was not published');
    });
  }

  #endTimers(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  #syncClock(): void {
    const { capture, wallClock } = this.#inlets;
    capture.syncClock();
    wallClock.update(capture.clockOffsets());
  }
}
