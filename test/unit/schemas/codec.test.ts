import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OutgoingBatch } from '../../../src/batch.ts';
import { topicSchema } from '../../../src/schemas/catalog.ts';
import { createCodec, createDecoder, type Framing } from '../../../src/schemas/codec.ts';
import { type AvroSchema, fingerprint } from '../../../src/schemas/fingerprint.ts';
import { anyEvent, fullEvent } from './events.ts';

const topic = 'exec-events';
const { schema } = topicSchema(topic);
const singleObject: Framing = { kind: 'single-object' };
const confluent: Framing = { kind: 'confluent', schemaId: 0x01020304 };
const schemaById = async (id: number): Promise<AvroSchema> => {
  if (id !== 0x01020304) throw new Error(`no schema ${id}`);
  return schema;
};

function encodeOne(framing: Framing): Buffer {
  return createCodec({ topic, framing }).encode([fullEvent]).records.at(0).value;
}

describe('every record names its schema', () => {
  test('Confluent: byte 0 and the id, big-endian', () => {
    expect([...encodeOne(confluent).subarray(0, 5)]).toEqual([0, 1, 2, 3, 4]);
  });

  test('single object: C3 01 and the fingerprint, little-endian', () => {
    const value = encodeOne(singleObject);
    expect([...value.subarray(0, 2)]).toEqual([0xc3, 0x01]);
    expect(value.subarray(2, 10)).toEqual(fingerprint(schema));
  });

  test('both frame the same Avro bytes', () => {
    expect(encodeOne(confluent).subarray(5)).toEqual(encodeOne(singleObject).subarray(10));
  });
});

/** That the values of a batch stand in. */
const memoryOf = ({ records }: OutgoingBatch) => records.at(0).value.buffer;

describe('encode', () => {
  test('the record carries its host, the time of the event and what identifies it', () => {
    const { topic: name, records } = createCodec({ topic, framing: singleObject }).encode([fullEvent]);
    expect(name).toBe('exec-events');
    expect(records.at(0)).toMatchObject({
      key: fullEvent.host_id,
      timestamp: fullEvent.event_time,
      headers: { boot_id: fullEvent.boot_id, seq: '81240001' },
    });
  });

  test.each(['seq', 'event_time', 'uid', 'boot_micros'])('a %s past 2^53 is refused and named, not rounded', (name) => {
    const { encode } = createCodec({ topic, framing: singleObject });
    expect(() => encode([fullEvent, { ...fullEvent, [name]: 2 ** 53 + 2 }])).toThrow(
      new RegExp(`cannot encode an event of exec-events.*\\b${name}\\b`),
    );
  });

  test('a number that avsc would write as another one is refused', () => {
    const { encode } = createCodec({ topic, framing: singleObject });
    expect(() => encode([{ ...fullEvent, uid: -(2 ** 52) - 1 }])).toThrow('uid is below -2^52');
  });

  test('the error does not repeat what the process was given', () => {
    const { encode } = createCodec({ topic, framing: singleObject });
    const event = { ...fullEvent, args: ['hunter2', 7 as unknown as string] };
    expect(() => encode([event])).toThrow(/args/);
    expect(() => encode([event])).not.toThrow(/hunter2/);
  });

  test('an empty batch gives no records', () => {
    expect(createCodec({ topic, framing: singleObject }).encode([]).records).toHaveLength(0);
  });

  test('records of a batch stay as they are while later batches are encoded', () => {
    const { encode } = createCodec({ topic, framing: singleObject });
    const first = encode([fullEvent, { ...fullEvent, comm: 'second' }]);
    const before = Array.from(first.records, ({ value }) => Buffer.from(value));
    for (let i = 0; i < 20; i++) encode(Array.from({ length: 50 }, () => ({ ...fullEvent, comm: 'zzzzzzzzzzzz' })));
    expect(Array.from(first.records, ({ value }) => value)).toEqual(before);
  });

  test('the memory of a batch is used again when it is released, and not before', () => {
    const { encode } = createCodec({ topic, framing: singleObject });
    const batch = () => encode([fullEvent, fullEvent]);
    batch(); // the next ones are sized by it
    const first = batch();
    const kept = memoryOf(first);
    expect(memoryOf(batch())).not.toBe(kept);
    first.release?.();
    const second = batch();
    expect(memoryOf(second)).toBe(kept);
    first.release?.(); // once is enough: the second one's memory stays
    expect(memoryOf(batch())).not.toBe(kept);
  });

  test('of many that are released at once no more memory is kept than is used', () => {
    const { encode } = createCodec({ topic, framing: singleObject });
    const batch = () => encode([fullEvent, fullEvent]);
    batch();
    const released = Array.from({ length: 20 }, batch);
    for (const { release } of released) release?.();
    const known = new Set(released.map(memoryOf));
    const again = Array.from({ length: 20 }, batch).map(memoryOf);
    expect(new Set(again.filter((memory) => known.has(memory))).size).toBe(4);
  });
});

describe('decode reads back what encode wrote', () => {
  test.each<[string, Framing]>([
    ['single object', singleObject],
    ['Confluent', confluent],
  ])('%s: any events, in order, whatever their sizes', async (_name, framing) => {
    const decoder = createDecoder({ topic, schemaById });
    await fc.assert(
      fc.asyncProperty(fc.array(anyEvent, { maxLength: 12 }), async (events) => {
        // A codec of its own, so that the size of its memory is a guess and large events make it grow.
        const { records } = createCodec({ topic, framing }).encode(events);
        const decoded = await Promise.all(Array.from(records, ({ value }) => decoder.decode(value)));
        expect(decoded.map((result) => (result.ok ? { ...result.event } : result))).toEqual(events);
      }),
      { numRuns: 150 },
    );
  });

  test('one codec over batches of very different sizes', async () => {
    const decoder = createDecoder({ topic });
    const { encode } = createCodec({ topic, framing: singleObject });
    for (const size of [1, 30_000, 1, 100_000, 10, 0, 32_768]) {
      const events = [1, 2, 3].map((seq) => ({ ...fullEvent, seq, filename: 'x'.repeat(size * seq) }));
      for (const [index, { value }] of [...encode(events).records].entries()) {
        expect(await decoder.decode(value)).toEqual({ ok: true, event: events[index] });
      }
    }
  });
});

describe('decode says why a record cannot be read', () => {
  const reasons: [string, Buffer | null, RegExp][] = [
    ['no value', null, /no value/],
    ['an empty value', Buffer.alloc(0), /neither/],
    ['something else', Buffer.from('{"pid":1}'), /neither/],
    ['damaged Avro', Buffer.concat([encodeOne(singleObject).subarray(0, 60)]), /.+/],
    ['bytes behind the record', Buffer.concat([encodeOne(singleObject), Buffer.from([1])]), /.+/],
  ];
  test.each(reasons)('%s', async (_name, value, reason) => {
    expect(await createDecoder({ topic, schemaById }).decode(value)).toEqual({
      ok: false,
      reason: expect.stringMatching(reason) as string,
    });
  });

  test('an unknown fingerprint: its schema is missing', async () => {
    expect(await createDecoder({ topic }).decode(Buffer.from('c301efcdab8967452301', 'hex'))).toEqual({
      ok: false,
      reason: expect.stringMatching(/fingerprint 0123456789abcdef.*not known/) as string,
      schemaMissing: true,
    });
  });

  test('Confluent framing without a registry: its schema is missing', async () => {
    expect(await createDecoder({ topic }).decode(encodeOne(confluent))).toEqual({
      ok: false,
      reason: 'its schema has the registry id 16909060; give --registry',
      schemaMissing: true,
    });
  });

  test('an id that the registry does not give, and the next record all the same', async () => {
    const decoder = createDecoder({ topic, schemaById });
    const foreign = encodeOne({ kind: 'confluent', schemaId: 9 });
    expect(await decoder.decode(foreign)).toEqual({ ok: false, reason: 'no schema 9', schemaMissing: true });
    expect((await decoder.decode(encodeOne(confluent))).ok).toBe(true);
  });

  test('a schema that cannot be read as this one', async () => {
    const decoder = createDecoder({ topic, schemaById: async () => ({ type: 'record', name: 'Other', fields: [] }) });
    expect(await decoder.decode(encodeOne(confluent))).toMatchObject({ ok: false });
  });
});

test('the schema of an id is asked for once, and a record of a newer writer is read', async () => {
  const asked: number[] = [];
  const { fields, ...rest } = schema as unknown as { fields: unknown[] };
  const newer = {
    ...rest,
    fields: [{ name: 'added', type: ['null', 'string'], default: null }, ...fields],
  } as AvroSchema;
  const decoder = createDecoder({
    topic,
    schemaById: async (id) => {
      asked.push(id);
      return newer;
    },
  });
  const old = encodeOne(confluent);
  // The new field first: one byte for its null.
  const value = Buffer.concat([old.subarray(0, 5), Buffer.from([0]), old.subarray(5)]);
  for (let i = 0; i < 3; i++) expect(await decoder.decode(value)).toEqual({ ok: true, event: fullEvent });
  expect(asked).toEqual([0x01020304]);
});
