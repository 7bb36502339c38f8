import type { Clock } from '../clock.ts';
import { protocolErrorOf } from './broker-error.ts';
import {
  type Broker,
  type Cluster,
  type ClusterConnection,
  errorOfCode,
  type ProducerIdentity,
  type WireConnection,
} from './cluster.ts';
import { codecs } from './compression.ts';
import { type Fail, settleMillis } from './connection.ts';
import { settlesWithin } from './deadline.ts';
import type { PartitionProducer, PartitionSend, ProduceAnswer } from './kafka-client.ts';
import {
  encodeProduceRequest,
  newestProduceVersion,
  oldestProduceVersion,
  type ProduceVersion,
  produceKey,
} from './produce-request.ts';
import { decodeProduceResponse } from './produce-response.ts';
import type { Sockets } from './sockets.ts';

/** Of transactions, which there are none of; a broker wants to be told all the same. */
const transactionTimeout = 60_000;

/** How often it is tried again what a broker does not do yet, and how long before the first time, milliseconds. */
const retries = 5;
const retryPauseMillis = 100;

/**
 * Answers of a broker that is not the leader any more, or not yet, that does not know of a topic that is new, or cannot
 * give a producer its id, since it has just started.
 */
const passing = new Set([
  'NOT_LEADER_FOR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
]);

/** Who takes a partition's records. */
interface Leader {
  readonly broker: Broker;
  readonly version: ProduceVersion;
}

/**
 * The idempotent producer: one partition and one request at a time, over the connections of kafkajs. A send that fails is
 * the last one of its producer, so that no sequence number is ever used for another batch. What a broker refuses since it
 * is not the leader goes to the leader, the same batch under the same number.
 */
export class Producer implements PartitionProducer {
  readonly #cluster: Cluster;
  readonly #sockets: Sockets;
  readonly #clientId: string;
  readonly #fail: Fail;
  readonly #clock: Clock;
  /** By topic and partition. */
  readonly #leaders = new Map<string, Leader>();
  readonly #nextSequences = new Map<string, number>();
  #identity: ProducerIdentity | undefined;
  /** Of the request, used again for the next one: whoever has answered has read it. */
  #memory = Buffer.alloc(0);
  #outstanding: Promise<unknown> | undefined;
  /** It was discarded, or a send has failed. */
  #ended = false;

  constructor({ cluster, sockets }: ClusterConnection, clientId: string, fail: Fail, clock: Clock) {
    this.#cluster = cluster;
    this.#sockets = sockets;
    this.#clientId = clientId;
    this.#fail = fail;
    this.#clock = clock;
  }

  async connect(): Promise<void> {
    await this.#exclusive(() => this.#cluster.connect());
  }

  async send(request: PartitionSend): Promise<ProduceAnswer> {
    return this.#exclusive(() => this.#produce(request));
  }

  async discard(): Promise<void> {
    this.#ended = true;
    // Rejects whatever waits for an answer, so that the two waits below are short (see Sockets).
    this.#sockets.close();
    if (this.#outstanding !== undefined) await settlesWithin(this.#outstanding, settleMillis, this.#clock);
    await settlesWithin(this.#cluster.disconnect(), settleMillis, this.#clock);
  }

  async close(): Promise<void> {
    this.#ended = true;
    await settlesWithin(this.#cluster.disconnect(), settleMillis, this.#clock);
    this.#sockets.close();
  }

  async #exclusive<T>(work: () => Promise<T>): Promise<T> {
    this.#refuseEnded();
    // With two at once, an answer that is lost would leave it open which sequence number is next.
    if (this.#outstanding !== undefined) throw new Error('a producer has one send outstanding at most');
    const outstanding = work();
    this.#outstanding = outstanding;
    try {
      return await outstanding;
    } catch (error) {
      this.#ended = true;
      throw this.#fail('publish to the broker', error);
    } finally {
      this.#outstanding = undefined;
    }
  }

  async #produce(request: PartitionSend): Promise<ProduceAnswer> {
    const { topic, partition } = request;
    const key = `${topic}/${partition}`;
    for (let left = retries; ; left -= 1) {
      try {
        const leader = this.#leaders.get(key) ?? (await this.#findLeader(topic, partition));
        if (leader === undefined) return { partitions: [], throttleMillis: 0 };
        this.#leaders.set(key, leader);
        const firstSequence = this.#nextSequences.get(key) ?? 0;
        const answer = await this.#ask(leader, request, firstSequence);
        this.#nextSequences.set(key, firstSequence + request.records.length);
        return answer;
      } catch (error) {
        if (left === 0 || !passing.has(protocolErrorOf(error) ?? '')) throw error;
      }
      this.#leaders.delete(key);
      await this.#clock.sleep(retryPauseMillis * 2 ** (retries - left));
      this.#refuseEnded();
      await this.#cluster.refreshMetadata();
    }
  }

  /** Undefined when the cluster has no such partition. */
  async #findLeader(topic: string, partition: number): Promise<Leader | undefined> {
    await this.#cluster.addTargetTopic(topic);
    const found = this.#cluster.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === partition);
    if (found === undefined) return undefined;
    const broker = await this.#cluster.findBroker({ nodeId: found.leader });
    this.#identity ??= await broker.initProducerId({ transactionTimeout });
    return { broker, version: versionOf(broker) };
  }

  async #ask(
    { broker, version }: Leader,
    { topic, partition, records, compression, timeoutMillis }: PartitionSend,
    firstSequence: number,
  ): Promise<ProduceAnswer> {
    const { producerId, producerEpoch } = this.#identity as ProducerIdentity;
    const connection = await connectionTo(broker);
    const correlationId = connection.nextCorrelationId();
    const request = await encodeProduceRequest({
      version,
      correlationId,
      clientId: this.#clientId,
      topic,
      partition,
      records,
      timeout: timeoutMillis,
      compression: codecs[compression],
      producerId: BigInt(producerId),
      producerEpoch,
      firstSequence,
      memory: this.#memoryOf,
    });
    this.#refuseEnded();
    const answer = decodeProduceResponse(await ask(connection, request, version, correlationId), version);
    for (const { errorCode } of answer.partitions) if (errorCode !== 0) throw errorOfCode(errorCode);
    if (version < clientThrottles) return { ...answer, throttleMillis: 0 };
    if (answer.throttleMillis > 0) connection.requestQueue.maybeThrottle(answer.throttleMillis);
    return answer;
  }

  readonly #memoryOf = (bytes: number): Buffer => {
    if (this.#memory.length < bytes) this.#memory = Buffer.allocUnsafeSlow(bytes * 2);
    return this.#memory.subarray(0, bytes);
  };

  #refuseEnded(): void {
    if (this.#ended) throw new Error('this producer has ended');
  }
}

/** From this version on the broker answers at once, and it is the client that waits (KIP-219). */
const clientThrottles = 6;

function versionOf({ versions }: Broker): ProduceVersion {
  const { minVersion = 0, maxVersion = 0 } = versions[produceKey] ?? {};
  const version = Math.min(maxVersion, newestProduceVersion);
  if (version < oldestProduceVersion || version < minVersion)
    throw new Error(`the broker takes produce requests of versions ${minVersion} to ${maxVersion} only`);
  return version as ProduceVersion;
}

/** A broker hangs up on who was silent for minutes, and a login is good for a time. */
async function connectionTo({ connectionPool }: Broker): Promise<WireConnection> {
  let connection = connectionPool.pool[0] as WireConnection;
  if (!connection.isConnected()) connection = await connectionPool.getConnection();
  if (connection.sasl && !connection.isAuthenticated()) await connection.authenticate();
  return connection;
}

/** The answer, behind its correlation id. */
function ask(connection: WireConnection, request: Buffer, apiVersion: number, correlationId: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // Nobody would hear of a write to a socket that has ended.
    if (!connection.isConnected()) throw new Error('the broker closed the connection');
    connection.requestQueue.push({
      entry: {
        apiKey: produceKey,
        apiName: 'Produce',
        apiVersion,
        correlationId,
        resolve: ({ payload }) => resolve(payload),
        reject,
      },
      expectResponse: true,
      sendRequest: () => void connection.socket.write(request),
    });
  });
}
