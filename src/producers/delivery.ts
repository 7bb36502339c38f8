import type { Acknowledgement, OutgoingBatch } from '../batch.ts';
import type { Clock } from '../clock.ts';
import { Bpf2KafkaError, reasonOf } from '../errors.ts';
import { protocolErrorOf } from '../kafka/broker-error.ts';
import type {
  Compression,
  KafkaClient,
  PartitionProducer,
  PartitionSend,
  ProduceAnswer,
  ProducerRecord,
} from '../kafka/client.ts';
import { withDeadline } from '../kafka/deadline.ts';
import { LogLimit } from '../kafka/log-limit.ts';
import type { Log } from '../log.ts';
import { backoffMillis } from './backoff.ts';
import { ByteBudget } from './byte-budget.ts';
import { type Chunk, chunksOf } from './chunks.ts';
import type { Destination } from './destinations.ts';
import { recordTimestamp } from './record-timestamp.ts';
import { Turns } from './turns.ts';

export interface DeliverySettings {
  readonly compression: Compression;
  /** How long one attempt may take, connecting included, milliseconds; the broker's last throttle time is added. */
  readonly timeoutMillis: number;
  readonly backoffBaseMillis: number;
  readonly backoffCapMillis: number;
  /** What one send carries at most; a topic with a smaller `maxBatchBytes` lowers the second. */
  readonly maxRecords: number;
  readonly maxBytes: number;
  /**
   * A producer is renewed before it has sent more: its sequence number is an int32, kafkajs lets it pass 2^31 without
   * the wrap that the broker expects (kafkajs#1790), and at 10,000 records/s that takes 60 hours.
   */
  readonly maxRecordsPerProducer: number;
  /** Of values and headers before compression; Infinity for no limit. */
  readonly maxBytesPerSecond: number;
}

const defaultSettings: DeliverySettings = {
  compression: 'zstd',
  timeoutMillis: 10_000,
  backoffBaseMillis: 100,
  backoffCapMillis: 30_000,
  maxRecords: 500,
  maxBytes: 512 * 1024,
  maxRecordsPerProducer: 2 ** 30,
  maxBytesPerSecond: Number.POSITIVE_INFINITY,
};

/** `throttled`: a send waits because the broker asked us to slow down (quota). Not an error: it will be acknowledged. */
export type DeliveryStateName = 'idle' | 'sending' | 'retrying' | 'throttled';

export interface DeliveryState {
  readonly state: DeliveryStateName;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Why it retries or is throttled. */
  readonly reason?: string;
}

/** Counted since the start. */
export interface DeliveryFigures {
  readonly acknowledgedRecords: number;
  /** Values and headers before compression. */
  readonly acknowledgedBytes: number;
  /** Attempts that failed. */
  readonly retries: number;
  /** Producers that were made: the first, one after each failure, and renewals. */
  readonly producers: number;
}

export type DeliveryDestination = Pick<Destination, 'topic' | 'partition' | 'retentionMillis' | 'maxBatchBytes'>;

export interface DeliveryOptions {
  readonly client: Pick<KafkaClient, 'brokers' | 'createProducer'>;
  /** By topic name without prefix. */
  readonly destinations: ReadonlyMap<string, DeliveryDestination>;
  /** The key of every record. */
  readonly hostId: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings?: Partial<DeliverySettings>;
  readonly onStateChange?: (state: DeliveryState) => void;
  /** In [0, 1), for the jitter. */
  readonly random?: () => number;
}

/** A batch that the broker refuses for what is in it, not for the state of the broker. */
const refusals = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP']);

/** One piece of a batch as it goes to the broker, the same for every attempt. */
interface Piece {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly ProducerRecord[];
  readonly bytes: number;
}

/**
 * A batch to an acknowledgement, over one producer at a time. Broker trouble is waited out, for ever, while the kernel
 * buffers: the caller still holds the batch and commits it when `accept` resolves.
 */
export class Delivery implements AsyncDisposable {
  readonly #options: DeliveryOptions;
  readonly #settings: DeliverySettings;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #random: () => number;
  readonly #turns = new Turns();
  readonly #budget: ByteBudget;
  readonly #closing = new AbortController();
  /** Aborted, and replaced, to end the pause between two attempts. */
  #hurry = new AbortController();
  readonly #retryLog: LogLimit;
  readonly #refusalLog: LogLimit;
  #producer: PartitionProducer | undefined;
  #recordsOfProducer = 0;
  #throttleMillis = 0;
  #throttledUntil = 0;
  #state: DeliveryState;
  #acknowledgedRecords = 0;
  #acknowledgedBytes = 0;
  #retries = 0;
  #producers = 0;
  #closed: Promise<void> | undefined;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#settings = { ...defaultSettings, ...options.settings };
    this.#clock = options.clock;
    this.#log = options.log;
    this.#random = options.random ?? Math.random;
    this.#budget = new ByteBudget(this.#settings.maxBytesPerSecond, options.clock);
    this.#retryLog = new LogLimit(options.clock);
    this.#refusalLog = new LogLimit(options.clock);
    this.#state = { state: 'idle', since: options.clock.nowMillis() };
  }

  get state(): DeliveryState {
    return this.#state;
  }

  get figures(): DeliveryFigures {
    return {
      acknowledgedRecords: this.#acknowledgedRecords,
      acknowledgedBytes: this.#acknowledgedBytes,
      retries: this.#retries,
      producers: this.#producers,
    };
  }

  /**
   * Resolves when the broker has acknowledged every record. Calls are served in their order, one at a time. Records may
   * be written more than once, in order within each attempt; consumers know repeats by their identity.
   *
   * @throws Bpf2KafkaError ERR_UNDELIVERED when the signal aborts or `close` is called: some of the records may be
   * written, so the caller must not commit. Never for broker trouble.
   */
  async accept(batch: OutgoingBatch, signal?: AbortSignal): Promise<Acknowledgement> {
    const destination = this.#options.destinations.get(batch.topic);
    if (destination === undefined) throw new TypeError(`the topic ${batch.topic} was not prepared`);
    if (batch.records.length === 0) throw new TypeError('a batch has at least one record');
    const stop = stopOf(this.#closing.signal, signal);
    const turn = this.#turns.take();
    try {
      await aborted(turn, stop.signal);
      return await this.#deliverAll(batch, destination, stop.signal);
    } catch (error) {
      if (stop.signal.aborted) throw this.#undelivered(destination.topic, error);
      throw error;
    } finally {
      stop.release();
      void turn.then((release) => release());
    }
  }

  /** Ends the pause between two attempts: for a caller whose time is short, when the broker may be back. */
  retryNow(): void {
    this.#hurry.abort();
  }

  /** Ends an outstanding `accept` as an abort would, and the producer; may be called twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    const release = await this.#turns.take();
    await this.#producer?.close();
    this.#producer = undefined;
    this.#enter('idle');
    release();
  }

  async #deliverAll(
    batch: OutgoingBatch,
    destination: DeliveryDestination,
    signal: AbortSignal,
  ): Promise<Acknowledgement> {
    const { topic, partition, maxBatchBytes } = destination;
    const { maxRecords, maxBytes } = this.#settings;
    let firstOffset: number | undefined;
    let lastOffset = -1;
    for (const chunk of chunksOf(batch.records, { maxRecords, maxBytes: Math.min(maxBytes, maxBatchBytes) })) {
      const offset = await this.#deliver(this.#pieceOf(chunk, destination), signal);
      firstOffset ??= offset;
      lastOffset = offset + chunk.records.length - 1;
    }
    return { topic, partition, firstOffset: firstOffset ?? -1, lastOffset, records: batch.records.length };
  }

  /** The records as they are sent, made once: every attempt must carry the same bytes. */
  #pieceOf({ records, bytes }: Chunk, { topic, partition, retentionMillis }: DeliveryDestination): Piece {
    const now = this.#clock.nowMillis();
    const key = this.#options.hostId;
    return {
      topic,
      partition,
      bytes,
      records: records.map(({ value, timestamp: eventMillis, headers }) => {
        const { timestamp, clockSkew } = recordTimestamp(eventMillis, now, retentionMillis);
        if (clockSkew === undefined) return { key, value, timestamp, headers };
        return { key, value, timestamp, headers: { ...headers, clock_skew: String(clockSkew) } };
      }),
    };
  }

  /** Offset of the first record, once the broker has acknowledged the piece; rejects only when the signal aborts. */
  async #deliver(piece: Piece, signal: AbortSignal): Promise<number> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await this.#budget.take(piece.bytes, signal);
        const offset = await this.#attempt(piece, signal);
        this.#acknowledge(piece, attempt);
        return offset;
      } catch (error) {
        // Whatever the error says, an earlier attempt inside kafkajs may have been written, and kafkajs has rolled its
        // sequence number back: another batch of the same size over this producer would look like a repeat to the
        // broker, which answers success and writes nothing.
        await this.#discard();
        if (signal.aborted) throw error;
        this.#retries += 1;
        this.#tellFailure(piece, error);
      }
      const { backoffBaseMillis, backoffCapMillis } = this.#settings;
      const pause = backoffMillis(attempt, backoffBaseMillis, backoffCapMillis, this.#random());
      await this.#pause(pause, signal);
      if (this.#hurry.signal.aborted) {
        this.#hurry = new AbortController();
        attempt = -1;
      }
    }
  }

  async #pause(millis: number, signal: AbortSignal): Promise<void> {
    const either = stopOf(this.#hurry.signal, signal);
    await this.#clock.sleep(millis, either.signal);
    either.release();
  }

  async #attempt(piece: Piece, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    if (this.#recordsOfProducer + piece.records.length > this.#settings.maxRecordsPerProducer) await this.#renew();
    if (this.#state.state !== 'retrying') {
      if (this.#clock.elapsedMillis() < this.#throttledUntil)
        this.#enter('throttled', 'the broker throttles this client (quota)');
      else this.#enter('sending');
    }
    const work = this.#send(piece);
    const answer = await withDeadline(work, this.#settings.timeoutMillis + this.#throttleMillis, this.#clock, signal);
    this.#throttleMillis = answer.throttleMillis;
    this.#throttledUntil = this.#clock.elapsedMillis() + answer.throttleMillis;
    return offsetIn(answer, piece);
  }

  async #send({ topic, partition, records }: Piece): Promise<ProduceAnswer> {
    const { compression, timeoutMillis } = this.#settings;
    let producer = this.#producer;
    if (producer === undefined) {
      producer = this.#options.client.createProducer();
      this.#producer = producer;
      this.#producers += 1;
      this.#recordsOfProducer = 0;
      await producer.connect();
      // Discarded while it connected: the piece is with another producer by now.
      if (producer !== this.#producer) throw new Error('the producer was discarded');
    }
    this.#recordsOfProducer += records.length;
    // The broker gives up on its replicas first, so that a slow replica is an answer and not a broken connection.
    const request: PartitionSend = {
      topic,
      partition,
      records,
      compression,
      timeoutMillis: Math.ceil(timeoutMillis * 0.8),
    };
    return producer.send(request);
  }

  async #discard(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.discard();
  }

  async #renew(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    this.#recordsOfProducer = 0;
    await producer?.close();
  }

  #acknowledge({ topic, records, bytes }: Piece, attempt: number): void {
    this.#acknowledgedRecords += records.length;
    this.#acknowledgedBytes += bytes;
    if (attempt > 0) {
      const outageMillis = this.#clock.nowMillis() - this.#state.since;
      this.#log.info({ topic, attempts: attempt + 1, outageMillis }, 'the broker acknowledges again');
      this.#retryLog.reset();
      this.#refusalLog.reset();
    }
    this.#enter('idle');
  }

  #tellFailure({ topic, records, bytes }: Piece, error: unknown): void {
    const reason = reasonOf(error);
    const code = protocolErrorOf(error);
    if (code !== undefined && refusals.has(code)) {
      const suppressed = this.#refusalLog.pass();
      if (suppressed !== undefined) {
        const fields = { code, topic, records: records.length, bytes, suppressed };
        this.#log.error(fields, 'the broker refuses a batch for its content; it is held and tried again');
      }
    } else {
      const suppressed = this.#retryLog.pass();
      if (suppressed !== undefined) {
        const fields = { topic, code, reason, brokers: this.#options.client.brokers, suppressed };
        this.#log.warn(fields, 'not acknowledged; retrying while the kernel buffers');
      }
    }
    this.#enter('retrying', code ?? reason);
  }

  #enter(state: DeliveryStateName, reason?: string): void {
    if (state === this.#state.state && reason === this.#state.reason) return;
    // Another reason for the same trouble is not the beginning of it.
    const since = state === this.#state.state ? this.#state.since : this.#clock.nowMillis();
    this.#state = reason === undefined ? { state, since } : { state, since, reason };
    this.#options.onStateChange?.(this.#state);
  }

  #undelivered(topic: string, cause: unknown): Bpf2KafkaError {
    const { state, reason } = this.#state;
    this.#enter('idle');
    return new Bpf2KafkaError('ERR_UNDELIVERED', {
      operation: 'deliver a batch to the topic',
      subject: topic,
      reason:
        state === 'retrying' && reason !== undefined ? `stopped while the broker was away (${reason})` : 'stopped',
      remedy: 'nothing is lost: the records stay where they were taken from',
      cause,
    });
  }
}

/** An answer counts only when it names exactly what was sent; a partition that kafkajs does not know gives an empty one. */
function offsetIn({ partitions }: ProduceAnswer, { topic, partition }: Piece): number {
  const [answer, ...others] = partitions;
  if (answer === undefined) throw new Error(`the client knows no partition ${partition} of ${topic}`);
  if (others.length > 0 || answer.topic !== topic || answer.partition !== partition) {
    const named = partitions.map((each) => `${each.topic}/${each.partition}`).join(', ');
    throw new Error(`the broker answered for ${named}, not for ${topic}/${partition}`);
  }
  if (answer.errorCode !== 0) throw new Error(`the broker answered with error ${answer.errorCode}`);
  if (answer.baseOffset === undefined || !(answer.baseOffset >= 0))
    throw new Error('the broker answered without an offset');
  return answer.baseOffset;
}

/** Aborts when either does; `release` takes the listeners off signals that live as long as the process. */
function stopOf(closing: AbortSignal, signal: AbortSignal | undefined): { signal: AbortSignal; release: () => void } {
  const stop = new AbortController();
  const abort = () => stop.abort();
  for (const source of [closing, signal]) {
    source?.addEventListener('abort', abort, { once: true });
    if (source?.aborted) abort();
  }
  const release = () => {
    for (const source of [closing, signal]) source?.removeEventListener('abort', abort);
  };
  return { signal: stop.signal, release };
}

/** Resolves with `work`, or rejects when the signal aborts first. */
async function aborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let abort = () => {};
  const stopped = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    await Promise.race([work, stopped]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
