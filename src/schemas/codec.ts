import avro from 'avsc';
import type { OutgoingBatch } from '../batch.ts';
import { reasonOf } from '../errors.ts';
import { RecordPacker } from '../records/record-packer.ts';
import { type TopicEvents, type TopicName, topicSchema } from './catalog.ts';
import { type AvroSchema, fingerprint } from './fingerprint.ts';

/** What stands before the Avro bytes, so that every record names its schema. */
export type Framing =
  /** Byte 0 and the registry's schema id, four bytes big-endian. */
  | { readonly kind: 'confluent'; readonly schemaId: number }
  /** C3 01 and the CRC-64-AVRO fingerprint of the schema, eight bytes little-endian. */
  | { readonly kind: 'single-object' };

export interface Codec<Event> {
  /**
   * The events as records, in order, with their host as key. They stay valid until the batch is released, or for as long
   * as they are referenced when nobody does.
   * Throws when an event does not fit the schema: a number past 2^53 would be written rounded.
   */
  encode(events: readonly Event[]): OutgoingBatch;
}

/** The codec that avsc makes of a topic's schema. */
export interface AvroCodec<Event> extends Codec<Event> {
  /** What stands before the Avro bytes of every value. */
  readonly frame: Buffer;
  /** The event of a value that has this frame. */
  read(value: Buffer): Event;
}

/** The event, or why the record could not be read: a consumer says so and goes on with the next one. */
export type Decoded<Event> = { readonly ok: true; readonly event: Event } | Unreadable;

export interface Unreadable {
  readonly ok: false;
  readonly reason: string;
  /** Only its schema is missing here: with a registry that answers, or by a newer version, it can be read. */
  readonly schemaMissing?: true;
}

export interface Decoder<Event> {
  decode(value: Buffer | null): Promise<Decoded<Event>>;
}

const confluentMagic = 0x00;
const singleObjectMagic = Buffer.from([0xc3, 0x01]);
const confluentHeaderBytes = 5;
const singleObjectHeaderBytes = 10;

/** Below it avsc 5.7.9 writes another number without a word: its zigzag (-n * 2 - 1) passes 2^53 and is rounded. */
const smallestLong = -(2 ** 52);

/** Fields of a record that are a long, or a long or null. */
function longFields(type: avro.Type): string[] {
  return (type as avro.types.RecordType).fields
    .filter((field) => {
      const branches = (field.type as avro.types.UnwrappedUnionType).types ?? [field.type];
      return branches.some((branch) => branch.typeName === 'long');
    })
    .map((field) => field.name);
}

/** Logical types stay plain numbers and unions are not wrapped: an event is encoded as it is. */
function compile(schema: AvroSchema): avro.Type {
  return avro.Type.forSchema(schema as Parameters<typeof avro.Type.forSchema>[0], {
    wrapUnions: false,
    omitRecordMethods: true,
  });
}

/** What stands before values of the schema. */
export function frameOf(framing: Framing, schema: AvroSchema): Buffer {
  if (framing.kind === 'single-object') return Buffer.concat([singleObjectMagic, fingerprint(schema)]);
  const header = Buffer.alloc(confluentHeaderBytes);
  header.writeUInt8(confluentMagic, 0);
  header.writeInt32BE(framing.schemaId, 1);
  return header;
}

export function createCodec<Topic extends TopicName>(options: {
  readonly topic: Topic;
  readonly framing: Framing;
}): AvroCodec<TopicEvents[Topic]> {
  const { topic } = options;
  const { schema, timestampOf, headersOf } = topicSchema(topic);
  const type = compile(schema);
  const frame = frameOf(options.framing, schema);
  const longs = longFields(type);
  type Event = TopicEvents[Topic];
  const packer = new RecordPacker<Event>((event, memory, start) => {
    const values = event as unknown as Readonly<Record<string, number | null>>;
    for (const name of longs) {
      if ((values[name] ?? 0) < smallestLong) throw new RangeError(`${name} is below -2^52`);
    }
    const bodyStart = start + frame.copy(memory, start);
    // avsc refuses to begin behind the end.
    if (bodyStart < start + frame.length) return start + frame.length;
    const end = type.encode(event, memory, bodyStart);
    return end < 0 ? memory.length - end : end;
  });

  function pack(event: Event): void {
    try {
      packer.add(event, { key: event.host_id, timestamp: timestampOf(event), headers: headersOf(event) });
    } catch (error) {
      throw new Error(`cannot encode an event of ${topic}: ${misfit(type, event, error)}`, { cause: error });
    }
  }

  return {
    frame,
    read: (value) => type.fromBuffer(value.subarray(frame.length)) as Event,
    encode(events) {
      packer.begin(events.length);
      for (const event of events) pack(event);
      return { topic, records: packer.finish(), release: packer.releaser() };
    },
  };
}

/** Which field is at fault; never its value, which may be a secret of the process. */
function misfit(type: avro.Type, event: unknown, error: unknown): string {
  const fields = new Set<string>();
  type.isValid(event, { errorHook: (path) => fields.add(path.join('.')) });
  if (fields.size === 0) return reasonOf(error);
  return `not valid for the schema: ${[...fields].join(', ')}`;
}

/**
 * Reads both framings, whatever the writer's version. `schemaById` asks the registry for the schema of an id;
 * without it records with Confluent framing cannot be read.
 */
export function createDecoder<Topic extends TopicName>(options: {
  readonly topic: Topic;
  readonly schemaById?: (id: number) => Promise<AvroSchema>;
}): Decoder<TopicEvents[Topic]> {
  const { schema, released } = topicSchema(options.topic);
  const reader = compile(schema);
  type Read = (avroBytes: Buffer) => TopicEvents[Topic];

  const own = fingerprint(schema);

  function readerOf(writerSchema: AvroSchema): Read {
    // What this build writes needs no resolver, and reads faster without.
    if (fingerprint(writerSchema).equals(own)) return (avroBytes) => reader.fromBuffer(avroBytes) as TopicEvents[Topic];
    const resolver = reader.createResolver(compile(writerSchema));
    return (avroBytes) => reader.fromBuffer(avroBytes, resolver) as TopicEvents[Topic];
  }

  const byFingerprint = new Map<string, Read>();
  for (const known of [schema, ...released]) byFingerprint.set(fingerprint(known).toString('hex'), readerOf(known));
  const byId = new Map<number, Read>();

  const schemaMissing = (reason: string): Unreadable => ({ ok: false, reason, schemaMissing: true });

  async function find(value: Buffer): Promise<{ read: Read; avroBytes: Buffer } | Unreadable> {
    if (value.length >= singleObjectHeaderBytes && value.subarray(0, 2).equals(singleObjectMagic)) {
      const bytes = value.subarray(2, singleObjectHeaderBytes);
      const read = byFingerprint.get(bytes.toString('hex'));
      if (read !== undefined) return { read, avroBytes: value.subarray(singleObjectHeaderBytes) };
      const shown = bytes.readBigUInt64LE().toString(16).padStart(16, '0');
      return schemaMissing(
        `its schema (fingerprint ${shown}) is not known to this version; read it with the version that wrote it`,
      );
    }
    if (value.length >= confluentHeaderBytes && value[0] === confluentMagic) {
      const id = value.readInt32BE(1);
      let read = byId.get(id);
      if (read === undefined) {
        const { schemaById } = options;
        if (schemaById === undefined) return schemaMissing(`its schema has the registry id ${id}; give --registry`);
        let writerSchema: AvroSchema;
        try {
          writerSchema = await schemaById(id);
        } catch (error) {
          return schemaMissing(reasonOf(error));
        }
        read = readerOf(writerSchema);
        byId.set(id, read);
      }
      return { read, avroBytes: value.subarray(confluentHeaderBytes) };
    }
    return { ok: false, reason: 'it begins with neither the Confluent framing nor the Avro single-object encoding' };
  }

  return {
    async decode(value) {
      if (value === null) return { ok: false, reason: 'it has no value' };
      try {
        const found = await find(value);
        if ('ok' in found) return found;
        return { ok: true, event: found.read(found.avroBytes) };
      } catch (error) {
        // Damaged bytes, a schema that cannot be resolved: all of this one record.
        return { ok: false, reason: reasonOf(error) };
      }
    },
  };
}
