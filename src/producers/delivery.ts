import type { Acknowledgement, OutgoingBatch } from '../batch.ts';
import type { Clock } from '../clock.ts';
import { Bpf2KafkaError } from '../errors.ts';
import type { KafkaClient } from '../kafka/kafka-client.ts';
import { LogLimit } from '../kafka/log-limit.ts';
import type { Log } from '../log.ts';
import { MemoryPool } from '../records/memory-pool.ts';
import type { PackedRecords } from '../records/packed-records.ts';
import { Bisection } from './bisection.ts';
import { type Chunk, chunksOf } from './chunks.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { Destination } from './destinations.ts';
import { withTimestamps } from './record-timestamp.ts';
import {
  type DeliveryState,
  type Piece,
  type Refusal,
  Sender,
  type SenderFigures,
  type SenderSettings,
} from './sender.ts';
import { aborted } from './stop-signal.ts';
import { Turns } from './turns.ts';

export interface DeliverySettings extends SenderSettings {
  /** What one send carries at most; a topic with a smaller `maxBatchBytes` lowers the second. */
  readonly maxRecords: number;
  readonly maxBytes: number;
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

/** Counted since the start. */
export interface DeliveryFigures extends SenderFigures {
  /** Records that were refused and are in the dead letter. */
  readonly deadLetters: number;
}

export type DeliveryDestination = Pick<Destination, 'topic' | 'partition' | 'retentionMillis' | 'maxBatchBytes'>;

export interface DeliveryOptions {
  readonly client: Pick<KafkaClient, 'brokers' | 'createProducer'>;
  /** By topic name without prefix. */
  readonly destinations: ReadonlyMap<string, DeliveryDestination>;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings?: Partial<DeliverySettings>;
  /** Where a record goes that the broker refuses for its content; without it such a record is held. */
  readonly deadLetters?: DeadLetters;
  readonly onStateChange?: (state: DeliveryState) => void;
  /** In [0, 1), for the jitter. */
  readonly random?: () => number;
}

/** Hears of each batch that the broker has acknowledged, and how long that took from the first attempt. */
export type BatchObserver = (delivered: DeliveredBatch) => void;

export interface DeliveredBatch {
  readonly batch: OutgoingBatch;
  /** Full name. */
  readonly topic: string;
  readonly seconds: number;
}

/** With which a broker can refuse a record for what it is; another limit may be too small for any. */
const deadLetterCodes = new Set(['MESSAGE_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP']);

/**
 * A batch to an acknowledgement. Broker trouble is waited out, for ever, while the kernel buffers: the caller still holds
 * the batch and commits it when `accept` resolves. A record that the broker refuses for its content is searched for and
 * goes to the dead letter; a topic that refuses everything is broker trouble.
 */
export class Delivery implements AsyncDisposable {
  readonly #options: DeliveryOptions;
  readonly #settings: DeliverySettings;
  readonly #sender: Sender;
  readonly #turns = new Turns();
  readonly #closing = new AbortController();
  readonly #stops = new WeakMap<AbortSignal, AbortSignal>();
  readonly #deadLetterLog: LogLimit;
  /** By topic, the newest record that was accepted: a broker that takes it once more takes records. */
  readonly #witnesses = new Map<string, { readonly records: PackedRecords; readonly release: () => void }>();
  readonly #pool = new MemoryPool();
  /** By topic, the newest batch that was announced. */
  readonly #announced = new Map<string, OutgoingBatch>();
  /** How many records of a batch were sent ahead of their turn. */
  readonly #sentAhead = new WeakMap<OutgoingBatch, number>();
  #deadLetters = 0;
  #observer: BatchObserver = () => {};
  #closed: Promise<void> | undefined;

  constructor(options: DeliveryOptions) {
    const { client, clock, log, onStateChange, random } = options;
    this.#options = options;
    this.#settings = { ...defaultSettings, ...options.settings };
    this.#sender = new Sender({ client, clock, log, settings: this.#settings, onStateChange, random });
    this.#deadLetterLog = new LogLimit(clock);
  }

  get state(): DeliveryState {
    return this.#sender.state;
  }

  get figures(): DeliveryFigures {
    return { ...this.#sender.figures, deadLetters: this.#deadLetters };
  }

  /** From now on; one at a time. */
  observe(observer: BatchObserver): void {
    this.#observer = observer;
  }

  /**
   * Resolves when the broker has acknowledged every record, in its topic or as a dead letter. Calls are served in their
   * order, one at a time. Records may be written more than once, in order within each attempt; consumers know repeats by
   * their identity.
   *
   * @throws Bpf2KafkaError ERR_UNDELIVERED when the signal aborts or `close` is called: some of the records may be
   * written, so the caller must not commit. Never for broker trouble.
   */
  async accept(batch: OutgoingBatch, signal?: AbortSignal): Promise<Acknowledgement> {
    const destination = this.#options.destinations.get(batch.topic);
    if (destination === undefined) throw new TypeError(`the topic ${batch.topic} was not prepared`);
    if (batch.records.length === 0) throw new TypeError('a batch has at least one record');
    const stop = this.#stopBy(signal);
    const turn = this.#turns.take();
    try {
      await aborted(turn, stop);
      const began = this.#options.clock.elapsedMillis();
      const acknowledgement = await this.#deliverAll(batch, destination, stop);
      this.#forget(batch);
      const seconds = (this.#options.clock.elapsedMillis() - began) / 1_000;
      this.#observer({ batch, topic: destination.topic, seconds });
      return acknowledgement;
    } catch (error) {
      if (stop.aborted) throw this.#undelivered(destination.topic, error);
      throw error;
    } finally {
      void turn.then((release) => release());
    }
  }

  /**
   * Tells of a batch that `accept` will be called with, while one before it may be on its way: when the first record of a
   * process is refused, one of these shows whether the topic takes any.
   */
  announce(batch: OutgoingBatch): void {
    this.#announced.set(batch.topic, batch);
  }

  /**
   * Takes back what `announce` said: from now on nothing of the batch is sent.
   * @returns whether something was, so that the topic may have it
   */
  withdraw(batch: OutgoingBatch): boolean {
    this.#forget(batch);
    return this.#sentAhead.has(batch);
  }

  #forget(batch: OutgoingBatch): void {
    if (this.#announced.get(batch.topic) === batch) this.#announced.delete(batch.topic);
  }

  /** Ends the pause between two attempts: for a caller whose time is short, when the broker may be back. */
  retryNow(): void {
    this.#sender.retryNow();
  }

  /** Ends an outstanding `accept` as an abort would, and the producer; may be called twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Aborts when the signal does, or when this is closed; made once for the signal that every batch comes with. */
  #stopBy(signal: AbortSignal | undefined): AbortSignal {
    if (signal === undefined) return this.#closing.signal;
    let stop = this.#stops.get(signal);
    if (stop === undefined) {
      stop = AbortSignal.any([this.#closing.signal, signal]);
      this.#stops.set(signal, stop);
    }
    return stop;
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    const release = await this.#turns.take();
    await this.#sender.close();
    release();
  }

  async #deliverAll(
    batch: OutgoingBatch,
    destination: DeliveryDestination,
    signal: AbortSignal,
  ): Promise<Acknowledgement> {
    const { topic, partition, maxBatchBytes } = destination;
    const { maxRecords, maxBytes } = this.#settings;
    const limits = { maxRecords, maxBytes: Math.min(maxBytes, maxBatchBytes) };
    const left = new Bisection(chunksOf(batch.records, limits));
    let firstOffset = -1;
    let lastOffset = -1;
    for (let chunk = left.next(); chunk !== undefined; chunk = left.next()) {
      const piece = this.#pieceOf(chunk.records, destination);
      const answer = await this.#sender.send(piece, signal);
      if ('refusal' in answer) {
        await this.#refused(chunk, piece, answer.refusal, { batch, destination, left, signal });
        continue;
      }
      left.accepted();
      this.#keepWitness(batch.topic, chunk.records.slice(chunk.records.length - 1));
      if (firstOffset < 0) firstOffset = answer.offset;
      lastOffset = answer.offset + chunk.records.length - 1;
    }
    this.#sender.rest();
    return { topic, partition, firstOffset, lastOffset, records: batch.records.length };
  }

  async #refused(
    chunk: Chunk,
    piece: Piece,
    refusal: Refusal,
    {
      batch,
      destination,
      left,
      signal,
    }: {
      readonly batch: OutgoingBatch;
      readonly destination: DeliveryDestination;
      readonly left: Bisection;
      readonly signal: AbortSignal;
    },
  ): Promise<void> {
    if (chunk.records.length > 1) return left.split(chunk);
    const { smaller } = batch;
    if (smaller !== undefined && chunk.records !== smaller && refusal.code === 'MESSAGE_TOO_LARGE')
      return left.replace({ records: smaller, start: chunk.start });
    const deadLetters = deadLetterCodes.has(refusal.code) ? this.#options.deadLetters : undefined;
    if (deadLetters !== undefined && left.isAtFault(chunk)) {
      await deadLetters.take({ topic: destination.topic, record: chunk.records.at(0), refusal }, signal);
      this.#tellDeadLetter(piece, refusal);
      return;
    }
    left.defer(chunk);
    // The next one may be accepted; a second refusal in a row makes it a question whether the topic takes any record.
    if (left.refusedInARow === 1 && !left.exhausted) return;
    if (deadLetters !== undefined && (await this.#takesWitness(batch, destination, signal))) left.accepted();
    else await this.#sender.hold(piece, refusal, signal);
  }

  /**
   * Whether the topic takes another record than those of this batch: one that it has taken before, or one whose turn is
   * still to come. Either is a repeat in the end, which consumers know by its identity.
   */
  async #takesWitness(batch: OutgoingBatch, destination: DeliveryDestination, signal: AbortSignal): Promise<boolean> {
    const witness = this.#witnesses.get(batch.topic)?.records ?? this.#nextAnnounced(batch);
    if (witness === undefined) return false;
    const answer = await this.#sender.send(this.#pieceOf(witness, destination), signal);
    if (!('offset' in answer)) return false;
    this.#keepWitness(batch.topic, witness);
    return true;
  }

  /** A copy: the memory of the batch is used again when that is acknowledged. */
  #keepWitness(topic: string, record: PackedRecords): void {
    const previous = this.#witnesses.get(topic);
    this.#witnesses.set(topic, record.clone(this.#pool));
    previous?.release();
  }

  /** Of the batch behind this one, each time another record: the one that was tried may be refused for itself. */
  #nextAnnounced(present: OutgoingBatch): PackedRecords | undefined {
    const announced = this.#announced.get(present.topic);
    if (announced === undefined || announced === present) return undefined;
    const sent = this.#sentAhead.get(announced) ?? 0;
    this.#sentAhead.set(announced, sent + 1);
    const index = sent % announced.records.length;
    return announced.records.slice(index, index + 1);
  }

  /** The records as they are sent, the same for all attempts. */
  #pieceOf(records: PackedRecords, { topic, partition, retentionMillis }: DeliveryDestination): Piece {
    return { topic, partition, records: withTimestamps(records, this.#options.clock.nowMillis(), retentionMillis) };
  }

  #tellDeadLetter({ topic, records }: Piece, { code, reason }: Refusal): void {
    this.#deadLetters += 1;
    const suppressed = this.#deadLetterLog.pass();
    if (suppressed === undefined) return;
    this.#options.log.error(
      { topic, code, reason, bytes: records.bytes, suppressed },
      'a record that the broker refuses for its content went to the dead letter',
    );
  }

  #undelivered(topic: string, cause: unknown): Bpf2KafkaError {
    const { state, reason } = this.#sender.state;
    this.#sender.rest();
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
