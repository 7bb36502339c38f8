import { type Clock, systemClock } from '../clock.ts';
import type { KafkaClient, PartitionOffsets } from './kafka-client.ts';
import type { ReadRecord } from './reader.ts';

/** What some topics held at one moment. */
export interface Snapshot {
  readonly clusterId: string;
  /**
   * Of each topic, in the order in which they were asked for: one before another was never ahead of it. Optional ones
   * that do not exist are left out.
   */
  readonly offsets: ReadonlyMap<string, readonly PartitionOffsets[]>;
  /** Every record up to those offsets, in the order of each partition; ends by itself. */
  readonly records: AsyncIterable<ReadRecord>;
  /** Of one topic now: what was deleted while it was read shows in `low`. */
  offsetsNow(topic: string): Promise<readonly PartitionOffsets[]>;
}

export interface SnapshotOptions {
  /** Full names. */
  readonly topics: readonly string[];
  /** Those that need not exist; they are asked for last. */
  readonly optional?: readonly string[];
  /** Only from the first record of this time or later, milliseconds since 1970; `low` of the offsets is its. */
  readonly since?: number | undefined;
  /** Ends the records early. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** How long nothing may come before the rest of the offsets is taken for empty, milliseconds. */
  readonly quietMillis?: number;
}

/**
 * Reads topics as they are now and ends at their present end.
 *
 * The offset before the end need not be a record (the marker of a transaction, a compacted gap), so an end that is
 * not reached counts as reached when the broker answers and has sent nothing for a while.
 * @throws Bpf2KafkaError ERR_BROKER, ERR_TOPIC
 */
export async function readSnapshot(client: KafkaClient, options: SnapshotOptions): Promise<Snapshot> {
  const { topics, optional = [], since } = options;
  await using admin = await client.connectAdmin();
  const clusterId = await admin.clusterId();
  const offsets = new Map<string, readonly PartitionOffsets[]>();
  for (const topic of topics) {
    // A topic that is missing is told by the reader, in words; its offsets would be an error of the protocol.
    const there = await admin.describeTopic(topic);
    offsets.set(topic, there === undefined ? [] : await admin.topicOffsets(topic, since));
  }
  for (const topic of optional) {
    const there = await admin.describeTopic(topic);
    if (there !== undefined) offsets.set(topic, await admin.topicOffsets(topic, since));
  }
  return {
    clusterId,
    offsets,
    records: readUpTo(client, offsets, options),
    offsetsNow: async (topic) => {
      await using again = await client.connectAdmin();
      // Awaited here: the admin must not be closed before it has answered.
      return await again.topicOffsets(topic);
    },
  };
}

async function* readUpTo(
  client: KafkaClient,
  offsets: ReadonlyMap<string, readonly PartitionOffsets[]>,
  { since, signal, clock = systemClock, quietMillis = 15_000 }: SnapshotOptions,
): AsyncGenerator<ReadRecord, void> {
  /** First offset that is not read, of the partitions that have something to read. */
  const ends = new Map<string, Map<number, bigint>>();
  let open = 0;
  for (const [topic, partitions] of offsets) {
    const filled = partitions.filter(({ low, high }) => low < high);
    ends.set(topic, new Map(filled.map(({ partition, high }) => [partition, high])));
    open += filled.length;
  }
  const missing = [...offsets].some(([, partitions]) => partitions.length === 0);
  if (open === 0 && !missing) return;

  const stop = new AbortController();
  await using reader = await client.read({
    topics: [...offsets.keys()],
    fromBeginning: since === undefined,
    since,
    signal: signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]),
  });
  let heard = clock.nowMillis();
  const watch = setInterval(() => {
    if (clock.nowMillis() - heard < quietMillis) return;
    heard = clock.nowMillis();
    // Silent because there is nothing more, or because the broker is away: then go on waiting for it.
    client.connectAdmin().then(
      async (admin) => {
        await admin.close();
        stop.abort();
      },
      () => {},
    );
  }, 500);
  try {
    for await (const record of reader) {
      heard = clock.nowMillis();
      const topicEnds = ends.get(record.topic);
      const end = topicEnds?.get(record.partition);
      if (end === undefined) continue;
      if (record.offset < end) yield record;
      if (record.offset + 1n < end) continue;
      topicEnds?.delete(record.partition);
      open -= 1;
      if (open === 0) return;
    }
  } finally {
    clearInterval(watch);
  }
}
