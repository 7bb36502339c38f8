import type { Clock } from '../clock.ts';
import type { Bpf2KafkaError } from '../errors.ts';
import { settlesWithin } from './deadline.ts';
import { type BatchPayload, type GroupConsumer, type ReadRecord, readRecord } from './reader.ts';

/** Records of one partition, in order, that the group has not committed. */
export interface RecordBatch {
  readonly records: readonly ReadRecord[];
  /**
   * Tells the group that the first `count` records (all of them) are done with, so that nobody gets them again. Resolves
   * also when that is refused, because the partition has gone to another member or the broker is away: the records then
   * come again. Call it once, before the next batch is asked for.
   */
  commit(count?: number): Promise<void>;
}

/** What the reader needs of a member of a group. */
export interface GroupMember extends Pick<GroupConsumer, 'connect' | 'subscribe' | 'run' | 'onEnd' | 'close'> {
  /** @param position its offset is that of the next record to read */
  commit(position: { topic: string; partition: number; offset: string }): Promise<void>;
}

interface GroupReaderOptions {
  readonly member: GroupMember;
  readonly topic: string;
  readonly fail: (error: unknown) => Bpf2KafkaError;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const heartbeatMillis = 3_000;
const batchRecords = 500;

/**
 * The records of a topic as a member of a consumer group, in batches that are committed when whoever reads has done with
 * them: at least once. The counterpart of `Source` for what stands in Kafka.
 *
 * Ends behind the batch at hand when the signal aborts. @throws Bpf2KafkaError ERR_BROKER while iterating
 */
export class GroupReader implements AsyncIterable<RecordBatch>, AsyncDisposable {
  readonly #options: GroupReaderOptions;
  /** What the consumer offers and waits for; one at a time. */
  #offered: RecordBatch | undefined;
  #wake: () => void = () => {};
  /** Lets the consumer go on without a commit. */
  #release: () => void = () => {};
  #ended = false;
  #closing: Promise<void> | undefined;
  #failure: Bpf2KafkaError | undefined;

  /** Resolves when the member runs; it joins meanwhile. */
  static async open(options: GroupReaderOptions): Promise<GroupReader> {
    const reader = new GroupReader(options);
    const { member, topic, fail } = options;
    try {
      member.onEnd((error) => {
        reader.#failure = fail(error);
        reader.#wake();
      });
      await member.connect();
      await member.subscribe([topic]);
      await member.run((payload) => reader.#take(payload));
    } catch (error) {
      await reader.close();
      throw fail(error);
    }
    return reader;
  }

  private constructor(options: GroupReaderOptions) {
    this.#options = options;
    const { signal } = options;
    signal.addEventListener('abort', this.#end, { once: true });
    if (signal.aborted) this.#end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RecordBatch, void, void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return;
      const batch = this.#offered;
      this.#offered = undefined;
      if (batch !== undefined) {
        yield batch;
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
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

  readonly #end = (): void => {
    this.#ended = true;
    this.#wake();
  };

  async #close(): Promise<void> {
    this.#options.signal.removeEventListener('abort', this.#end);
    this.#end();
    this.#release();
    await this.#options.member.close();
  }

  async #take({ batch, heartbeat, resolveOffset, isRunning, isStale }: BatchPayload): Promise<void> {
    for (let start = 0; start < batch.messages.length; start += batchRecords) {
      const records = batch.messages
        .slice(start, start + batchRecords)
        .map((message) => readRecord(batch.topic, batch.partition, message));
      if (this.#ended || !isRunning() || isStale()) return;
      if (!(await this.#offer(records, heartbeat, resolveOffset))) return;
    }
  }

  /** False when it was not committed; rejects with why that was refused, for the consumer to act upon. */
  async #offer(
    records: readonly ReadRecord[],
    heartbeat: () => Promise<void>,
    resolveOffset: (offset: string) => void,
  ): Promise<boolean> {
    const committed = Promise.withResolvers<boolean>();
    this.#release = () => committed.resolve(false);
    this.#offered = {
      records,
      commit: async (count = records.length) => {
        const last = records[count - 1];
        if (last === undefined) return committed.resolve(false);
        const { topic, partition, offset } = last;
        try {
          await this.#options.member.commit({ topic, partition, offset: String(offset + 1n) });
          resolveOffset(String(offset));
          committed.resolve(true);
        } catch (error) {
          committed.reject(error);
        }
      },
    };
    this.#wake();
    while (!(await settlesWithin(committed.promise, heartbeatMillis, this.#options.clock))) {
      // A rebalance: what is being written cannot be taken back, so that the batch is finished first.
      await heartbeat().catch(() => {});
    }
    return committed.promise;
  }
}
