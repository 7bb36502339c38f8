import { createHash } from 'node:crypto';
import type { OutgoingBatch } from '../batch.ts';
import type { Clock } from '../clock.ts';
import type { OutgoingRecord } from '../records/packed-records.ts';
import { packRecords } from '../records/record-packer.ts';
import { type TopicEvents, type TopicName, topicSchema } from '../schemas/catalog.ts';
import type { AvroCodec } from '../schemas/codec.ts';
import { fingerprintText } from '../schemas/fingerprint.ts';
import type { Refusal } from './sender.ts';

/** A record that is itself the reason why the broker does not take it. */
export interface RefusedRecord {
  /** With the prefix. */
  readonly topic: string;
  readonly record: OutgoingRecord;
  readonly refusal: Refusal;
}

export interface DeadLetters {
  /** Resolves when the broker has acknowledged the dead letter; rejects when the signal aborts. */
  take(refused: RefusedRecord, signal: AbortSignal): Promise<void>;
}

export interface DeadLettersOptions<Topic extends EventTopic> {
  /** Of the records that may be refused. */
  readonly topic: Topic;
  readonly codec: AvroCodec<TopicEvents[Topic]>;
  readonly letters: {
    readonly codec: AvroCodec<TopicEvents['bpf2kafka-dead-letter']>;
    /** Not the delivery of the topic itself, which waits for this one. */
    readonly delivery: { accept(batch: OutgoingBatch, signal: AbortSignal): Promise<unknown> };
  };
  readonly clock: Clock;
}

/** Whose records are events of the host. */
export type EventTopic = Exclude<TopicName, 'bpf2kafka-ledger' | 'bpf2kafka-dead-letter' | 'bpf2kafka-hosts'>;

/** Publishes what one topic does not take to the topic `bpf2kafka-dead-letter`. */
export function createDeadLetters<Topic extends EventTopic>({
  topic: name,
  codec,
  letters,
  clock,
}: DeadLettersOptions<Topic>): DeadLetters {
  const { schema, streamOf, timestampOf } = topicSchema(name);
  return {
    async take({ topic, record, refusal }, signal) {
      const { value } = record;
      const event = codec.read(value);
      const { host_id, host_name, boot_id, attach_id, epoch } = event;
      const letter = {
        host_id,
        host_name,
        boot_id,
        attach_id,
        epoch,
        event_time: timestampOf(event),
        topic,
        stream_name: streamOf(event),
        seq: 'seq' in event ? event.seq : null,
        schema_fingerprint: fingerprintText(schema),
        error_code: refusal.code,
        reason: refusal.reason,
        value_bytes: value,
        value_size: value.length,
        value_sha256: createHash('sha256').update(value).digest('hex'),
      };
      const stamp = stampOf(record, refusal, clock.nowMillis());
      const stamped = (made: OutgoingRecord) => packRecords([{ ...made, ...stamp }]);
      const { topic: letterTopic, records } = letters.codec.encode([letter, { ...letter, value_bytes: null }]);
      await letters.delivery.accept(
        { topic: letterTopic, records: stamped(records.at(0)), smaller: stamped(records.at(1)) },
        signal,
      );
    },
  };
}

/** As the refused record has it, except for a time that the broker would refuse a second time. */
export function stampOf(
  { timestamp, headers }: OutgoingRecord,
  { code }: Refusal,
  nowMillis: number,
): Pick<OutgoingRecord, 'timestamp' | 'headers'> {
  if (code !== 'INVALID_TIMESTAMP') return { timestamp, headers };
  return { timestamp: nowMillis, headers: { ...headers, clock_skew: String(timestamp) } };
}
