import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type { KafkaConfig } from 'kafkajs';
import type { Sockets } from './sockets.ts';

/**
 * kafkajs below its producer, of which ours is built (./producer.ts): it finds brokers and leaders, connects, logs in, and
 * gives up on answers that do not come. What is named here is what we use of src/cluster, src/broker and src/network in
 * the version that package.json pins.
 */
export interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  /** Reads the metadata of the topic, when it has not yet. */
  addTargetTopic(topic: string): Promise<void>;
  /** Of all topics that were added. */
  refreshMetadata(): Promise<void>;
  findTopicPartitionMetadata(topic: string): readonly PartitionMetadata[];
  /** Connected and logged in. */
  findBroker(which: { readonly nodeId: number }): Promise<Broker>;
}

interface PartitionMetadata {
  readonly partitionId: number;
  /** -1 for none. */
  readonly leader: number;
}

export interface Broker {
  /** Of each request, by its key; there once it has connected. */
  readonly versions: Readonly<Record<number, VersionRange>>;
  readonly connectionPool: { getConnection(): Promise<WireConnection>; readonly pool: readonly WireConnection[] };
  initProducerId(request: { readonly transactionTimeout: number }): Promise<ProducerIdentity>;
}

interface VersionRange {
  readonly minVersion: number;
  readonly maxVersion: number;
}

export interface ProducerIdentity {
  /** An int64. */
  readonly producerId: string;
  readonly producerEpoch: number;
}

export interface WireConnection {
  readonly sasl: unknown;
  readonly socket: Socket;
  readonly requestQueue: {
    push(request: PushedRequest): void;
    /** The next request waits (KIP-219). */
    maybeThrottle(millis: number): void;
  };
  isConnected(): boolean;
  /** Of a listener with a login, and for as long as the session lasts. */
  isAuthenticated(): boolean;
  authenticate(): Promise<void>;
  nextCorrelationId(): number;
}

interface PushedRequest {
  readonly entry: {
    readonly apiKey: number;
    readonly apiName: string;
    readonly apiVersion: number;
    readonly correlationId: number;
    /** payload: behind the correlation id. */
    readonly resolve: (answer: { readonly payload: Buffer }) => void;
    /** Also when the connection ends, or the answer does not come in time. */
    readonly reject: (error: unknown) => void;
  };
  readonly expectResponse: true;
  /** Writes it to the socket, when its turn has come. */
  readonly sendRequest: () => void;
}

/** A cluster with the sockets that it opened. */
export interface ClusterConnection {
  readonly cluster: Cluster;
  readonly sockets: Sockets;
}

const require = createRequire(import.meta.url);

/** A cluster of its own, with one request in flight on each connection. */
export function createCluster({ logLevel, logCreator, ...config }: KafkaConfig): Cluster {
  const ClusterClass = require('kafkajs/src/cluster/index.js') as new (options: object) => Cluster;
  const { createLogger } = require('kafkajs/src/loggers/index.js') as { createLogger(options: object): unknown };
  return new ClusterClass({
    ...config,
    logger: createLogger({ level: logLevel, logCreator }),
    enforceRequestTimeout: true,
    allowAutoTopicCreation: false,
    maxInFlightRequests: 1,
  });
}

/** The error of a code in a broker's answer, which names it (`type`). */
export function errorOfCode(code: number): Error {
  const { createErrorFromCode } = require('kafkajs/src/protocol/error.js') as {
    createErrorFromCode(code: number): Error;
  };
  return createErrorFromCode(code);
}
