import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { decodeProduceResponse } from '../../../src/kafka/produce-response.ts';

const require = createRequire(import.meta.url);

interface Encoder {
  readonly buffer: Buffer;
  writeInt16(value: number): Encoder;
  writeInt32(value: number): Encoder;
  writeInt64(value: number): Encoder;
  writeString(value: string): Encoder;
  writeArray(values: readonly Encoder[]): Encoder;
}
const EncoderClass = require('kafkajs/src/protocol/encoder.js') as new () => Encoder;

/** Of one topic with two partitions, the second refused. */
function answerOf(version: number): Buffer {
  const partition = (number: number, errorCode: number, baseOffset: number) => {
    const encoder = new EncoderClass().writeInt32(number).writeInt16(errorCode).writeInt64(baseOffset).writeInt64(-1);
    return version >= 5 ? encoder.writeInt64(3) : encoder;
  };
  const topic = new EncoderClass()
    .writeString('exec-events-ü')
    .writeArray([partition(4, 0, 2 ** 40), partition(5, 6, -1)]);
  return new EncoderClass().writeArray([topic]).writeInt32(250).buffer;
}

test.each([3, 4, 5, 6, 7])('an answer of version %i', async (version) => {
  const bytes = answerOf(version);
  const answer = decodeProduceResponse(bytes, version);
  expect(answer).toEqual({
    partitions: [
      { topic: 'exec-events-ü', partition: 4, errorCode: 0, baseOffset: 2 ** 40 },
      { topic: 'exec-events-ü', partition: 5, errorCode: 6, baseOffset: -1 },
    ],
    throttleMillis: 250,
  });
  const stock = require(`kafkajs/src/protocol/requests/produce/v${version}/response.js`);
  const { topics } = await stock.decode(bytes);
  const [{ topicName, partitions }] = topics;
  expect(
    partitions.map(({ partition, errorCode, baseOffset }: Record<string, unknown>) => ({
      topic: topicName,
      partition,
      errorCode,
      baseOffset: Number(baseOffset),
    })),
  ).toEqual(answer.partitions);
});

test('an answer that ends too early is no answer', () => {
  const bytes = answerOf(7);
  for (let end = 0; end < bytes.length; end += 1)
    expect(() => decodeProduceResponse(bytes.subarray(0, end), 7)).toThrow(RangeError);
});
