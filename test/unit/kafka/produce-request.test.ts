import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Codec } from '../../../src/kafka/compression.ts';
import { encodeProduceRequest } from '../../../src/kafka/produce-request.ts';
import type { OutgoingRecord } from '../../../src/records/packed-records.ts';
import { packRecords } from '../../../src/records/record-packer.ts';
import { recordOf } from '../producers/fakes.ts';

const require = createRequire(import.meta.url);

interface StockRequest {
  encode(): Promise<{ readonly buffer: Buffer }>;
}
/** kafkajs's own encoders, which brokers have taken for years. */
const stock = require('kafkajs/src/protocol/requests/produce/v3/request.js') as (request: object) => StockRequest;
const wrap = require('kafkajs/src/protocol/request.js') as (of: object) => Promise<{ readonly buffer: Buffer }>;

const uncompressed: Pick<Codec, 'code' | 'compress'> = { code: 0, compress: (records) => records };
const now = 1_764_000_000_000;
const memory = (bytes: number) => Buffer.allocUnsafe(bytes);
const header = { version: 3, correlationId: 77, clientId: 'bpf2kafka-ü', memory } as const;

async function bothOf(records: OutgoingRecord[], numbers = { producerId: 7n, producerEpoch: 3, firstSequence: 41 }) {
  const { producerId, producerEpoch, firstSequence } = numbers;
  const ours = await encodeProduceRequest({
    ...header,
    topic: 'exec-events',
    partition: 5,
    records: packRecords(records),
    timeout: 8_000,
    compression: uncompressed,
    ...numbers,
  });
  const request = stock({
    acks: -1,
    timeout: 8_000,
    producerId: String(producerId),
    producerEpoch,
    compression: 0,
    topicData: [{ topic: 'exec-events', partitions: [{ partition: 5, firstSequence, messages: records }] }],
  });
  const theirs = await wrap({ ...header, request });
  return { ours: ours.toString('hex'), theirs: theirs.buffer.toString('hex') };
}

const text = fc.oneof(fc.string({ maxLength: 200 }), fc.string({ unit: 'grapheme', maxLength: 40 }));
const record = fc.record({
  key: text,
  value: fc.uint8Array({ maxLength: 20_000 }).map((bytes) => Buffer.from(bytes)),
  // kafkajs takes 0 for absent, and the smallest of a batch for its base: ours takes the first.
  delta: fc.integer({ min: 0, max: 10_000_000 }),
  headers: fc.dictionary(
    text.filter((name) => name !== '__proto__'),
    text,
    { maxKeys: 4 },
  ),
});

describe('a produce request', () => {
  test('of many records, and of one that is as large as all of them, is the same bytes as from kafkajs', async () => {
    const times = Array.from({ length: 9_000 }, (_, index) => now + index);
    const many = times.map((timestamp) => recordOf(`${timestamp}`, { timestamp, headers: { seq: `${timestamp}` } }));
    const large = recordOf(Buffer.alloc(500_000, 'x'), { timestamp: now });
    for (const records of [many, [large], [...many, large]]) {
      const { ours, theirs } = await bothOf(records);
      expect(ours === theirs).toBe(true); // not shown: they are millions of digits
    }
  });

  test('is the same bytes as from kafkajs', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(record, { minLength: 1, maxLength: 20 }),
        fc.bigInt({ min: 0n, max: 2n ** 62n }),
        fc.nat(32_767),
        fc.nat(2 ** 31 - 100),
        async (drawn, producerId, producerEpoch, firstSequence) => {
          const deltas = drawn.map(({ delta }) => delta).sort((a, b) => a - b);
          const records = drawn.map((each, i) => ({ ...each, timestamp: now + (deltas[i] as number) }));
          const { ours, theirs } = await bothOf(records, { producerId, producerEpoch, firstSequence });
          expect(ours).toBe(theirs);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('takes a record that is older than the first of its batch', async () => {
    const times = [now, now - 5_000, now + 3];
    const records = packRecords(times.map((timestamp) => recordOf('v', { key: 'k', timestamp })));
    const request = { ...header, topic: 't', partition: 0, records, timeout: 1, compression: uncompressed };
    const bytes = await encodeProduceRequest({ ...request, producerId: 1n, producerEpoch: 0, firstSequence: 0 });
    const batch = bytes.subarray(bytes.indexOf('\0\u0001t') + 2 + 1 + 4 + 4 + 4); // behind topic, count, partition, length
    expect(batch.readBigInt64BE(27)).toBe(BigInt(now)); // base
    expect(batch.readBigInt64BE(35)).toBe(BigInt(now + 3)); // max
    // Record: length, attributes, delta: zigzag of -5000 is 9999, in base 128 0x8f 0x4e.
    expect(bytes.includes(Buffer.from([0x00, 0x8f, 0x4e, 0x02]))).toBe(true);
  });

  test('requests that are compressed at the same time do not mix, and one after the other neither', async () => {
    const gate = Promise.withResolvers<void>();
    const slow: Pick<Codec, 'code' | 'compress'> = {
      code: 1,
      compress: (records: Buffer) => gate.promise.then(() => Buffer.from(records)),
    };
    const encode = (text: string, compression = slow) => {
      const records = packRecords(Array.from({ length: 3 }, () => recordOf(text, { timestamp: now })));
      const numbers = { producerId: 1n, producerEpoch: 0, firstSequence: 0 };
      return encodeProduceRequest({
        ...header,
        topic: 't',
        partition: 0,
        records,
        timeout: 1,
        compression,
        ...numbers,
      });
    };
    const texts = ['a'.repeat(100), 'b'.repeat(50), 'c'.repeat(300)];
    const together = texts.map((text) => encode(text));
    gate.resolve();
    for (const [i, request] of (await Promise.all(together)).entries()) {
      const alone = await encode(texts[i] as string);
      expect(request).toEqual(alone);
      expect(alone.toString('latin1').split(texts[i] as string)).toHaveLength(4);
    }
    const kept = await encode('d'.repeat(80), uncompressed);
    const before = Buffer.from(kept);
    await encode('e'.repeat(80), uncompressed);
    expect(kept).toEqual(before);
  });

  test('compresses the records and nothing else', async () => {
    const compressed: Buffer[] = [];
    const compression = {
      code: 4,
      compress: (records: Buffer) => {
        compressed.push(Buffer.from(records));
        return Buffer.from('squeezed');
      },
    };
    const records = packRecords([recordOf('v', { key: 'k', timestamp: now, headers: { seq: '1' } })]);
    const request = {
      ...header,
      topic: 't',
      partition: 0,
      records,
      timeout: 1,
      producerId: 1n,
      producerEpoch: 0,
      firstSequence: 0,
    };
    const bytes = await encodeProduceRequest({ ...request, compression });
    expect(bytes.subarray(-8).toString()).toBe('squeezed');
    expect(bytes.subarray(-8 - 61 + 21, -8 - 61 + 23).readInt16BE()).toBe(4);
    const plain = await encodeProduceRequest({ ...request, compression: uncompressed });
    expect(plain.subarray(-(compressed[0] as Buffer).length)).toEqual(compressed[0]);
  });
});
