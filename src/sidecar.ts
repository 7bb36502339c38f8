import type { Clock } from './clock.ts';
import type { RunConfig } from './config.ts';
import { Bpf2KafkaError, reasonOf } from './errors.ts';
import { createKafkaClient } from './kafka/client.ts';
import { prepareTopics } from './kafka/topics.ts';
import { type Capture, openCapture } from './kernel/addon.ts';
import { readBootId } from './kernel/boot-id.ts';
import { WallClock } from './kernel/wall-clock.ts';
import type { Log } from './log.ts';
import { Delivery } from './producers/delivery.ts';
import { subjectOf, topicSchema } from './schemas/catalog.ts';
import { type Codec, createCodec, type Framing } from './schemas/codec.ts';
import type { ExecEvent } from './schemas/exec-event.ts';
import { resolveSchemaId } from './schemas/registry.ts';
import { ExecSource } from './sources/exec.ts';
import { createExecDecoder } from './sources/exec-decoder.ts';

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
async function publish(source: ExecSource, codec: Codec<ExecEvent>, delivery: Delivery, abort: AbortSignal) {
  for await (const batch of source) {
    const acknowledgement = await delivery.accept(codec.encode(batch.events), abort);
    batch.commit(acknowledgement);
  }
}

export interface SidecarOptions {
  readonly config: RunConfig;
  readonly log: Log;
  readonly clock: Clock;
  /** The broker is the embedded one: a single node is meant. */
  readonly singleNode?: boolean;
  /** Runs when the topics are there and nothing has been published yet. */
  readonly onTopicsReady?: () => Promise<void>;
}

/** What was left when the sidecar stopped. */
export interface StopReport {
  /** Records that wait in the kernel for the next start. */
  readonly backlog: number;
  readonly detached: boolean;
}

/** How often the distance between wall time and time since boot is looked at, milliseconds. */
const clockSyncInterval = 10_000;

export class Sidecar {
  /** Names of the streams that are captured. */
  readonly streams: readonly string[] = ['exec'];

  readonly #config: RunConfig;
  readonly #log: Log;
  readonly #capture: Capture;
  readonly #source: ExecSource;
  readonly #codec: Codec<ExecEvent>;
  readonly #delivery: Delivery;
  readonly #wallClock: WallClock;
  readonly #abort = new AbortController();
  #publishing: Promise<void> | undefined;

  private constructor(
    { config, log, clock }: SidecarOptions,
    capture: Capture,
    parts: { codec: Codec<ExecEvent>; delivery: Delivery },
  ) {
    this.#config = config;
    this.#log = log;
    this.#capture = capture;
    this.#wallClock = new WallClock(capture.clockOffsets());
    const identity = {
      hostId: config.hostId,
      hostName: config.hostName,
      bootId: readBootId(),
      attachId: capture.status().attachId,
    };
    const decoder = createExecDecoder(capture.execLayout(), identity, this.#wallClock);
    this.#source = new ExecSource({ capture, decoder, clock, log });
    this.#codec = parts.codec;
    this.#delivery = parts.delivery;
  }

  /**
   * Captures, reaches the broker, and is ready to publish. The kernel captures from the first step on, so
   * a broker that is slow to answer costs nothing. When the broker or a topic is refused, a capture that
   * this call began ends as `--on-exit` says, and one that was pinned before stays.
   */
  static async open(options: SidecarOptions): Promise<Sidecar> {
    const { config, log } = options;
    const capture = openCapture(config.pinPath, config.execRingBytes);
    try {
      logCapture(capture, config, log);
      const parts = await openBroker(options);
      await options.onTopicsReady?.();
      return new Sidecar(options, capture, parts);
    } catch (error) {
      if (!capture.status().resumed && config.onExit === 'detach') {
        capture.detach();
        capture.unpin();
      }
      capture.close();
      throw error;
    }
  }

  /** Publishes until `stop`; rejects when that has become impossible. Call it once. */
  async run(): Promise<void> {
    const timer = setInterval(() => this.#syncClock(), clockSyncInterval);
    try {
      this.#publishing = publish(this.#source, this.#codec, this.#delivery, this.#abort.signal);
      await this.#publishing;
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
    deadline.addEventListener('abort', () => this.#abort.abort(), { once: true });
    if (deadline.aborted) this.#abort.abort();
    try {
      const drained = await this.#drain();
      if (drained && this.#config.onExit === 'detach') this.#capture.detach();
      this.#source.finish();
      await this.#publishing?.catch((error) => this.#log.debug({ reason: reasonOf(error) }, 'publishing ended'));
      await this.#delivery.close();
      const { backlog } = this.#capture.status();
      const detached = drained && this.#config.onExit === 'detach' && backlog === 0;
      if (detached) this.#capture.unpin();
      return { backlog, detached };
    } finally {
      this.#capture.close();
    }
  }

  /** True when everything that had been captured was acknowledged; false when that was given up. */
  async #drain(): Promise<boolean> {
    if (this.#abort.signal.aborted || this.#publishing === undefined) return false;
    const ended = this.#publishing.then(
      () => false,
      () => false,
    );
    return Promise.race([this.#source.drained().then(() => true), ended]);
  }

  #syncClock(): void {
    this.#capture.syncClock();
    this.#wallClock.update(this.#capture.clockOffsets());
  }
}

function logCapture(capture: Capture, config: RunConfig, log: Log): void {
  const { resumed, replacedProgram, attachId, ringBytes, backlog, corrupt } = capture.status();
  const bytesOfTypicalRecord = 320;
  log.info(
    {
      pinPath: config.pinPath,
      attachId,
      backlog,
      ringBytes,
      secondsOf1000ExecsPerSecond: Math.round(ringBytes / bytesOfTypicalRecord / 1000),
      replacedProgram,
    },
    resumed ? 'took over the pinned capture' : 'capturing',
  );
  if (resumed && ringBytes !== config.execRingBytes)
    log.warn({ ringBytes, wanted: config.execRingBytes }, 'the ring keeps its size until the capture is detached');
  if (corrupt > 0) log.error({ corrupt }, 'the ring was not readable where it had been left; the records up to here count as lost');
}

async function openBroker({ config, log, clock, singleNode = false }: SidecarOptions) {
  const client = createKafkaClient({ brokers: config.brokers, clientId: config.clientId, log, clock });
  await using admin = await client.connectAdmin();
  const topics = await prepareTopics(admin, {
    topics: ['exec-events'],
    prefix: config.topicPrefix,
    createTopics: config.createTopics,
    singleNode,
    log,
    clock,
  });
  const codec = createCodec({ topic: 'exec-events', framing: await framingOf(config, log) });
  const { compression, maxBytesPerSecond = Number.POSITIVE_INFINITY } = config;
  const delivery = new Delivery({
    client,
    topics,
    hostId: config.hostId,
    clock,
    log,
    settings: { compression, maxBytesPerSecond },
    onStateChange: ({ state, reason }) => {
      if (state === 'retrying') log.warn({ reason }, 'the broker does not take records; the kernel keeps them');
      if (state === 'throttled') log.warn({ reason }, 'the broker asks for fewer records');
    },
  });
  return { codec, delivery };
}

async function framingOf(config: RunConfig, log: Log): Promise<Framing> {
  if (config.registry === undefined) return { kind: 'single-object' };
  const schemaId = await resolveSchemaId({
    url: config.registry,
    subject: subjectOf('exec-events', config.topicPrefix),
    schema: topicSchema('exec-events').schema,
    register: config.registerSchemas,
    stateDir: config.stateDir,
    log,
  });
  return { kind: 'confluent', schemaId };
}

/** The error for a stop that could not publish everything although the capture was to end. */
export function undelivered({ backlog }: StopReport, pinPath: string): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_UNDELIVERED', {
    operation: 'end the capture in',
    subject: pinPath,
    reason: `${backlog} records have not been acknowledged by the broker in time; they wait in the kernel, and it goes on capturing`,
    remedy: 'start again to publish them, or give them up with `bpf2kafka detach --discard`',
  });
}
