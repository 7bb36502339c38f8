import type { Bpf2KafkaError } from '../errors.ts';

/** One record as a topic has it. */
export interface ReadRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  /** Null when the record has none. */
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
}

/** What the reader needs of a consumer in a group of its own. */
export interface GroupConsumer {
  connect(): Promise<void>;
  subscribe(topics: readonly string[]): Promise<void>;
  run(eachBatch: (payload: BatchPayload) => Promise<void>): Promise<void>;
  seek(position: { topic: string; partition: number; offset: string }): void;
  /** Called each time partitions are assigned, before the first fetch. */
  onJoin(listener: () => void): void;
  /** Called when the consumer ended and does not start again by itself. */
  onEnd(listener: (error: Error) => void): void;
  close(): Promise<void>;
}

export interface BatchPayload {
  readonly batch: {
    readonly topic: string;
    readonly partition: number;
    readonly messages: readonly {
      readonly offset: string;
      readonly timestamp: string;
      readonly key: Buffer | null;
      readonly value: Buffer | null;
      readonly headers?: Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>>;
    }[];
  };
  heartbeat(): Promise<void>;
  resolveOffset(offset: string): void;
  isRunning(): boolean;
  isStale(): boolean;
}

interface TopicReaderOptions {
  readonly consumer: GroupConsumer;
  /** The first offset to read, by partition, of each topic. */
  readonly start: ReadonlyMap<string, readonly bigint[]>;
  readonly fail: (error: unknown) => Bpf2KafkaError;
  readonly signal?: AbortSignal;
}

const heartbeatMillis = 3_000;
/** Records that may wait for the iterator: a slow one holds the fetch back. */
const queueLimit = 500;

/**
 * The records of some topics, in the order of each partition, as an async iterable. Nothing is committed: the position
 * is kept here and set again after every rebalance and restart of the consumer, which without committed offsets would
 * begin anew or skip what was written meanwhile.
 *
 * Ends when it is closed or the signal aborts. @throws Bpf2KafkaError ERR_BROKER while iterating
 */
export class TopicReader implements AsyncIterable<ReadRecord>, AsyncDisposable {
  readonly #consumer: GroupConsumer;
  readonly #next: ReadonlyMap<string, bigint[]>;
  readonly #queue: ReadRecord[] = [];
  readonly #signal: AbortSignal | undefined;
  /** Wakes the side that waits: the iterator for a record, or the consumer for room. */
  #wakeIterator: () => void = () => {};
  #wakeConsumer: () => void = () => {};
  #closed = false;
  #closing: Promise<void> | undefined;
  #failure: Bpf2KafkaError | undefined;

  /** Resolves when the consumer runs. */
  static async open(options: TopicReaderOptions): Promise<TopicReader> {
    const reader = new TopicReader(options);
    await reader.#run(options);
    return reader;
  }

  private constructor({ consumer, start, signal }: TopicReaderOptions) {
    this.#consumer = consumer;
    this.#signal = signal;
    this.#next = new Map([...start].map(([topic, offsets]) => [topic, [...offsets]]));
  }

  async #run({ consumer, fail }: TopicReaderOptions): Promise<void> {
    try {
      consumer.onJoin(() => this.#seek());
      consumer.onEnd((error) => {
        this.#failure = fail(error);
        this.#wakeIterator();
      });
      await consumer.connect();
      await consumer.subscribe([...this.#next.keys()]);
      await consumer.run((payload) => this.#take(payload));
    } catch (error) {
      await this.close();
      throw fail(error);
    }
    this.#signal?.addEventListener('abort', this.#abort, { once: true });
    if (this.#signal?.aborted) this.#abort();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ReadRecord, void, void> {
    for (;;) {
      const record = this.#queue.shift();
      if (record !== undefined) {
        this.#wakeConsumer();
        yield record;
        continue;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closed) return;
      await new Promise<void>((resolve) => {
        this.#wakeIterator = resolve;
      });
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  readonly #abort = (): void => void this.close();

  async #close(): Promise<void> {
    this.#closed = true;
    this.#queue.length = 0;
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#wakeIterator();
    this.#wakeConsumer();
    await this.#consumer.close();
  }

  #seek(): void {
    for (const [topic, offsets] of this.#next) {
      for (const [partition, offset] of offsets.entries()) {
        this.#consumer.seek({ topic, partition, offset: String(offset) });
      }
    }
  }

  async #take({ batch, heartbeat, resolveOffset, isRunning, isStale }: BatchPayload): Promise<void> {
    const next = this.#next.get(batch.topic);
    if (next === undefined) return;
    for (const message of batch.messages) {
      if (this.#closed || !isRunning() || isStale()) return;
      const offset = BigInt(message.offset);
      // Partitions that were added later start at their first record.
      if (offset < (next[batch.partition] ?? 0n)) continue;
      while (this.#queue.length >= queueLimit && !this.#closed) {
        await this.#room();
        await heartbeat();
      }
      this.#queue.push(readRecord(batch.topic, batch.partition, message));
      next[batch.partition] = offset + 1n;
      resolveOffset(message.offset);
      this.#wakeIterator();
    }
    await heartbeat();
  }

  /** Until the iterator took the record, or it is time for a heartbeat. */
  async #room(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, heartbeatMillis);
      this.#wakeConsumer = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

type Message = BatchPayload['batch']['messages'][number];

export function readRecord(topic: string, partition: number, message: Message): ReadRecord {
  return {
    topic,
    partition,
    offset: BigInt(message.offset),
    key: message.key,
    value: message.value,
    headers: textHeaders(message.headers ?? {}),
    timestamp: Number(message.timestamp),
  };
}

function textHeaders(headers: NonNullable<Message['headers']>): Record<string, string> {
  const text: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const last = Array.isArray(value) ? value.at(-1) : value;
    if (last !== undefined) text[name] = String(last);
  }
  return text;
}
