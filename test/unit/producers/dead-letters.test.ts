import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { OutgoingBatch } from '../../../src/batch.ts';
import { createDeadLetters, type EventTopic } from '../../../src/producers/dead-letters.ts';
import type { Refusal } from '../../../src/producers/sender.ts';
import type { TopicEvents } from '../../../src/schemas/catalog.ts';
import { topicSchema } from '../../../src/schemas/catalog.ts';
import { createCodec, createDecoder, type Framing } from '../../../src/schemas/codec.ts';
import type { DeadLetter } from '../../../src/schemas/dead-letter.ts';
import { fingerprint } from '../../../src/schemas/fingerprint.ts';
import { fullEvent } from '../schemas/events.ts';
import { flowCount } from '../schemas/packet-counts.ts';
import { FakeClock } from './fakes.ts';

const framing: Framing = { kind: 'single-object' };
const tooLarge: Refusal = { code: 'MESSAGE_TOO_LARGE', reason: 'the message is too large' };

/** The record of the dead letter as it is sent, and what it says. */
async function letterOf<Topic extends EventTopic>(
  topic: Topic,
  event: TopicEvents[Topic],
  { refusal = tooLarge, framed = framing }: { refusal?: Refusal; framed?: Framing } = {},
) {
  const sent: OutgoingBatch[] = [];
  const codec = createCodec({ topic, framing: framed });
  const clock = new FakeClock();
  const letters = {
    codec: createCodec({ topic: 'bpf2kafka-dead-letter', framing }),
    delivery: { accept: async (batch: OutgoingBatch) => sent.push(batch) },
  };
  const record = codec.encode([event]).records.at(0);
  const deadLetters = createDeadLetters({ topic, codec, letters, clock });
  await deadLetters.take({ topic: `p.${topic}`, record, refusal }, new AbortController().signal);
  const read = async (value: Buffer): Promise<DeadLetter> => {
    const decoded = await createDecoder({ topic: 'bpf2kafka-dead-letter' }).decode(value);
    if (!decoded.ok) throw new Error(decoded.reason);
    return decoded.event;
  };
  expect(sent).toMatchObject([{ topic: 'bpf2kafka-dead-letter', records: { length: 1 }, smaller: { length: 1 } }]);
  const [{ records, smaller }] = sent as [Required<OutgoingBatch>];
  const made = records.at(0);
  return { record, made, smaller: smaller.at(0), clock, letter: await read(made.value), read };
}

test('a dead letter of an exec says whose it is and why, and has its value and headers as they were', async () => {
  const { record, made, letter } = await letterOf('exec-events', fullEvent);
  const { host_id, host_name, boot_id, attach_id, epoch, seq, event_time } = fullEvent;
  expect(letter).toEqual({
    host_id,
    host_name,
    boot_id,
    attach_id,
    epoch,
    event_time,
    topic: 'p.exec-events',
    stream_name: 'exec',
    seq,
    schema_fingerprint: Buffer.from(fingerprint(topicSchema('exec-events').schema))
      .reverse()
      .toString('hex'),
    error_code: 'MESSAGE_TOO_LARGE',
    reason: 'the message is too large',
    value_bytes: record.value,
    value_size: record.value.length,
    value_sha256: createHash('sha256').update(record.value).digest('hex'),
  });
  expect(made.key).toBe(host_id);
  expect(made.headers).toEqual(record.headers);
  expect(made.timestamp).toBe(event_time);
});

test('without the value there is a smaller one, the same otherwise', async () => {
  const { made, smaller, letter, read } = await letterOf('exec-events', fullEvent);
  expect(await read(smaller.value)).toEqual({ ...letter, value_bytes: null });
  expect(smaller).toEqual({ ...made, value: smaller.value });
});

test('a dead letter of packets names the stream of their interface and has no number', async () => {
  const { letter } = await letterOf('packet-counts', flowCount);
  expect(letter).toMatchObject({
    topic: 'p.packet-counts',
    stream_name: 'packets:eth0',
    seq: null,
    event_time: flowCount.interval_end,
    epoch: flowCount.epoch,
  });
});

test('what names the schema of the value in a registry is kept', async () => {
  const { letter } = await letterOf('exec-events', fullEvent, { framed: { kind: 'confluent', schemaId: 7 } });
  expect(letter.value_bytes?.subarray(0, 5)).toEqual(Buffer.from([0, 0, 0, 0, 7]));
  expect(letter.seq).toBe(fullEvent.seq);
});

test('a time that was refused is not sent a second time', async () => {
  const refusal = { code: 'INVALID_TIMESTAMP', reason: 'out of range' };
  const { made, letter, clock } = await letterOf('exec-events', fullEvent, { refusal });
  expect(made.timestamp).toBe(clock.now);
  expect(made.headers.clock_skew).toBe(String(fullEvent.event_time));
  expect(letter.event_time).toBe(fullEvent.event_time);
});
