import { Accounting } from './accounting.ts';
import type { Kept, OutgoingBatch, Source } from './batch.ts';
import { type OpenEnrichment, openEnrichment } from './enrich/enrichment.ts';
import { Bpf2KafkaError, reasonOf } from './errors.ts';
import type { ExecFilters } from './exec-filters.ts';
import { figuresOf } from './figures-of.ts';
import { HostRecord } from './host-record.ts';
import type { Health } from './http/health.ts';
import { closeInlets, type Inlets, openInlets } from './inlets.ts';
import { isAttached } from './kernel/attached.ts';
import { acknowledgedPlaces, LastEntries, refuseOtherHostId } from './ledger/last-entries.ts';
import { packetStreamName } from './ledger/packet-streams.ts';
import type { Figures } from './metrics/figures.ts';
import { type Outlets, type OutletsOptions, openOutlets } from './outlets.ts';
import {
  type EarlierWay,
  type EventPipeline,
  type EventWay,
  eventPipelines,
  openExecSpool,
  type PacketPipeline,
  packetPipeline,
} from './pipelines.ts';
import type { BatchObserver } from './producers/delivery.ts';
import type { Codec } from './schemas/codec.ts';
import type { ExecEvent } from './schemas/exec-event.ts';
import type { HostInfo } from './schemas/host-info.ts';
import type { PacketCount } from './schemas/packet-count.ts';
import { programImage } from './sources/parent-program.ts';
import type { Spool } from './spool/spool.ts';

/**
 * The whole way of an event, the same for every stream, and the composition root that builds it:
 *
 *   kernel --> ring or map --> source --> codec --> delivery --------------> topic
 *                   ^                                   |  \--> spool --^
 *                   +-------------- commit -------------+
 *
 * Nothing leaves the kernel's buffer before the broker has acknowledged it or, of execs while the broker is away and the
 * ring fills, before it is on disk. So whenever this process dies, the next one goes on with the first event that was
 * not.
 */
export async function publish<Event, By extends Kept>(
  source: Source<Event, By>,
  { codec, delivery }: { readonly codec: Codec<Event>; readonly delivery: Accepts<By> },
  abort: AbortSignal,
): Promise<void> {
  let previous = Promise.resolve();
  for await (const batch of source) {
    // Before the source reads into the memory of this one again, and while the batch before is on its way.
    const encoded = { ...codec.encode(batch.events), span: batch.span };
    delivery.announce(encoded);
    await previous;
    previous = delivery.accept(encoded, abort).then((kept) => {
      batch.commit(kept);
      if (!('spoolId' in kept)) encoded.release?.(); // what is in the spool may be on its way all the same
    });
    previous.catch(() => source.abandon()); // thrown in the next turn, for which a source may wait for this commit
  }
  await previous;
}

/** Every ring of a stream: those of earlier versions first, so that the order stays, unless the present one fills meanwhile. */
async function publishEvents({ earlier, ways, fills }: EventPipeline, abort: AbortSignal): Promise<void> {
  const publishWay = (way: EventWay) => publish(way.source, way, abort);
  const before = publishEarlier(earlier, publishWay);
  const waited = new AbortController();
  try {
    await Promise.race([before, fills(AbortSignal.any([abort, waited.signal]))]);
  } finally {
    waited.abort('waited');
  }
  await Promise.all([before, ...ways.map(publishWay)]);
}

/** Oldest first, each to its end; then the kernel gets its memory back. */
async function publishEarlier(
  ways: readonly EarlierWay[],
  publishWay: (way: EventWay) => Promise<void>,
): Promise<void> {
  for (const way of ways) {
    way.source.finish();
    await publishWay(way);
    way.ring.retire();
  }
}

/** Where a batch is safe when the promise has resolved. */
interface Accepts<By extends Kept> {
  /** Tells of a batch that comes next. */
  announce(batch: OutgoingBatch): void;
  accept(batch: OutgoingBatch, abort: AbortSignal): Promise<By>;
}

export interface SidecarOptions extends OutletsOptions {
  /** Runs when the topics are there and nothing has been published yet. */
  readonly onTopicsReady?: () => Promise<void>;
}

/** What was left when the sidecar stopped. */
export interface StopReport {
  /** Records that wait in the kernel for the next start. */
  readonly backlog: number;
  /** Records that wait on disk, and where. */
  readonly spooled: number;
  readonly spoolDirectory: string;
  /** Packets that wait there. */
  readonly packets: number;
  /** The kernel goes on capturing for the next start. */
  readonly capturing: boolean;
  /** Nothing is pinned any more. */
  readonly detached: boolean;
}

/** Nobody would publish them. */
function refuseSpooledExecs({ state: { records, directory } }: Spool): void {
  if (records === 0) return;
  throw new Bpf2KafkaError('ERR_CONFIG', {
    operation: 'use --no-exec with the spool in',
    subject: directory,
    reason: `it has ${records} execs`,
    remedy: 'publish them first: run it once more with execs, until the spool is empty',
  });
}

/** How often the distance between wall time and time since boot is looked at, milliseconds. */
const clockSyncInterval = 10_000;
const heartbeatInterval = 10_000;
/** How often it is looked whether the host is as it was told to be, milliseconds. */
const hostInterval = 60_000;
/** How often interfaces that have appeared are looked for, milliseconds. */
const interfaceInterval = 1_000;

export class Sidecar {
  readonly #options: SidecarOptions;
  readonly #inlets: Inlets;
  readonly #outlets: Outlets;
  readonly #enrichment: OpenEnrichment;
  readonly #spool: Spool;
  readonly #events: readonly EventPipeline[];
  readonly #packets: PacketPipeline | undefined;
  readonly #accounting: Accounting;
  readonly #host: HostRecord;
  /** Ends what waits for the broker. */
  readonly #abort = new AbortController();
  /** Ends the regular entries of the ledger. */
  readonly #endAccounting = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  #publishingEvents: readonly Promise<void>[] = [];
  #draining: Promise<void> | undefined;
  #publishingPackets: Promise<void> | undefined;
  #publishingEntries: Promise<void> | undefined;
  #stopping = false;
  #ended = false;

  private constructor(
    options: SidecarOptions,
    inlets: Inlets,
    enrichment: OpenEnrichment,
    spool: Spool,
    outlets: Outlets,
    lastEntries: LastEntries,
  ) {
    const { config, clock, log } = options;
    this.#options = options;
    this.#inlets = inlets;
    this.#enrichment = enrichment;
    this.#spool = spool;
    this.#outlets = outlets;
    this.#events = eventPipelines(options, inlets, outlets, { enrichment, spool });
    this.#packets = packetPipeline(options, inlets, outlets);
    this.#host = new HostRecord({ config, inlets, clock, publish: (info) => this.#publishHost(info) });
    this.#accounting = new Accounting({
      config,
      inlets,
      outlets,
      events: this.#events,
      packets: this.#packets,
      spool,
      lastEntries,
      clock,
      log,
      signal: this.#abort.signal,
    });
  }

  /**
   * Captures, reaches the broker, and is ready to publish. The kernel captures from the first step on, so
   * a broker that is slow to answer costs nothing. When the broker or a topic is refused, a capture that
   * this call began ends as `--on-exit` says, and one that was pinned before stays.
   */
  static async open(options: SidecarOptions): Promise<Sidecar> {
    const inlets = openInlets(options);
    const enrichment = openEnrichment({ ...options, imageOf: programImage, redaction: options.config.redaction });
    let spool: Spool | undefined;
    try {
      const lastEntries = await LastEntries.read(options.config.stateDir);
      refuseOtherHostId(lastEntries.kept, inlets.identity);
      spool = await openExecSpool(options, inlets, lastEntries.kept);
      if (options.config.execRingBytes === undefined) refuseSpooledExecs(spool);
      const outlets = await openOutlets(options, acknowledgedPlaces(lastEntries.kept, inlets.identity));
      await options.onTopicsReady?.();
      return new Sidecar(options, inlets, enrichment, spool, outlets, lastEntries);
    } catch (error) {
      await spool?.close();
      enrichment.close();
      closeInlets(inlets.capture, options.config.onExit);
      throw error;
    }
  }

  get #ways(): readonly EventWay[] {
    return this.#events.flatMap(({ ways }) => ways);
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
    const capturing = isAttached(this.#options.config.pinPath, names);
    return { capturing, stopping: this.#stopping, deliveries, spool: this.#spool.state };
  }

  /** What was counted until now; undefined when it has ended. */
  get figures(): Figures | undefined {
    if (this.#ended) return undefined;
    const { capturing } = this.health;
    return figuresOf({
      capturing,
      inlets: this.#inlets,
      outlets: this.#outlets,
      ledger: this.#accounting.ledger,
      packets: this.#packets,
      spool: { ...this.#spool.state, capacityBytes: this.#options.config.spoolBytes },
    });
  }

  /** When the capture was attached, milliseconds since 1970. */
  get attachedAt(): number {
    const { identity, wallClock } = this.#inlets;
    return Math.floor((identity.attachId + wallClock.offsetAt(identity.attachId)) / 1000);
  }

  /**
   * Tells of what is acknowledged from now on; one observer at a time.
   * @param delivered of each batch, entries of the ledger among them
   * @param counted of packet counts, as events
   */
  observe(delivered: BatchObserver, counted: (counts: readonly PacketCount[]) => void): void {
    for (const outlet of Object.values(this.#outlets)) outlet?.delivery.observe(delivered);
    this.#packets?.source.observe(counted);
  }

  /** The exec of a value in the topic; undefined when another schema stands before it. */
  readExec(value: Buffer): ExecEvent | undefined {
    const codec = this.#outlets.exec?.codec;
    if (codec === undefined) return undefined;
    return value.subarray(0, codec.frame.length).equals(codec.frame) ? codec.read(value) : undefined;
  }

  /** Publishes until `stop`; rejects when that has become impossible. Call it once. */
  async run(): Promise<void> {
    this.#timers.push(
      setInterval(() => this.#inlets.capture.heartbeat(), heartbeatInterval),
      setInterval(() => this.#syncClock(), clockSyncInterval),
      setInterval(() => this.#inlets.packets?.watch.lookAgain(), interfaceInterval),
      setInterval(() => this.#tellHost(), hostInterval),
    );
    this.#tellHost();
    const { signal } = this.#abort;
    this.#publishingEvents = this.#events.map((pipeline) => publishEvents(pipeline, signal));
    this.#draining = Promise.all(this.#events.map(({ drain }) => drain?.(signal))).then(() => {});
    if (this.#packets) this.#publishingPackets = publish(this.#packets.source, this.#packets, signal);
    this.#publishingEntries = this.#accounting.run(this.attachedAt, this.#endAccounting.signal);
    try {
      await Promise.all([...this.#publishingEvents, this.#draining, this.#publishingPackets, this.#publishingEntries]);
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
      await Promise.allSettled([this.#publishingEntries]);
      const ending = drained && this.#options.config.onExit === 'detach';
      this.#endTimers(); // the next look at the interfaces would count on them again
      if (ending) capture.detach();
      for (const { source } of this.#ways) source.finish();
      await Promise.allSettled(this.#publishingEvents);
      this.#spool.finish();
      await Promise.allSettled([this.#draining]);
      const accounted = await this.#accounting.finish(ending);
      this.#packets?.source.finish();
      await Promise.allSettled([this.#publishingPackets]);
      await Promise.all(deliveries.map((delivery) => delivery.close()));

      const backlog = capture.exec.backlog() + (capture.exit?.backlog() ?? 0);
      const packets = this.#inlets.packets?.capture.backlog() ?? 0;
      const { records: spooled, directory: spoolDirectory } = this.#spool.state;
      const detached = ending && accounted && backlog === 0 && packets === 0 && spooled === 0;
      if (detached) capture.unpin();
      return { backlog, spooled, spoolDirectory, packets, capturing: !ending, detached };
    } finally {
      deadline.removeEventListener('abort', giveUp);
      this.#enrichment.close();
      await this.#spool.close();
      this.#ended = true;
      capture.close();
    }
  }

  /** True when everything that had been captured was acknowledged; false when that was given up. */
  async #drain(): Promise<boolean> {
    if (this.#abort.signal.aborted || this.#draining === undefined) return false; // `run` was not called
    const given = Promise.withResolvers<boolean>();
    this.#abort.signal.addEventListener('abort', () => given.resolve(false), { once: true });
    for (const publishing of [...this.#publishingEvents, this.#draining, this.#publishingPackets])
      void publishing?.catch(() => given.resolve(false));
    const sources = [...this.#ways.map(({ source }) => source), this.#packets?.source];
    const emptied = this.#spool.emptied(this.#abort.signal);
    Promise.all([emptied, ...sources.map((source) => source?.drained())]).then(
      () => given.resolve(true),
      () => given.resolve(false),
    );
    return given.promise;
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
