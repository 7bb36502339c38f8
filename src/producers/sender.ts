import type { Clock } from '../clock.ts';
import { reasonOf } from '../errors.ts';
import { protocolErrorOf } from '../kafka/broker-error.ts';
import type { Compression } from '../kafka/compression.ts';
import { withDeadline } from '../kafka/deadline.ts';
import type { KafkaClient, PartitionProducer, PartitionSend, ProduceAnswer } from '../kafka/kafka-client.ts';
import { LogLimit } from '../kafka/log-limit.ts';
import type { Log } from '../log.ts';
import type { PackedRecords } from '../records/packed-records.ts';
import { backoffMillis } from './backoff.ts';
import { ByteBudget } from './byte-budget.ts';
import { stopOf } from './stop-signal.ts';

export interface SenderSettings {
  readonly compression: Compression;
  /** How long one attempt may take, connecting included, milliseconds; the broker's last throttle time is added. */
  readonly timeoutMillis: number;
  readonly backoffBaseMillis: number;
  readonly backoffCapMillis: number;
  /**
   * A producer is renewed before it has sent more: its sequence number is an int32, and at 10,000 records/s it would
   * pass 2^31 after 60 hours.
   */
  readonly maxRecordsPerProducer: number;
  /** Of keys, values and headers before compression; Infinity for no limit. */
  readonly maxBytesPerSecond: number;
}

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
export interface SenderFigures {
  readonly acknowledgedRecords: number;
  /** Keys, values and headers before compression. */
  readonly acknowledgedBytes: number;
  /** Attempts that failed or were refused. */
  readonly retries: number;
  /** Producers that were made: the first, one after each failure, and renewals. */
  readonly producers: number;
}

export interface SenderOptions {
  readonly client: Pick<KafkaClient, 'brokers' | 'createProducer'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: SenderSettings;
  readonly onStateChange?: ((state: DeliveryState) => void) | undefined;
  /** In [0, 1), for the jitter. */
  readonly random?: (() => number) | undefined;
}

/** One piece of a batch as it goes to the broker, the same for every attempt. */
export interface Piece {
  readonly topic: string;
  readonly partition: number;
  readonly records: PackedRecords;
}

/** The broker's last word on a piece. */
export type Answer =
  /** Of the first record. */
  { readonly offset: number } | { readonly refusal: Refusal };

/** The broker does not take a piece for what is in it, not for its own state. */
export interface Refusal {
  /** Name of the broker's error, as in `MESSAGE_TOO_LARGE`. */
  readonly code: string;
  /** The same in words. */
  readonly reason: string;
}

const refusals = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP']);

/** One piece at a time to the broker's word, over one producer at a time. Broker trouble is waited out, for ever. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #settings: SenderSettings;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #random: () => number;
  readonly #budget: ByteBudget;
  /** Aborted, and replaced, to end the pause between two attempts. */
  #hurry = new AbortController();
  readonly #retryLog: LogLimit;
  readonly #refusalLog: LogLimit;
  #producer: PartitionProducer | undefined;
  #recordsOfProducer = 0;
  #throttleMillis = 0;
  #throttledUntil = 0;
  /** Pauses since the last acknowledgement. */
  #pauses = 0;
  #state: DeliveryState;
  #acknowledgedRecords = 0;
  #acknowledgedBytes = 0;
  #retries = 0;
  #producers = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#settings = options.settings;
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

  get figures(): SenderFigures {
    return {
      acknowledgedRecords: this.#acknowledgedRecords,
      acknowledgedBytes: this.#acknowledgedBytes,
      retries: this.#retries,
      producers: this.#producers,
    };
  }

  /**
   * Resolves when the broker has acknowledged the piece, or refuses it for what is in it; rejects only when the signal
   * aborts. Call it again when it has settled.
   */
  async send(piece: Piece, signal: AbortSignal): Promise<Answer> {
    for (;;) {
      try {
        await this.#budget.take(piece.records.bytes, signal);
        const offset = await this.#attempt(piece, signal);
        this.#acknowledge(piece);
        return { offset };
      } catch (error) {
        // Whatever the error says, the piece may have been written: another one of the same size under its sequence
        // number would look like a repeat to the broker, which answers success and writes nothing.
        await this.#discard();
        if (signal.aborted) throw error;
        this.#retries += 1;
        const code = protocolErrorOf(error);
        const reason = reasonOf(error);
        if (code !== undefined && refusals.has(code)) return { refusal: { code, reason } };
        this.#tellFailure(piece, code, reason);
        this.#enter('retrying', code ?? reason);
      }
      await this.#pause(signal);
    }
  }

  /** Waits before a refused piece is sent again, each time longer. */
  async hold({ topic, records }: Piece, { code }: Refusal, signal: AbortSignal): Promise<void> {
    const suppressed = this.#refusalLog.pass();
    if (suppressed !== undefined) {
      const fields = { code, topic, records: records.length, bytes: records.bytes, suppressed };
      this.#log.error(fields, 'the broker refuses records for their content; they are held and tried again');
    }
    this.#enter('retrying', code);
    await this.#pause(signal);
  }

  /** Nothing is to be sent at the moment. */
  rest(): void {
    this.#pauses = 0;
    this.#enter('idle');
  }

  /** Ends the pause between two attempts. */
  retryNow(): void {
    this.#hurry.abort();
  }

  /** Ends the producer when nothing is outstanding. */
  async close(): Promise<void> {
    await this.#producer?.close();
    this.#producer = undefined;
    this.rest();
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { backoffBaseMillis, backoffCapMillis } = this.#settings;
    const millis = backoffMillis(this.#pauses, backoffBaseMillis, backoffCapMillis, this.#random());
    this.#pauses += 1;
    const either = stopOf(this.#hurry.signal, signal);
    await this.#clock.sleep(millis, either.signal);
    either.release();
    if (!this.#hurry.signal.aborted) return;
    this.#hurry = new AbortController();
    this.#pauses = 0;
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

  #acknowledge({ topic, records }: Piece): void {
    this.#acknowledgedRecords += records.length;
    this.#acknowledgedBytes += records.bytes;
    if (this.#state.state === 'retrying') {
      const outageMillis = this.#clock.nowMillis() - this.#state.since;
      this.#log.info({ topic, attempts: this.#pauses + 1, outageMillis }, 'the broker acknowledges again');
      this.#retryLog.reset();
      this.#refusalLog.reset();
    }
    this.rest();
  }

  #tellFailure({ topic }: Piece, code: string | undefined, reason: string): void {
    const suppressed = this.#retryLog.pass();
    if (suppressed === undefined) return;
    const fields = { topic, code, reason, brokers: this.#options.client.brokers, suppressed };
    this.#log.warn(fields, 'not acknowledged; retrying while the kernel buffers');
  }

  #enter(state: DeliveryStateName, reason?: string): void {
    if (state === this.#state.state && reason === this.#state.reason) return;
    // Another reason for the same trouble is not the beginning of it.
    const since = state === this.#state.state ? this.#state.since : this.#clock.nowMillis();
    this.#state = reason === undefined ? { state, since } : { state, since, reason };
    this.#options.onStateChange?.(this.#state);
  }
}

/** An answer counts only when it names exactly what was sent; a partition that the cluster has not gives an empty one. */
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
