import kafkajs, { type Kafka } from 'kafkajs';
import type { Clock } from '../clock.ts';
import { Bpf2KafkaError, reasonOf } from '../errors.ts';
import { isAuthorizationError, isConnectionFailure, protocolErrorOf } from './broker-error.ts';
import { type Connection, connectDeadlineMillis, connectPauseMillis, type Fail, settleMillis } from './connection.ts';
import { DeadlineError, settlesWithin, withDeadline } from './deadline.ts';
import type { KafkaAdmin, NewTopic, PartitionOffsets, TopicDescription } from './kafka-client.ts';
import type { Sockets } from './sockets.ts';

/** kafkajs's admin behind our seam. */
export class Admin implements KafkaAdmin {
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
