import type { Condition, Key, LearnedTable, SpanPlace, Step } from '../kernel/record-writer.ts';
import { longBytes, nullBytes, presentBytes, stringBytes } from '../schemas/avro-bytes.ts';
import type { AvroSchema } from '../schemas/fingerprint.ts';
import { type KernelRecord, micros, s64, u64 } from './kernel-record.ts';
import { textOf } from './text.ts';

/**
 * One field of a record in the topic, and the two ways from the kernel's record to it: the general one makes a value for
 * avsc, the fast one is data for the addon, which writes the Avro bytes at once. Both give the same bytes; the fast one is
 * taken for records that are whole (`whole` in record-table.ts), and may decline.
 */
export interface Field<Value> {
  /** As in the schema. */
  readonly type: AvroSchema;
  readonly read: (record: KernelRecord) => Value;
  readonly steps: readonly FieldStep[];
}

/** A number that is worked out for a record here. */
export type Given = (record: KernelRecord) => number;
export type FieldStep = Step<Given, Finding>;

/** Values that user space finds out about some bytes of a record; the addon keeps and copies them. */
export interface Finding {
  readonly learned: LearnedTable;
  readonly key: Key;
  /** What the table is told of a record that asks for what it does not know; as in LearnedTable.set. */
  readonly find: (record: KernelRecord) => {
    readonly parts: readonly Uint8Array[];
    readonly missing: readonly string[];
  };
}

const commBytes = 16;
const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

const bytes = (...pieces: readonly Uint8Array[]): FieldStep => ({ kind: 'bytes', bytes: Buffer.concat(pieces) });
const zero = bytes(nullBytes);

export function fixedText(value: string): Field<string> {
  return { type: 'string', read: () => value, steps: [bytes(stringBytes(value))] };
}

export function fixedLong(value: number): Field<number> {
  return { type: 'long', read: () => value, steps: [bytes(longBytes(value))] };
}

/** An int that is 0 in whole records. */
export function fixedZero(read: (record: KernelRecord) => number): Field<number> {
  return { type: 'int', read, steps: [zero] };
}

export function fixedFalse(): Field<boolean> {
  return { type: 'boolean', read: () => false, steps: [zero] };
}

/** A field that is null in whole records. */
export function absent<Value>(
  type: AvroSchema,
  read: (record: KernelRecord) => Value | null = () => null,
): Field<Value | null> {
  return { type: ['null', type], read, steps: [zero] };
}

/** Null in every record. @param type nullable, with null first */
export function untold(type: AvroSchema): Field<null> {
  return { type, read: () => null, steps: [zero] };
}

/**
 * A nullable string that is not in the record.
 * @param read undefined when it could not be found out, which is published as null
 * @param finding has it as this part, in whole records
 */
export function foundText(
  read: (record: KernelRecord) => string | null | undefined,
  finding: Finding,
  part: number,
): Field<string | null> {
  return {
    type: ['null', 'string'],
    read: (record) => read(record) ?? null,
    steps: [{ kind: 'learned', of: finding, part }],
  };
}

/**
 * Names, none in most records.
 * @param always of whole records
 * @param of what may be missing in whole records besides
 */
export function names(
  read: (record: KernelRecord) => string[],
  always: readonly string[],
  of: readonly Finding[],
): Field<string[]> {
  return { type: { type: 'array', items: 'string' }, read, steps: [{ kind: 'missing', names: always, of }] };
}

/** A field that can be null, and is not in whole records. */
export function nullable<Value>(
  field: Field<Value>,
  read: (record: KernelRecord) => Value | null = field.read,
): Field<Value | null> {
  // Null is the first branch.
  return { type: ['null', field.type], read, steps: [bytes(presentBytes), ...field.steps] };
}

/** A field that is null in some whole records too. */
export function optional<Value>(field: Field<Value>, isPresent: OptionalWhen): Field<Value | null> {
  const { type, steps } = nullable(field);
  return {
    type,
    read: (record) => (holds(isPresent, record) ? field.read(record) : null),
    steps: [{ kind: 'when', condition: isPresent, steps }],
  };
}

type OptionalWhen = Extract<Condition, { readonly kind: 'equal' | 'unequal' }>;

/** As the addon judges it. */
function holds({ kind, place, mask = 0xffff_ffff, value }: OptionalWhen, { buffer, at }: KernelRecord): boolean {
  const number = (buffer.readUIntLE(at + place.offset, place.bytes) & mask) >>> 0;
  return (number === value) === (kind === 'equal');
}

/** A string of the record that is not empty. */
export function isGiven({ length }: SpanPlace): OptionalWhen {
  return { kind: 'unequal', place: { offset: length, bytes: 2 }, value: 0 };
}

/** A boolean from a bit of the 32 at `offset`. */
export function bit(offset: number, bit: number): Field<boolean> {
  return {
    type: 'boolean',
    read: ({ buffer, at }) => ((buffer.readUInt32LE(at + offset) >>> bit) & 1) === 1,
    steps: [{ kind: 'bit', place: { offset, bytes: 4 }, index: bit }],
  };
}

/** A long that is computed. */
export function long(of: Given): Field<number> {
  return { type: 'long', read: of, steps: [{ kind: 'given', of }] };
}

/** Milliseconds since 1970, from the nanoseconds since boot at `offset`. @param clockOffset microseconds between the two */
export function wallTime(offset: number, clockOffset: Given): Field<number> {
  return {
    type: { type: 'long', logicalType: 'timestamp-millis' },
    read: (record) => Math.floor((micros(record.view, record.at + offset) + clockOffset(record)) / 1000),
    steps: [{ kind: 'millis', place: { offset, bytes: 8 }, of: clockOffset }],
  };
}

/** Milliseconds since 1970, in two's complement; in whole records not before. */
export function timestampMillis(offset: number): Field<number> {
  return {
    type: { type: 'long', logicalType: 'timestamp-millis' },
    read: ({ view, at }) => s64(view, at + offset),
    steps: [{ kind: 'number', place: { offset, bytes: 8 }, most: 'long' }],
  };
}

/** A long of microseconds, from the nanoseconds at `offset`. */
export function microsAsLong(offset: number): Field<number> {
  return {
    type: 'long',
    read: ({ view, at }) => micros(view, at + offset),
    steps: [{ kind: 'micros', place: { offset, bytes: 8 } }],
  };
}

/** A long from the 64 bits at `offset`. */
export function u64AsLong(offset: number): Field<number> {
  return {
    type: 'long',
    read: ({ view, at }) => u64(view, at + offset),
    steps: [{ kind: 'number', place: { offset, bytes: 8 }, most: 'long' }],
  };
}

/** A long from the 32 bits at `offset`. */
export function u32AsLong(offset: number): Field<number> {
  return {
    type: 'long',
    read: ({ buffer, at }) => buffer.readUInt32LE(at + offset),
    steps: [{ kind: 'number', place: { offset, bytes: 4 }, most: 'long' }],
  };
}

/** A long from the 16 bits at `offset`. */
export function u16AsLong(offset: number): Field<number> {
  return {
    type: 'long',
    read: ({ buffer, at }) => buffer.readUInt16LE(at + offset),
    steps: [{ kind: 'number', place: { offset, bytes: 2 }, most: 'long' }],
  };
}

/** An int from the 32 bits at `offset`, which has no place for the upper half of them. */
export function u32AsInt(offset: number): Field<number> {
  return {
    type: 'int',
    read: ({ buffer, at }) => buffer.readUInt32LE(at + offset),
    steps: [{ kind: 'number', place: { offset, bytes: 4 }, most: 'int' }],
  };
}

/** An int from the bits of a byte. */
export function bitsAsInt(offset: number, mask: number): Field<number> {
  return {
    type: 'int',
    read: ({ buffer, at }) => buffer.readUInt8(at + offset) & mask,
    steps: [{ kind: 'number', place: { offset, bytes: 1 }, mask, most: 'int' }],
  };
}

/** A string in decimal from the 64 bits at `offset`. */
export function u64AsText(offset: number): Field<string> {
  return {
    type: 'string',
    read: ({ buffer, at }) => String(buffer.readBigUInt64LE(at + offset)),
    steps: [{ kind: 'decimal', place: { offset, bytes: 8 } }],
  };
}

/** A string of fixed width: `prefix`, then in hexadecimal the 32 bits at each of the offsets. */
export function hexText(prefix: string, offsets: readonly number[]): Field<string> {
  return {
    type: 'string',
    read({ buffer, at }) {
      let text = prefix;
      for (const offset of offsets)
        for (let from = at + offset + 3; from >= at + offset; from -= 1) text += hexOfByte[buffer[from] as number];
      return text;
    },
    steps: [
      bytes(longBytes(prefix.length + offsets.length * 8), Buffer.from(prefix)),
      ...offsets.map((offset) => ({ kind: 'hex', offset }) as const),
    ],
  };
}

/** A string of at most 16 bytes, ended by a NUL when it is shorter. */
export function commText(offset: number): Field<string> {
  return {
    type: 'string',
    read({ buffer, at }) {
      const comm = buffer.subarray(at + offset, at + offset + commBytes);
      const end = comm.indexOf(0);
      return textOf(end < 0 ? comm : comm.subarray(0, end));
    },
    steps: [{ kind: 'name', offset }],
  };
}

/** MAJOR:MINOR from the 32 bits at `offset`, in the kernel's own encoding of device numbers (include/linux/kdev_t.h). */
export function deviceText(offset: number): Field<string> {
  const minorBits = 20;
  return {
    type: 'string',
    read({ buffer, at }) {
      const device = buffer.readUInt32LE(at + offset);
      return `${device >>> minorBits}:${device & ((1 << minorBits) - 1)}`;
    },
    steps: [{ kind: 'device', place: { offset, bytes: 4 } }],
  };
}

/** A string that a span points to. */
export function spanText(span: SpanPlace): Field<string> {
  return { type: 'string', read: (record) => textOf(spanBytes(record, span)), steps: [{ kind: 'text', span }] };
}

/** An array of strings from a span of texts that end with a NUL; `countOffset` is where their number stands, 32 bits. */
export function spanTexts(
  span: SpanPlace,
  countOffset: number,
  read: (record: KernelRecord) => string[],
): Field<string[]> {
  return {
    type: { type: 'array', items: 'string' },
    read,
    steps: [{ kind: 'texts', span, place: { offset: countOffset, bytes: 4 } }],
  };
}

/** The bytes by which the addon looks something up. */
export function keyBytes(key: Key, record: KernelRecord): Buffer {
  if ('span' in key) return spanBytes(record, key.span);
  const { buffer, at } = record;
  return Buffer.concat(key.numbers.map(({ offset, bytes }) => buffer.subarray(at + offset, at + offset + bytes)));
}

export function spanBytes({ buffer, at }: KernelRecord, span: SpanPlace): Buffer {
  const begin = at + buffer.readUInt16LE(at + span.offset);
  return buffer.subarray(begin, begin + buffer.readUInt16LE(at + span.length));
}
