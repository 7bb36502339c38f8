import type { Kafka } from 'kafkajs';
import type { Bpf2KafkaError } from '../errors.ts';
import type { Sockets } from './sockets.ts';

/** Puts a failure of kafkajs into our words. */
export type Fail = (operation: string, error: unknown) => Bpf2KafkaError;

/** One kafkajs client with the sockets it opened. */
export interface Connection {
  readonly kafka: Kafka;
  readonly sockets: Sockets;
}

/** How long a broker that does not answer is asked, and how long between two attempts, milliseconds. */
export const connectDeadlineMillis = 10_000;
export const connectPauseMillis = 250;
/** How long a connection may take to end in order, milliseconds. */
export const settleMillis = 2_000;

/**
 * Few and short, because the endless retry is ours (Delivery) or the deadline's: kafkajs nests these (connect in
 * metadata in send), and its waiting timers hold the process for their whole length when a client is closed. All five
 * are given: kafkajs has other defaults when NODE_ENV is `test`.
 */
export const retry = { initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2, retries: 4 };
