import type { Clock } from '../clock.ts';
import type { KafkaClient } from '../kafka/kafka-client.ts';
import { prepareTarget } from '../kafka/topics.ts';
import type { Log } from '../log.ts';
import type { DeadLetters } from '../producers/dead-letters.ts';
import { Delivery } from '../producers/delivery.ts';
import { partitionFor } from '../producers/partitioner.ts';
import type { OutgoingRecord } from '../records/packed-records.ts';
import { packRecords } from '../records/record-packer.ts';

export interface TargetTopicOptions {
  readonly client: KafkaClient;
  /** Full name. */
  readonly topic: string;
  readonly deadLetters?: DeadLetters | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the look at the topic. */
  readonly signal: AbortSignal;
}

/** A topic of a user's that records of many hosts are written to. */
export class TargetTopic implements AsyncDisposable {
  readonly #delivery: Delivery;
  readonly #partitions: number;

  private constructor(delivery: Delivery, partitions: number) {
    this.#delivery = delivery;
    this.#partitions = partitions;
  }

  /** @throws Bpf2KafkaError ERR_TOPIC: missing, or compacted; ERR_BROKER */
  static async open({ client, topic, deadLetters, clock, log, signal }: TargetTopicOptions): Promise<TargetTopic> {
    await using admin = await client.connectAdmin({ signal });
    const facts = await prepareTarget(admin, { topic, log, clock });
    // One producer for all hosts, and one partition a send: each partition is a destination of its own.
    const partitions = Array.from({ length: facts.partitions }, (_, partition) => ({ ...facts, partition }));
    const destinations = new Map(partitions.map((each) => [String(each.partition), each]));
    const letters = deadLetters === undefined ? {} : { deadLetters };
    const delivery = new Delivery({ client, destinations, clock, log, ...letters });
    return new TargetTopic(delivery, facts.partitions);
  }

  /**
   * Resolves when the broker has acknowledged every record, here or as a dead letter.
   * @throws Bpf2KafkaError ERR_UNDELIVERED when the signal aborts
   */
  async write(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<void> {
    for (const [topic, group] of Map.groupBy(records, (record) => this.#placeOf(record)))
      await this.#delivery.accept({ topic, records: packRecords(group) }, signal);
  }

  /** The same for one record. @param smaller written instead when the broker refuses it for its size */
  async writeOne(record: OutgoingRecord, smaller: OutgoingRecord, signal: AbortSignal): Promise<void> {
    const batch = { topic: this.#placeOf(record), records: packRecords([record]), smaller: packRecords([smaller]) };
    await this.#delivery.accept(batch, signal);
  }

  #placeOf({ key }: OutgoingRecord): string {
    return String(partitionFor(key, this.#partitions));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#delivery.close();
  }
}
