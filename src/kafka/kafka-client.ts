import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { PackedRecords } from '../records/packed-records.ts';
import type { BrokerSecurity } from '../security.ts';
import type { Compression } from './compression.ts';
import type { GroupReader } from './group-reader.ts';
import type { TopicReader } from './reader.ts';

/**
 * The seam to Kafka: what bpf2kafka needs of a client, in its own types. kafkajs is known behind it only.
 */
export interface KafkaClient {
  /** `host:port`, the bootstrap names. */
  readonly brokers: readonly string[];
  /**
   * Connects, trying again until the deadline, and answers with an admin that must be closed.
   * @throws Bpf2KafkaError ERR_BROKER after `deadlineMillis` (default 10 s), at once for refused credentials
   */
  connectAdmin(options?: { deadlineMillis?: number; signal?: AbortSignal }): Promise<KafkaAdmin>;
  /**
   * A producer that is not connected yet. Each has its own sockets, its own metadata, read from the bootstrap names, so
   * that brokers that have all moved are found, and its own producer id.
   */
  createProducer(): PartitionProducer;
  /**
   * Reads topics from here on, or from their beginning; for `tail`.
   * @throws Bpf2KafkaError ERR_BROKER, ERR_TOPIC
   */
  read(options: ReadOptions): Promise<TopicReader>;
  /**
   * Reads a topic as a member of a consumer group. A group that has committed nothing begins with the oldest record:
   * with the newest it would lose those that come before its first commit, when it dies before.
   * @throws Bpf2KafkaError ERR_BROKER, ERR_TOPIC
   */
  readGroup(options: ReadGroupOptions): Promise<GroupReader>;
}

export interface KafkaClientOptions {
  /** `host:port`, at least one. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** Default: plain text, and nobody is asked who it is. */
  readonly security?: BrokerSecurity;
  readonly log: Log;
  readonly clock?: Clock;
}

export interface KafkaAdmin extends AsyncDisposable {
  clusterId(): Promise<string>;
  brokerCount(): Promise<number>;
  /** Undefined when the topic does not exist. @throws Bpf2KafkaError ERR_TOPIC when it may not be seen */
  describeTopic(topic: string): Promise<TopicDescription | undefined>;
  /** Settings of a topic, defaults included; undefined when DESCRIBE_CONFIGS is refused. */
  topicSettings(topic: string): Promise<ReadonlyMap<string, string> | undefined>;
  /** False when it exists already. @throws Bpf2KafkaError ERR_TOPIC */
  createTopic(topic: NewTopic): Promise<boolean>;
  /**
   * Offset of the first record and of the next one to be written, a partition each.
   * @param since milliseconds since 1970: the first record of this time or later
   */
  topicOffsets(topic: string, since?: number): Promise<readonly PartitionOffsets[]>;
  deleteGroup(groupId: string): Promise<void>;
  close(): Promise<void>;
}

export interface TopicDescription {
  readonly partitions: number;
  /** Of the partition that has the fewest. */
  readonly replicas: number;
  /** Every partition has a leader. */
  readonly ready: boolean;
}

export interface NewTopic {
  readonly topic: string;
  readonly partitions: number;
  readonly replicas: number;
  readonly settings: Readonly<Record<string, string>>;
}

export interface PartitionOffsets {
  readonly partition: number;
  readonly low: bigint;
  readonly high: bigint;
}

/** One partition, one send outstanding, idempotent, acknowledged by all replicas in sync. */
export interface PartitionProducer {
  /** Finds the cluster. */
  connect(): Promise<void>;
  /**
   * The broker's answer, unchecked; without any partition when the cluster has not the one that was asked for. Rejects
   * with ERR_BROKER; the records may have been written all the same, and this producer sends nothing any more.
   * @throws Error when another send is outstanding
   */
  send(request: PartitionSend): Promise<ProduceAnswer>;
  /**
   * Ends the producer after a failure: when this resolves it sends nothing any more (a request that is already on the
   * wire can still be written). Never rejects; bounded to some seconds.
   */
  discard(): Promise<void>;
  /** Ends the producer when nothing is outstanding. Never rejects. */
  close(): Promise<void>;
}

export interface PartitionSend {
  readonly topic: string;
  readonly partition: number;
  readonly records: PackedRecords;
  readonly compression: Compression;
  /** How long the broker may wait for its replicas, milliseconds. */
  readonly timeoutMillis: number;
}

export interface ProduceAnswer {
  readonly partitions: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly errorCode: number;
    /** Offset of the first record; undefined when the answer has none. */
    readonly baseOffset: number | undefined;
  }[];
  /** How long the broker asks this client to wait (quota), milliseconds; 0 when it does not. */
  readonly throttleMillis: number;
}

export interface ReadOptions {
  /** Full names. */
  readonly topics: readonly string[];
  /** Otherwise from the records written after this call. */
  readonly fromBeginning: boolean;
  /** From the first record of this time or later, milliseconds since 1970. */
  readonly since?: number | undefined;
  readonly signal?: AbortSignal;
}

export interface ReadGroupOptions {
  /** Full name. */
  readonly topic: string;
  readonly groupId: string;
  readonly signal: AbortSignal;
}
