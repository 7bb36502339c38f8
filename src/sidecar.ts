import type { Batch } from './batch.ts';
import { reasonOf } from './errors.ts';
import type { Health } from './http/health.ts';
import { type Capture, openCapture } from './kernel/addon.ts';
import { isAttached } from './kernel/attached.ts';
import { readBootId } from './kernel/boot-id.ts';
import { WallClock } from './kernel/wall-clock.ts';
import { ExecLedger } from './ledger/exec-ledger.ts';
import { entryBefore, LastEntry, refuseOtherHostId } from './ledger/last-entry.ts';
import { type Outlet, type Outlets, type OutletsOptions, openOutlets } from './outlets.ts';
import type { ExecEvent } from './schemas/exec-event.ts';
import type { LedgerEntry, LedgerState } from './schemas/ledger-entry.ts';
import { ExecSource } from './sources/exec.ts';
import { type CaptureIdentity, createExecDecoder } from './sources/exec-decoder.ts';

/**
 * The whole way of an exec, and the composition root that builds it:
 *
 *   kernel --> ring --> source --> codec --> delivery --> topic
 *                ^                              |
 *                +------------ commit ----------+
 *
 * Nothing leaves the ring before the broker has acknowledged it, so whenever this process dies, the next
 * one goes on with the first record that was not.
 */
export async function publish(
  source: AsyncIterable<Batch<ExecEvent>>,
  { codec, delivery }: Pick<Outlet<ExecEvent>, 'codec' | 'delivery'>,
  abort: AbortSignal,
): Promise<void> {
  let previous = Promise.resolve();
  for await (const batch of source) {
    const encoded = codec.encode(batch.events); // while the batch before is on its way
    await previous;
    previous = delivery.accept(encoded, abort).then((acknowledgement) => batch.commit(acknowledgement));
    previous.catch(() => {}); // awaited in the next turn
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
  /** The kernel goes on capturing for the next start. */
  readonly capturing: boolean;
  /** Nothing is pinned any more. */
  readonly detached: boolean;
}

/** How often the distance between wall time and time since boot is looked at, milliseconds. */
const clockSyncInterval = 10_000;

export class Sidecar {
  /** Names of the streams that are captured. */
  readonly streams: readonly string[] = ['exec'];

  readonly #options: SidecarOptions;
  readonly #capture: Capture;
  readonly #outlets: Outlets;
  readonly #identity: CaptureIdentity;
  readonly #wallClock: WallClock;
  readonly #source: ExecSource;
  readonly #ledger: ExecLedger;
  readonly #lastEntry: LastEntry;
  /** Ends what waits for the broker. */
  readonly #abort = new AbortController();
  /** Ends the regular entries of the ledger. */
  readonly #endAccounting = new AbortController();
  #publishing: Promise<void> | undefined;
  #accounting: Promise<void> | undefined;
  #stopping = false;

  private constructor(options: SidecarOptions, capture: Capture, outlets: Outlets) {
    const { config, clock, log } = options;
    const { attachId, lastOffset, firstOffset } = capture.status();
    this.#options = options;
    this.#capture = capture;
    this.#outlets = outlets;
    this.#identity = { hostId: config.hostId, hostName: config.hostName, bootId: readBootId(), attachId };
    this.#wallClock = new WallClock(capture.clockOffsets());
    const decoder = createExecDecoder(capture.execLayout(), this.#identity, this.#wallClock);
    const moved = outlets.exec.destination.moved;
    this.#source = new ExecSource({
      capture,
      decoder,
      clock,
      log,
      ...(moved || firstOffset < 0 ? {} : { firstOffset, lastOffset }),
    });
    this.#lastEntry = new LastEntry(config.stateDir);
    this.#ledger = new ExecLedger({
      capture,
      reader: this.#source,
      identity: this.#identity,
      wallClock: this.#wallClock,
      clock,
      log,
      intervalMillis: config.ledgerIntervalMillis,
      publish: (entry) => this.#publishEntry(entry),
      deliveryState: () => ledgerState[outlets.exec.delivery.state.state],
      destination: {
        cluster_id: outlets.exec.destination.clusterId,
        topic: outlets.exec.destination.topic,
        partition: outlets.exec.destination.partition,
        replication_factor: outlets.exec.destination.replicas,
        min_insync_replicas: outlets.exec.destination.minInsyncReplicas,
      },
    });
  }

  /**
   * Captures, reaches the broker, and is ready to publish. The kernel captures from the first step on, so
   * a broker that is slow to answer costs nothing. When the broker or a topic is refused, a capture that
   * this call began ends as `--on-exit` says, and one that was pinned before stays.
   */
  static async open(options: SidecarOptions): Promise<Sidecar> {
    const { pinPath, execRingBytes, onExit } = options.config;
    const capture = openCapture(pinPath, execRingBytes);
    try {
      logCapture(capture, options);
      const { attachId } = capture.status();
      const lastEntry = new LastEntry(options.config.stateDir);
      refuseOtherHostId(await lastEntry.read(), { hostId: options.config.hostId, bootId: readBootId(), attachId });
      const outlets = await openOutlets(options);
      await options.onTopicsReady?.();
      return new Sidecar(options, capture, outlets);
    } catch (error) {
      if (!capture.status().resumed && onExit === 'detach') {
        capture.detach();
        capture.unpin();
      }
      capture.close();
      throw error;
    }
  }

  get health(): Health {
    const deliveries = Object.values(this.#outlets).map(({ destination, delivery }: Outlets[keyof Outlets]) => ({
      topic: destination.topic,
      ...delivery.state,
    }));
    return { capturing: isAttached(this.#options.config.pinPath), stopping: this.#stopping, deliveries };
  }

  /** Publishes until `stop`; rejects when that has become impossible. Call it once. */
  async run(): Promise<void> {
    const timer = setInterval(() => this.#syncClock(), clockSyncInterval);
    this.#publishing = publish(this.#source, this.#outlets.exec, this.#abort.signal);
    this.#accounting = this.#account(this.#endAccounting.signal);
    try {
      await Promise.all([this.#publishing, this.#accounting]);
    } catch (error) {
      // `stop` has given up waiting, and reports what is left.
      if (!this.#abort.signal.aborted) throw error;
    } finally {
      clearInterval(timer);
    }
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
    const { exec, ledger } = this.#outlets;
    exec.delivery.retryNow();
    ledger.delivery.retryNow();
    try {
      const drained = await this.#drain();
      // Before the capture ends: an epoch may be about to end on another thread.
      this.#endAccounting.abort();
      await settled(this.#accounting);
      const ending = drained && this.#options.config.onExit === 'detach';
      if (ending) this.#capture.detach();
      this.#source.finish();
      await settled(this.#publishing);
      const accounted = await this.#finishAccount(ending);
      await Promise.all([exec.delivery.close(), ledger.delivery.close()]);

      const backlog = this.#capture.backlog();
      const detached = ending && accounted && backlog === 0;
      if (detached) this.#capture.unpin();
      return { backlog, capturing: !ending, detached };
    } finally {
      deadline.removeEventListener('abort', giveUp);
      this.#capture.close();
    }
  }

  /** True when everything that had been captured was acknowledged; false when that was given up. */
  async #drain(): Promise<boolean> {
    if (this.#abort.signal.aborted || this.#publishing === undefined) return false;
    const given = Promise.withResolvers<boolean>();
    this.#abort.signal.addEventListener('abort', () => given.resolve(false), { once: true });
    void settled(this.#publishing).then(() => given.resolve(false));
    void this.#source.drained().then(() => given.resolve(true));
    return given.promise;
  }

  /** Ends the account of an attach that ended without one, then gives an entry at regular times. */
  async #account(signal: AbortSignal): Promise<void> {
    const kept = await this.#lastEntry.read();
    const before = entryBefore(kept, {
      ...this.#identity,
      nowMillis: this.#options.clock.nowMillis(),
      moved: this.#outlets.exec.destination.moved,
    });
    if (before !== undefined) await this.#publishEntry(before);
    this.#ledger.resume(kept?.entry);
    await this.#ledger.run(signal);
  }

  /** True when the last entry is acknowledged and closed. */
  async #finishAccount(ending: boolean): Promise<boolean> {
    if (this.#abort.signal.aborted) return false;
    try {
      return (await this.#ledger.finish(ending ? 'stopped' : undefined)).closed;
    } catch (error) {
      this.#options.log.warn({ reason: reasonOf(error) }, 'the last entry of the ledger was not published');
      return false;
    }
  }

  async #publishEntry(entry: LedgerEntry): Promise<void> {
    const { codec, delivery } = this.#outlets.ledger;
    await this.#lastEntry.write({ entry, published: false });
    await delivery.accept(codec.encode([entry]), this.#abort.signal);
    await this.#lastEntry.write({ entry, published: true });
  }

  #syncClock(): void {
    this.#capture.syncClock();
    this.#wallClock.update(this.#capture.clockOffsets());
  }
}

const ledgerState = {
  idle: 'capturing',
  sending: 'capturing',
  retrying: 'degraded',
  throttled: 'throttled',
} as const satisfies Record<string, LedgerState>;

/** Resolves when the promise has ended, one way or the other. */
async function settled(promise: Promise<unknown> | undefined): Promise<void> {
  await promise?.catch(() => {});
}

function logCapture(capture: Capture, { config, log }: SidecarOptions): void {
  const { resumed, replacedProgram, attachId, ringBytes, corrupt } = capture.status();
  const backlog = capture.backlog();
  const bytesOfTypicalRecord = 320;
  const secondsOf1000ExecsPerSecond = Math.round(ringBytes / bytesOfTypicalRecord / 1000);
  log.info(
    { pinPath: config.pinPath, attachId, backlog, ringBytes, secondsOf1000ExecsPerSecond, replacedProgram },
    resumed ? 'took over the pinned capture' : 'capturing',
  );
  if (resumed && ringBytes !== config.execRingBytes) {
    log.warn({ ringBytes, wanted: config.execRingBytes }, 'the ring keeps its size until the capture is detached');
  }
  if (corrupt > 0) {
    log.error({ corrupt }, 'the ring was not readable where it had been left; the records up to here count as lost');
  }
}
