import type { Source } from './batch.ts';
import { type OpenEnrichment, openEnrichment } from './enrich/enrichment.ts';
import { reasonOf } from './errors.ts';
import type { ExecFilters } from './exec-filters.ts';
import type { Health } from './http/health.ts';
import { closeInlets, type Inlets, openInlets } from './inlets.ts';
import { isAttached } from './kernel/attached.ts';
import { entriesBefore } from './ledger/closing-entries.ts';
import { EpochsOnDemand } from './ledger/epochs.ts';
import { ExecStream } from './ledger/exec-stream.ts';
import { LastEntries, refuseOtherHostId } from './ledger/last-entries.ts';
import { Ledger } from './ledger/ledger.ts';
import type { StreamDestination } from './ledger/ledger-stream.ts';
import { PacketStreams, packetStreamName } from './ledger/packet-streams.ts';
import { type Outlet, type Outlets, type OutletsOptions, openOutlets } from './outlets.ts';
import type { Delivery } from './producers/delivery.ts';
import type { Codec } from './schemas/codec.ts';
import type { LedgerEntry, LedgerState } from './schemas/ledger-entry.ts';
import { ExecSource } from './sources/exec.ts';
import { createExecCodec } from './sources/exec-codec.ts';
import { createExecTable } from './sources/exec-fields.ts';
import { createExecRecordReader, type ExecRecord } from './sources/exec-record.ts';
import { createPacketDecoder } from './sources/packet-decoder.ts';
import { PacketSource } from './sources/packets.ts';

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
/** How often interfaces that have appeared are looked for, milliseconds. */
const interfaceInterval = 1_000;

export class Sidecar {
  readonly #options: SidecarOptions;
  readonly #inlets: Inlets;
  readonly #outlets: Outlets;
  readonly #enrichment: OpenEnrichment;
  readonly #exec: ExecSource;
  readonly #execCodec: Codec<ExecRecord>;
  readonly #packets: PacketSource | undefined;
  readonly #ledger: Ledger;
  readonly #lastEntries: LastEntries;
  /** Ends what waits for the broker. */
  readonly #abort = new AbortController();
  /** Ends the regular entries of the ledger. */
  readonly #endAccounting = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  #publishingExec: Promise<void> | undefined;
  #publishingPackets: Promise<void> | undefined;
  #accounting: Promise<void> | undefined;
  #stopping = false;

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
    const layout = capture.execLayout();
    const table = createExecTable(layout, identity, wallClock, enrichment, config.execEnv);
    this.#execCodec = createExecCodec(table, outlets.exec.codec);
    this.#exec = new ExecSource({
      capture,
      reader: createExecRecordReader(layout),
      clock,
      log,
      offsets: offsetsAt(outlets.exec, capture.status()),
    });
    const execStream = new ExecStream({ capture, reader: this.#exec, ...ledgerSide(outlets.exec) });
    this.#packets = packetSource(options, inlets, outlets);
    const epochs = this.#packets ?? new EpochsOnDemand(capture);
    const packetStreams = packetLedger(inlets, outlets, this.#packets);
    this.#ledger = new Ledger({
      epochs,
      streamsOf: (cut) => [execStream, ...(packetStreams?.of(cut) ?? [])],
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
      const outlets = await openOutlets(options);
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
    return ['exec', ...(this.#inlets.packets?.watch.attached.map(packetStreamName) ?? [])];
  }

  get health(): Health {
    const { exec, packets, ledger } = this.#outlets;
    const deliveries = [exec, packets, ledger].flatMap((outlet) =>
      outlet === undefined ? [] : [{ topic: outlet.destination.topic, ...outlet.delivery.state }],
    );
    return { capturing: isAttached(this.#options.config.pinPath), stopping: this.#stopping, deliveries };
  }

  /** Publishes until `stop`; rejects when that has become impossible. Call it once. */
  async run(): Promise<void> {
    this.#timers.push(
      setInterval(() => this.#syncClock(), clockSyncInterval),
      setInterval(() => this.#inlets.packets?.watch.lookAgain(), interfaceInterval),
    );
    const { exec, packets } = this.#outlets;
    this.#publishingExec = publish(this.#exec, { codec: this.#execCodec, delivery: exec.delivery }, this.#abort.signal);
    if (this.#packets && packets) this.#publishingPackets = publish(this.#packets, packets, this.#abort.signal);
    this.#accounting = this.#account(this.#endAccounting.signal);
    try {
      await Promise.all([this.#publishingExec, this.#publishingPackets, this.#accounting]);
    } catch (error) {
      // `stop` has given up waiting, and reports what is left.
      if (!this.#abort.signal.aborted) throw error;
    } finally {
      this.#endTimers();
    }
  }

  /** Replaces the rules that keep execs out while it goes on; as Capture.exclude. */
  exclude(filters: ExecFilters): Promise<void> {
    return this.#inlets.capture.exclude(filters);
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
      await settled(this.#accounting);
      const ending = drained && this.#options.config.onExit === 'detach';
      this.#endTimers(); // the next look at the interfaces would count on them again
      if (ending) capture.detach();
      this.#exec.finish();
      await settled(this.#publishingExec);
      const accounted = await this.#finishAccount(ending);
      this.#packets?.finish();
      await settled(this.#publishingPackets);
      await Promise.all(deliveries.map((delivery) => delivery.close()));

      const backlog = capture.backlog();
      const packets = this.#inlets.packets?.capture.backlog() ?? 0;
      const detached = ending && accounted && backlog === 0 && packets === 0;
      if (detached) capture.unpin();
      return { backlog, packets, capturing: !ending, detached };
    } finally {
      deadline.removeEventListener('abort', giveUp);
      this.#enrichment.close();
      capture.close();
    }
  }

  /** True when everything that had been captured was acknowledged; false when that was given up. */
  async #drain(): Promise<boolean> {
    if (this.#abort.signal.aborted || this.#publishingExec === undefined) return false;
    const given = Promise.withResolvers<boolean>();
    this.#abort.signal.addEventListener('abort', () => given.resolve(false), { once: true });
    for (const publishing of [this.#publishingExec, this.#publishingPackets])
      void publishing?.catch(() => given.resolve(false));
    Promise.all([this.#exec.drained(), this.#packets?.drained()]).then(
      () => given.resolve(true),
      () => given.resolve(false),
    );
    return given.promise;
  }

  /** Ends the account of an attach that ended without one, then gives entries at regular times. */
  async #account(signal: AbortSignal): Promise<void> {
    const { kept } = this.#lastEntries;
    const before = entriesBefore(kept, {
      ...this.#inlets.identity,
      nowMillis: this.#options.clock.nowMillis(),
      moved: this.#outlets.exec.destination.moved || this.#outlets.packets?.destination.moved === true,
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

  #endTimers(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  #syncClock(): void {
    const { capture, wallClock } = this.#inlets;
    capture.syncClock();
    wallClock.update(capture.clockOffsets());
  }
}

function packetSource(
  { config, clock, log }: SidecarOptions,
  { capture, identity, wallClock, packets }: Inlets,
  outlets: Outlets,
): PacketSource | undefined {
  if (config.packets === undefined || packets === undefined || outlets.packets === undefined) return undefined;
  const { intervalMillis, budget } = config.packets;
  const layout = packets.capture.layout();
  const { keyKind } = packets.capture.status();
  return new PacketSource({
    capture,
    packets: packets.capture,
    decoderOf: createPacketDecoder({ layout, identity, wallClock, keyKind }),
    clock,
    log,
    intervalMillis,
    budget,
    offsets: offsetsAt(outlets.packets, packets.capture.status()),
  });
}

function packetLedger(
  { packets }: Inlets,
  outlets: Outlets,
  source: PacketSource | undefined,
): PacketStreams | undefined {
  if (packets === undefined || outlets.packets === undefined || source === undefined) return undefined;
  const programTag = packets.capture.status().programHash;
  return new PacketStreams({ epochs: source, reader: source, programTag, ...ledgerSide(outlets.packets) });
}

/** What an earlier process had acknowledged at the outlet's destination. */
function offsetsAt<Event>(
  { destination }: Outlet<Event>,
  { firstOffset, lastOffset }: { readonly firstOffset: number; readonly lastOffset: number },
) {
  return destination.moved || firstOffset < 0 ? undefined : { firstOffset, lastOffset };
}

const ledgerState = {
  idle: 'capturing',
  sending: 'capturing',
  retrying: 'degraded',
  throttled: 'throttled',
} as const satisfies Record<string, LedgerState>;

/** What the ledger says of where records go. */
function ledgerSide<Event>({ delivery, destination }: Outlet<Event>): {
  readonly deliveryState: () => LedgerState;
  readonly destination: StreamDestination;
} {
  return {
    deliveryState: () => ledgerState[delivery.state.state],
    destination: {
      cluster_id: destination.clusterId,
      topic: destination.topic,
      partition: destination.partition,
      replication_factor: destination.replicas,
      min_insync_replicas: destination.minInsyncReplicas,
    },
  };
}

/** Resolves when the promise has ended, one way or the other. */
async function settled(promise: Promise<unknown> | undefined): Promise<void> {
  await promise?.catch(() => {});
}
