import kafkajs, { type Kafka, type Message } from 'kafkajs';
import type { Clock } from '../clock.ts';
import { codecs } from './compression.ts';
import { type Connection, type Fail, retry, settleMillis } from './connection.ts';
import { settlesWithin } from './deadline.ts';
import type { PartitionProducer, PartitionSend, ProduceAnswer, ProducerRecord } from './kafka-client.ts';
import type { Sockets } from './sockets.ts';

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

/** kafkajs's producer behind our seam. */
export class Producer implements PartitionProducer {
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
