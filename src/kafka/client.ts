import { randomUUID } from 'node:crypto';
import kafkajs, { type Kafka, type KafkaConfig, type LogEntry, type Message } from 'kafkajs';
import { type Clock, systemClock } from '../clock.ts';
import { Bpf2KafkaError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { BrokerSecurity } from '../security.ts';
import { createAuthentication } from './authentication.ts';
import { brokerError, isAuthorizationError, isConnectionFailure, isRefusal, protocolErrorOf } from './broker-error.ts';
import { type Compression, codecs } from './compression.ts';
import { DeadlineError, settlesWithin, withDeadline } from './deadline.ts';
import { GroupReader } from './group-reader.ts';
import { applyKafkajsFixes, type ThrottleEntry, throttleMessage } from './kafkajs-fixes.ts';
import { LogLimit } from './log-limit.ts';
import { type GroupConsumer, TopicReader } from './reader.ts';
import { Sockets } from './sockets.ts';

/**
 * The seam to Kafka: what bpf2kafka needs of a client, in its own types. kafkajs is known here and in kafkajs-fixes.ts
 * only.
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
  /** Finds the cluster and gets a producer id. */
  connect(): Promise<void>;
  /**
   * The broker's answer, unchecked: kafkajs resolves with no partition at all when its metadata lacks the one that was
   * asked for. Rejects with ERR_BROKER; the records may have been written all the same.
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
  readonly records: readonly ProducerRecord[];
  readonly compression: Compression;
  /** How long the broker may wait for its replicas, milliseconds. */
  readonly timeoutMillis: number;
}

export interface ProducerRecord {
  readonly key: string;
  readonly value: Buffer;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly headers: Readonly<Record<string, string>>;
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

const connectDeadlineMillis = 10_000;
const connectPauseMillis = 250;
const settleMillis = 2_000;

/**
 * Few and short, because the endless retry is ours (Delivery) or the deadline's: kafkajs nests these (connect in
 * metadata in send), and its waiting timers hold the process for their whole length when a client is closed. All five
 * are given: kafkajs has other defaults when NODE_ENV is `test`.
 */
const retry = { initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2, retries: 4 };

/** @throws Bpf2KafkaError ERR_CONFIG when a file with a certificate or a secret cannot be used */
export function createKafkaClient(options: KafkaClientOptions): KafkaClient {
  const { brokers, clientId, security = {}, log, clock = systemClock } = options;
  const { tls, sasl } = createAuthentication(security, clock, log);
  const fail: Fail = (operation, error) => brokerError(operation, brokers, error, security);
  const fixes = applyKafkajsFixes();
  if (!fixes.patched) {
    log.warn({ version: fixes.version }, 'kafkajs is not the version that its fixes were written for: not applied');
  }
  // Of the client and not of the connection: an outage makes a new connection every few seconds.
  const warnings = new LogLimit(clock);

  const open = (onThrottle: (millis: number) => void = () => {}): Connection => {
    const sockets = new Sockets(tls);
    const config: KafkaConfig = {
      brokers: [...brokers],
      clientId,
      ...(sasl === undefined ? {} : { sasl }),
      retry,
      connectionTimeout: 3_000,
      requestTimeout: 30_000,
      socketFactory: sockets.connect as NonNullable<KafkaConfig['socketFactory']>,
      logLevel: kafkajs.logLevel.INFO,
      logCreator: () => (entry) => {
        if (entry.log.message === throttleMessage) onThrottle((entry.log as unknown as ThrottleEntry).throttleMillis);
        else writeLogEntry(entry, log, warnings);
      },
    };
    return { kafka: new kafkajs.Kafka(config), sockets };
  };

  const client: KafkaClient = {
    brokers,
    connectAdmin: async ({ deadlineMillis = connectDeadlineMillis, signal } = {}) => {
      const deadline = clock.elapsedMillis() + deadlineMillis;
      let reason: unknown;
      for (;;) {
        const admin = new Admin(open(), fail, clock);
        try {
          const left = Math.max(0, deadline - clock.elapsedMillis());
          await withDeadline(admin.connect(), left, clock, signal);
          return admin;
        } catch (error) {
          await admin.close();
          // That the time is up says less than why the attempt before it failed.
          if (reason === undefined || !(error instanceof DeadlineError)) reason = error;
          const over = clock.elapsedMillis() + connectPauseMillis >= deadline || signal?.aborted;
          if (over || error instanceof DeadlineError || isRefusal(error)) {
            throw fail('reach the broker', reason);
          }
          await clock.sleep(connectPauseMillis, signal);
        }
      }
    },
    createProducer: () => new Producer(open, fail, clock),
    read: async ({ topics, fromBeginning, since, signal }) => {
      const admin = await client.connectAdmin(signal === undefined ? {} : { signal });
      try {
        const start = new Map<string, bigint[]>();
        for (const topic of topics) {
          await refuseMissing(admin, topic);
          const offsets: bigint[] = [];
          for (const { partition, low, high } of await admin.topicOffsets(topic, since)) {
            offsets[partition] = fromBeginning || since !== undefined ? low : high;
          }
          start.set(topic, offsets);
        }
        const groupId = `${clientId}-tail-${randomUUID()}`;
        const { kafka, sockets } = open();
        const consumer = kafka.consumer({ ...consumerSettings, groupId });
        return await TopicReader.open({
          consumer: {
            ...groupConsumer(consumer),
            seek: (position) => consumer.seek(position),
            onJoin: (listener) => void consumer.on(consumer.events.GROUP_JOIN, listener),
            close: async () => {
              await settlesWithin(consumer.disconnect(), settleMillis, clock);
              sockets.close();
              // Where the principal may: otherwise the broker forgets an empty group after offsets.retention.minutes.
              await admin
                .deleteGroup(groupId)
                .catch((error) => log.debug({ reason: reasonOf(error) }, 'group not deleted'));
              await admin.close();
            },
          },
          start,
          fail: (error) => fail('read from the broker', error),
          ...(signal === undefined ? {} : { signal }),
        });
      } catch (error) {
        await admin.close();
        throw fail('read from the broker', error);
      }
    },
    readGroup: async ({ topic, groupId, signal }) => {
      {
        await using admin = await client.connectAdmin({ signal });
        await refuseMissing(admin, topic);
      }
      const { kafka, sockets } = open();
      // What a member that was killed has had is given to others after the session's time, and not before.
      const consumer = kafka.consumer({ ...consumerSettings, sessionTimeout: 10_000, groupId });
      return GroupReader.open({
        member: {
          ...groupConsumer(consumer),
          commit: (position) => consumer.commitOffsets([position]),
          close: async () => {
            await settlesWithin(consumer.disconnect(), settleMillis, clock);
            sockets.close();
          },
        },
        topic,
        fail: (error) => fail('read from the broker', error),
        clock,
        signal,
      });
    },
  };
  return client;
}

const consumerSettings = {
  retry,
  allowAutoTopicCreation: false,
  maxWaitTimeInMs: 250,
  sessionTimeout: 30_000,
  heartbeatInterval: 3_000,
};

/** What both readers need of kafkajs's consumer. */
function groupConsumer(
  consumer: ReturnType<Kafka['consumer']>,
): Pick<GroupConsumer, 'connect' | 'subscribe' | 'run' | 'onEnd'> {
  return {
    connect: () => consumer.connect(),
    // When an offset has been deleted meanwhile, go on with the oldest that is left.
    subscribe: (names) => consumer.subscribe({ topics: [...names], fromBeginning: true }),
    run: (eachBatch) => consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch }),
    onEnd: (listener) =>
      void consumer.on(consumer.events.CRASH, ({ payload }) => {
        if (!payload.restart) listener(payload.error);
      }),
  };
}

async function refuseMissing(admin: KafkaAdmin, topic: string): Promise<void> {
  if ((await admin.describeTopic(topic)) !== undefined) return;
  throw new Bpf2KafkaError('ERR_TOPIC', {
    operation: 'read the topic',
    subject: topic,
    reason: 'it does not exist',
    remedy: 'check --topic-prefix, or start bpf2kafka run first',
  });
}

/** Puts a failure of kafkajs into our words. */
type Fail = (operation: string, error: unknown) => Bpf2KafkaError;

/** One kafkajs client with the sockets it opened. */
interface Connection {
  readonly kafka: Kafka;
  readonly sockets: Sockets;
}

/** What kafkajs warns of, and nobody needs to act on. */
const expectedWords: readonly RegExp[] = [
  // Said once for every producer: our retries are meant to be few (see `retry`).
  /^Limiting retries for the idempotent producer/,
  // An answer with an error in it, which comes back to the caller, who knows whether it means anything: a topic that is
  // asked for before it is made, a coordinator that is still loading.
  /^Response \w+\(key: /,
  // After it the consumer starts again by itself.
  /^Crash: .*coordinator is loading/,
  // Our own doing.
  /the client is closed$/,
];

/**
 * kafkajs's words to ours: message and broker only (its entries carry stack traces), warnings and errors once a minute
 * with the number of those between; everything else, and those, at debug.
 */
function writeLogEntry({ namespace, level, log: entry }: LogEntry, log: Log, warnings: LogLimit): void {
  const fields = { kafkajs: namespace, broker: entry.broker as unknown };
  const expected = expectedWords.some((words) => words.test(entry.message));
  const suppressed = level <= kafkajs.logLevel.WARN && !expected ? warnings.pass() : undefined;
  if (suppressed === undefined) log.debug(fields, entry.message);
  else log.warn({ ...fields, suppressed }, entry.message);
}

class Admin implements KafkaAdmin {
  readonly #admin: ReturnType<Kafka['admin']>;
  readonly #sockets: Sockets;
  readonly #fail: Fail;
  readonly #clock: Clock;

  constructor({ kafka, sockets }: Connection, fail: Fail, clock: Clock) {
    this.#admin = kafka.admin();
    this.#sockets = sockets;
    this.#fail = fail;
    this.#clock = clock;
  }

  async connect(): Promise<void> {
    await this.#admin.connect();
  }

  async clusterId(): Promise<string> {
    return (await this.#cluster()).clusterId;
  }

  async brokerCount(): Promise<number> {
    return (await this.#cluster()).brokers.length;
  }

  async #cluster() {
    try {
      return await this.#ask(() => this.#admin.describeCluster());
    } catch (error) {
      throw this.#fail('ask for the cluster', error);
    }
  }

  async describeTopic(topic: string): Promise<TopicDescription | undefined> {
    try {
      const { topics } = await this.#ask(() => this.#admin.fetchTopicMetadata({ topics: [topic] }));
      const partitions = topics.find(({ name }) => name === topic)?.partitions;
      if (partitions === undefined || partitions.length === 0) return undefined;
      return {
        partitions: partitions.length,
        replicas: Math.min(...partitions.map(({ replicas }) => replicas.length)),
        ready: partitions.every(({ leader }) => leader >= 0),
      };
    } catch (error) {
      const type = protocolErrorOf(error);
      if (type === 'UNKNOWN_TOPIC_OR_PARTITION') return undefined;
      // Exists, and elects: kafkajs gave up before the leader was there.
      if (type === 'LEADER_NOT_AVAILABLE') return { partitions: 0, replicas: 0, ready: false };
      if (isAuthorizationError(error) || type === 'INVALID_TOPIC_EXCEPTION') {
        throw new Bpf2KafkaError('ERR_TOPIC', {
          operation: 'describe the topic',
          subject: topic,
          reason: reasonOf(error),
          remedy: type === 'INVALID_TOPIC_EXCEPTION' ? 'check --topic-prefix' : 'grant WRITE and DESCRIBE on it',
          cause: error,
        });
      }
      throw this.#fail('describe a topic', error);
    }
  }

  async topicSettings(topic: string): Promise<ReadonlyMap<string, string> | undefined> {
    const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }];
    // Not every broker of a cluster knows a new topic at once, and kafkajs asks any of them.
    const isNew = (error: unknown) => protocolErrorOf(error) === 'UNKNOWN_TOPIC_OR_PARTITION';
    try {
      const answer = await this.#ask(() => this.#admin.describeConfigs({ resources, includeSynonyms: false }), isNew);
      const entries = answer.resources[0]?.configEntries ?? [];
      return new Map(entries.map(({ configName, configValue }) => [configName, configValue]));
    } catch (error) {
      if (isAuthorizationError(error)) return undefined;
      throw this.#fail('read the settings of a topic', error);
    }
  }

  async createTopic({ topic, partitions, replicas, settings }: NewTopic): Promise<boolean> {
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    const topics = [{ topic, numPartitions: partitions, replicationFactor: replicas, configEntries }];
    try {
      return await this.#ask(() => this.#admin.createTopics({ topics, waitForLeaders: false }));
    } catch (error) {
      // KafkaJSAggregateError: one error a topic.
      const cause = (error as { errors?: readonly unknown[] }).errors?.[0] ?? error;
      if (protocolErrorOf(cause) === undefined) throw this.#fail('create a topic', error);
      throw new Bpf2KafkaError('ERR_TOPIC', {
        operation: 'create the topic',
        subject: topic,
        reason: reasonOf(cause),
        remedy: isAuthorizationError(cause)
          ? 'grant CREATE on it, or have it created by an administrator'
          : 'create it by hand',
        cause,
      });
    }
  }

  async topicOffsets(topic: string, since?: number): Promise<readonly PartitionOffsets[]> {
    // The metadata names the leader of a new partition before that broker leads it; kafkajs does not ask again.
    const moves = (error: unknown) =>
      (error as { retriable?: unknown }).retriable === true && protocolErrorOf(error) !== undefined;
    try {
      const offsets = await this.#ask(() => this.#admin.fetchTopicOffsets(topic), moves);
      const first =
        since === undefined ? [] : await this.#ask(() => this.#admin.fetchTopicOffsetsByTimestamp(topic, since), moves);
      const firstOf = new Map(first.map(({ partition, offset }) => [partition, offset]));
      return offsets.map(({ partition, low, high }) => ({
        partition,
        low: BigInt(firstOf.get(partition) ?? low),
        high: BigInt(high),
      }));
    } catch (error) {
      throw this.#fail('read the offsets of a topic', error);
    }
  }

  async deleteGroup(groupId: string): Promise<void> {
    try {
      await this.#deadline(this.#admin.deleteGroups([groupId]));
    } catch (error) {
      throw this.#fail('delete a consumer group', error);
    }
  }

  async close(): Promise<void> {
    const disconnected = this.#admin.disconnect();
    this.#sockets.close();
    await settlesWithin(disconnected, settleMillis, this.#clock);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #deadline<T>(answer: Promise<T>): Promise<T> {
    return withDeadline(answer, connectDeadlineMillis, this.#clock);
  }

  /**
   * Asks again while no broker answers, for one that was there a moment ago may be restarting.
   * @param passes says of another error that it may pass, too
   */
  async #ask<T>(question: () => Promise<T>, passes: (error: unknown) => boolean = () => false): Promise<T> {
    const deadline = this.#clock.elapsedMillis() + connectDeadlineMillis;
    let reason: unknown;
    for (;;) {
      try {
        const left = Math.max(0, deadline - this.#clock.elapsedMillis());
        return await withDeadline(question(), left, this.#clock);
      } catch (error) {
        // That the time is up says less than why the attempt before it failed.
        if (error instanceof DeadlineError) throw reason ?? error;
        if (!isConnectionFailure(error) && !passes(error)) throw error;
        reason = error;
        if (this.#clock.elapsedMillis() + connectPauseMillis >= deadline) throw reason;
      }
      await this.#clock.sleep(connectPauseMillis);
    }
  }
}

/**
 * kafkajs groups messages by partition with `reduce`, copying all before for each one (src/producer/
 * groupMessagesPerPartition.js): quadratic, and for nothing, since all of ours have one partition. The partitioner
 * still runs, once. kafkajs's types want the timestamp as text; its code and our encoder take the number.
 */
function messagesOf(records: readonly ProducerRecord[], partition: number): Message[] {
  const messages = [...records] as unknown as Message[];
  type Group = (groups: object, message: object) => object;
  const reduce = (group: Group, groups: object) =>
    Object.fromEntries(Object.keys(group(groups, { ...messages[0], partition })).map((key) => [key, messages]));
  return Object.defineProperty(messages, 'reduce', { value: reduce });
}

class Producer implements PartitionProducer {
  readonly #producer: ReturnType<Kafka['producer']>;
  readonly #sockets: Sockets;
  readonly #fail: Fail;
  readonly #clock: Clock;
  #fenced = false;
  #outstanding: Promise<unknown> | undefined;
  #throttleMillis = 0;

  constructor(open: (onThrottle: (millis: number) => void) => Connection, fail: Fail, clock: Clock) {
    const { kafka, sockets } = open((millis) => {
      this.#throttleMillis = Math.max(this.#throttleMillis, millis);
    });
    this.#sockets = sockets;
    this.#fail = fail;
    this.#clock = clock;
    this.#producer = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      retry,
      // Runs on each of kafkajs's own attempts, so it is the place to end a retry that is waiting for its turn: a
      // pending send reconnects by itself, even after disconnect (src/producer/sendMessages.js).
      createPartitioner:
        () =>
        ({ message }) => {
          if (this.#fenced) throw new kafkajs.KafkaJSNonRetriableError('the producer was discarded');
          return message.partition as number;
        },
    });
  }

  async connect(): Promise<void> {
    await this.#exclusive(this.#producer.connect());
  }

  async send({ topic, partition, records, compression, timeoutMillis }: PartitionSend): Promise<ProduceAnswer> {
    // With two at once a lost answer makes the next batch reuse a sequence number (kafkajs#598).
    if (this.#outstanding !== undefined) throw new Error('a producer has one send outstanding at most');
    this.#throttleMillis = 0;
    const answers = await this.#exclusive(
      this.#producer.send({
        topic,
        acks: -1,
        timeout: timeoutMillis,
        compression: codecs[compression].code,
        messages: messagesOf(records, partition),
      }),
    );
    return {
      partitions: answers.map(({ topicName, partition: written, errorCode, baseOffset }) => ({
        topic: topicName,
        partition: written,
        errorCode,
        baseOffset: baseOffset === undefined ? undefined : Number(baseOffset),
      })),
      throttleMillis: this.#throttleMillis,
    };
  }

  async discard(): Promise<void> {
    this.#fenced = true;
    // Rejects whatever waits for an answer, so that the three waits below are short (see Sockets).
    this.#sockets.close();
    await settlesWithin(this.#producer.disconnect(), settleMillis, this.#clock);
    if (this.#outstanding !== undefined) await settlesWithin(this.#outstanding, settleMillis, this.#clock);
    // The pending send may have connected again between the first disconnect and its end.
    await settlesWithin(this.#producer.disconnect(), settleMillis, this.#clock);
  }

  async close(): Promise<void> {
    this.#fenced = true;
    await settlesWithin(this.#producer.disconnect(), settleMillis, this.#clock);
    this.#sockets.close();
  }

  async #exclusive<T>(work: Promise<T>): Promise<T> {
    this.#outstanding = work;
    try {
      return await work;
    } catch (error) {
      throw this.#fail('publish to the broker', error);
    } finally {
      this.#outstanding = undefined;
    }
  }
}
