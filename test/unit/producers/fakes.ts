import { setImmediate as nextTurn } from 'node:timers/promises';
import type { OutgoingBatch } from '../../../src/batch.ts';
import { type Clock, sleepBy } from '../../../src/clock.ts';
import type { PartitionProducer, PartitionSend, ProduceAnswer } from '../../../src/kafka/kafka-client.ts';
import type { Log } from '../../../src/log.ts';
import type { DeliveryDestination } from '../../../src/producers/delivery.ts';
import type { OutgoingRecord, PackedRecords } from '../../../src/records/packed-records.ts';
import { packRecords } from '../../../src/records/record-packer.ts';

/** Time that passes only when a test says so. */
export class FakeClock implements Clock {
  /** Wall time; a test may set it, without time having passed. */
  now = 1_764_000_000_000;
  #elapsed = 0;
  readonly #sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();

  nowMillis(): number {
    return this.now;
  }

  elapsedMillis(): number {
    return this.#elapsed;
  }

  /** Lengths of the waits that are not over, in milliseconds from now, shortest first. */
  get waits(): readonly number[] {
    return [...this.#sleepers].map(({ at }) => at - this.#elapsed).sort((a, b) => a - b);
  }

  after(millis: number, callback: () => void): () => void {
    if (!(millis >= 0)) throw new RangeError(`a wait of ${millis} ms`); // of which Node.js warns on the terminal
    const sleeper = {
      at: this.#elapsed + millis,
      wake: () => {
        this.#sleepers.delete(sleeper);
        callback();
      },
    };
    this.#sleepers.add(sleeper);
    return () => void this.#sleepers.delete(sleeper);
  }

  sleep(millis: number, signal?: AbortSignal): Promise<void> {
    return sleepBy((wait, done) => this.after(wait, done), millis, signal);
  }

  /** Lets the time pass, waking each sleeper at its moment. */
  async advance(millis: number): Promise<void> {
    const end = this.#elapsed + millis;
    await settle();
    for (;;) {
      const next = [...this.#sleepers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#pass(Math.max(this.#elapsed, next.at));
      next.wake();
      await settle();
    }
    this.#pass(end);
  }

  #pass(elapsed: number): void {
    this.now += elapsed - this.#elapsed;
    this.#elapsed = elapsed;
  }
}

/** Pauses of no length take no time; with `random: () => 0` all are. No time-out passes. */
export class HastyClock extends FakeClock {
  override sleep(millis: number, signal?: AbortSignal): Promise<void> {
    return millis === 0 ? nextTurn() : super.sleep(millis, signal);
  }
}

/** Until everything that needs no time has happened. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export function fakeLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: LogLine['level']) => (fields: unknown, message?: unknown) => {
    if (typeof fields === 'string') lines.push({ level, fields: {}, message: fields });
    else lines.push({ level, fields: fields as Record<string, unknown>, message: String(message) });
  };
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  return { log: log as unknown as Log, lines };
}

/** What the fake broker does with one send. */
export type Reply = (send: PartitionSend) => ProduceAnswer | Promise<ProduceAnswer>;

export const acknowledge =
  (baseOffset = 0, throttleMillis = 0): Reply =>
  ({ topic, partition }) => ({ partitions: [{ topic, partition, errorCode: 0, baseOffset }], throttleMillis });

export const fail =
  (message: string, type?: string): Reply =>
  () => {
    throw Object.assign(new Error(message), type === undefined ? {} : { type });
  };

export const after =
  (clock: Clock, millis: number, reply: Reply): Reply =>
  async (send) => {
    await clock.sleep(millis);
    return reply(send);
  };

/** Never answers. */
export const silence: Reply = () => new Promise(() => {});

/** Makes producers that answer from one list of replies, and remembers who was asked what. */
export class FakeClient {
  readonly brokers = ['broker:9092'];
  readonly producers: FakeProducer[] = [];
  readonly sends: { readonly producer: number; readonly send: PartitionSend }[] = [];
  /** Used up from the front. */
  replies: Reply[] = [];
  /** When they are used up. */
  reply: Reply = acknowledge();

  createProducer(): PartitionProducer {
    const producer = new FakeProducer(this, this.producers.length);
    this.producers.push(producer);
    return producer;
  }
}

class FakeProducer implements PartitionProducer {
  readonly #client: FakeClient;
  readonly #number: number;
  ended: 'discarded' | 'closed' | undefined;
  outstanding = 0;

  constructor(client: FakeClient, number: number) {
    this.#client = client;
    this.#number = number;
  }

  async connect(): Promise<void> {}

  async send(send: PartitionSend): Promise<ProduceAnswer> {
    if (this.ended !== undefined) throw new Error(`sent with a producer that was ${this.ended}`);
    if (this.outstanding > 0) throw new Error('two sends at once');
    this.outstanding += 1;
    this.#client.sends.push({ producer: this.#number, send });
    const reply = this.#client.replies.shift() ?? this.#client.reply;
    try {
      return await reply(send);
    } finally {
      this.outstanding -= 1;
    }
  }

  async discard(): Promise<void> {
    this.ended = 'discarded';
  }

  async close(): Promise<void> {
    this.ended = 'closed';
  }
}

export const destination: DeliveryDestination = {
  topic: 'test.exec-events',
  partition: 3,
  retentionMillis: Number.POSITIVE_INFINITY,
  maxBatchBytes: 512 * 1024,
};

/** The key of the records. */
export const hostId = 'host-1';

export function recordOf(value: Buffer | string, beside: Partial<OutgoingRecord> = {}): OutgoingRecord {
  return { key: hostId, value: Buffer.from(value), timestamp: 0, headers: {}, ...beside };
}

export function batchOf(...values: readonly string[]): OutgoingBatch {
  const records = values.map((value, index) =>
    recordOf(value, {
      timestamp: 1_764_000_000_000 - 1_000 + index,
      headers: { boot_id: 'b', seq: String(index) },
    }),
  );
  return { topic: 'exec-events', records: packRecords(records) };
}

export const textsOf = (records: PackedRecords) => Array.from(records, ({ value }) => value.toString());
