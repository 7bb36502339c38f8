import { notWritten, writeLong, writeText, writeTexts } from '../schemas/avro-bytes.ts';
import type { AvroSchema } from '../schemas/fingerprint.ts';
import { type KernelRecord, type SpanOffset, u64 } from './kernel-record.ts';
import { textOf } from './text.ts';

/**
 * One field of a record in the topic, and the two ways from the kernel's record to it: the general one makes a value for
 * avsc, the fast one writes the Avro bytes at once. Both give the same bytes; the fast one is asked for records that are
 * whole (`isWhole` in record-table.ts), and may decline.
 */
export interface Field<Value> {
  /** As in the schema. */
  readonly type: AvroSchema;
  readonly read: (record: KernelRecord) => Value;
  /** The Avro bytes that are the same for each whole record: all of them, or those in front of what `write` writes. */
  readonly fixed: Buffer;
  /** Writes the others at `at` and returns the end, as the functions of avro-bytes.ts; `notWritten` when it declines. */
  readonly write?: (out: Buffer, at: number, record: KernelRecord) => number;
}

const intMax = 2 ** 31 - 1;
const commBytes = 16;

const none = Buffer.alloc(0);
const decimal = Buffer.from('0123456789');
const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
/** The two characters of each byte, the first one in the low half. */
const hexPairs = Uint16Array.from(hexOfByte, (text) => Buffer.from(text).readUInt16LE());

export function fixedText(value: string): Field<string> {
  const text = Buffer.from(value);
  const bytes = Buffer.alloc(text.length + 10);
  const end = writeText(bytes, 0, text, 0, text.length);
  return { type: 'string', read: () => value, fixed: bytes.subarray(0, end) };
}

export function fixedLong(value: number): Field<number> {
  const bytes = Buffer.alloc(10);
  const end = writeLong(bytes, 0, value);
  if (end === notWritten) throw new RangeError(`${value} is not a long from 0 to 2^53 - 2`);
  return { type: 'long', read: () => value, fixed: bytes.subarray(0, end) };
}

/** An int that is 0 in whole records. */
export function fixedZero(read: (record: KernelRecord) => number): Field<number> {
  return { type: 'int', read, fixed: Buffer.from([0]) };
}

export function fixedFalse(): Field<boolean> {
  return { type: 'boolean', read: () => false, fixed: Buffer.from([0]) };
}

/** An array that is empty in whole records. */
export function emptyArray<Item>(items: AvroSchema, read: (record: KernelRecord) => Item[]): Field<Item[]> {
  return { type: { type: 'array', items }, read, fixed: Buffer.from([0]) };
}

/** A field that is null in whole records. */
export function absent<Value>(
  type: AvroSchema,
  read: (record: KernelRecord) => Value | null = () => null,
): Field<Value | null> {
  return { type: ['null', type], read, fixed: Buffer.from([0]) };
}

/** Null in every record. @param type nullable, with null first */
export function untold(type: AvroSchema): Field<null> {
  return { type, read: () => null, fixed: Buffer.from([0]) };
}

/** A nullable string that is not in the record; undefined when it could not be found out, which is published as null. */
export function foundText(of: (record: KernelRecord) => string | null | undefined): Field<string | null> {
  return {
    type: ['null', 'string'],
    read: (record) => of(record) ?? null,
    fixed: none,
    write(out, start, record) {
      const value = of(record) ?? null;
      if (value === null) {
        out[start] = 0;
        return start + 1;
      }
      out[start] = 2;
      return writeAscii(out, start + 1, value);
    },
  };
}

/** Names, none in most records. */
export function names(
  read: (record: KernelRecord) => string[],
  inWholeRecords: (record: KernelRecord) => readonly string[],
): Field<string[]> {
  return {
    type: { type: 'array', items: 'string' },
    read,
    fixed: none,
    write(out, start, record) {
      const list = inWholeRecords(record);
      let at = list.length > 0 ? writeLong(out, start, list.length) : start;
      for (const name of list) at = writeAscii(out, at, name);
      out[at] = 0;
      return at + 1;
    },
  };
}

function writeAscii(out: Buffer, start: number, text: string): number {
  let at = writeLong(out, start, text.length);
  let bits = 0;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    bits |= code;
    out[at] = code;
    at += 1;
  }
  return bits < 0x80 ? at : notWritten;
}

/** A field that can be null, and is not in whole records. */
export function nullable<Value>(
  field: Field<Value>,
  read: (record: KernelRecord) => Value | null = field.read,
): Field<Value | null> {
  // Null is the first branch, the value the second: its index is 1, as zigzag 2.
  return { ...field, type: ['null', field.type], read, fixed: Buffer.concat([Buffer.from([2]), field.fixed]) };
}

/** A field that is null in some whole records too. */
export function optional<Value>(
  field: Field<Value>,
  isPresent: (record: KernelRecord) => boolean,
): Field<Value | null> {
  const { fixed, write } = nullable(field);
  return {
    type: ['null', field.type],
    read: (record) => (isPresent(record) ? field.read(record) : null),
    fixed: none,
    write(out, start, record) {
      if (!isPresent(record)) {
        out[start] = 0;
        return start + 1;
      }
      let at = start;
      for (const byte of fixed) {
        out[at] = byte;
        at += 1;
      }
      return write === undefined ? at : write(out, at, record);
    },
  };
}

/** A boolean from a bit of the 32 at `offset`. */
export function bit(offset: number, bit: number): Field<boolean> {
  return {
    type: 'boolean',
    read: ({ buffer, at }) => ((buffer.readUInt32LE(at + offset) >>> bit) & 1) === 1,
    fixed: none,
    write(out, at, record) {
      out[at] = (record.buffer.readUInt32LE(record.at + offset) >>> bit) & 1;
      return at + 1;
    },
  };
}

/** A long that is computed. */
export function long(of: (record: KernelRecord) => number): Field<number> {
  return { type: 'long', read: of, fixed: none, write: (out, at, record) => writeLong(out, at, of(record)) };
}

/** An int that is computed. */
export function int(of: (record: KernelRecord) => number): Field<number> {
  return { ...long(of), type: 'int' };
}

/** Milliseconds since 1970. */
export function timestampMillis(of: (record: KernelRecord) => number): Field<number> {
  return { ...long(of), type: { type: 'long', logicalType: 'timestamp-millis' } };
}

/** A long from the 64 bits at `offset`. */
export function u64AsLong(offset: number): Field<number> {
  return {
    type: 'long',
    read: ({ buffer, at }) => u64(buffer, at + offset),
    fixed: none,
    write: (out, at, record) => writeLong(out, at, u64(record.buffer, record.at + offset)),
  };
}

/** A long from the 32 bits at `offset`. */
export function u32AsLong(offset: number): Field<number> {
  return {
    type: 'long',
    read: ({ buffer, at }) => buffer.readUInt32LE(at + offset),
    fixed: none,
    write: (out, at, record) => writeLong(out, at, record.buffer.readUInt32LE(record.at + offset)),
  };
}

/** A long from the 16 bits at `offset`. */
export function u16AsLong(offset: number): Field<number> {
  return {
    type: 'long',
    read: ({ buffer, at }) => buffer.readUInt16LE(at + offset),
    fixed: none,
    write: (out, at, record) => writeLong(out, at, record.buffer.readUInt16LE(record.at + offset)),
  };
}

/** An int from the 32 bits at `offset`, which has no place for the upper half of them. */
export function u32AsInt(offset: number): Field<number> {
  return {
    type: 'int',
    read: ({ buffer, at }) => buffer.readUInt32LE(at + offset),
    fixed: none,
    write(out, at, record) {
      const value = record.buffer.readUInt32LE(record.at + offset);
      return value <= intMax ? writeLong(out, at, value) : notWritten;
    },
  };
}

/** A string in decimal from the 64 bits at `offset`. */
export function u64AsText(offset: number): Field<string> {
  return {
    type: 'string',
    read: ({ buffer, at }) => String(buffer.readBigUInt64LE(at + offset)),
    fixed: none,
    write(out, start, { buffer, at }) {
      if (buffer.readUInt32LE(at + offset + 4) !== 0) return notWritten;
      let rest = buffer.readUInt32LE(at + offset);
      let length = 1;
      for (let power = 10; power <= rest; power *= 10) length += 1;
      out[start] = length << 1;
      for (let i = start + length; i > start; i -= 1) {
        out[i] = decimal[rest % 10] as number;
        rest = Math.floor(rest / 10);
      }
      return start + 1 + length;
    },
  };
}

/** A string of fixed width: `prefix`, then in hexadecimal the 32 bits at each of the offsets. */
export function hexText(prefix: string, offsets: readonly number[]): Field<string> {
  const { fixed } = fixedText(prefix.padEnd(prefix.length + offsets.length * 8));
  return {
    type: 'string',
    read({ buffer, at }) {
      let text = prefix;
      for (const offset of offsets)
        for (let from = at + offset + 3; from >= at + offset; from -= 1) text += hexOfByte[buffer[from] as number];
      return text;
    },
    fixed: fixed.subarray(0, fixed.length - offsets.length * 8),
    write(out, start, record) {
      let at = start;
      for (let i = 0; i < offsets.length; i += 1) {
        const begin = record.at + (offsets[i] as number);
        for (let from = begin + 3; from >= begin; from -= 1) {
          const pair = hexPairs[record.buffer[from] as number] as number;
          out[at] = pair;
          out[at + 1] = pair >>> 8;
          at += 2;
        }
      }
      return at;
    },
  };
}

/** A string of at most 16 bytes, ended by a NUL when it is shorter. */
export function commText(offset: number): Field<string> {
  const endOf = (buffer: Buffer, begin: number) => {
    let end = begin;
    while (end < begin + commBytes && buffer[end] !== 0) end += 1;
    return end;
  };
  return {
    type: 'string',
    read: ({ buffer, at }) => textOf(buffer.subarray(at + offset, endOf(buffer, at + offset))),
    fixed: none,
    write(out, at, record) {
      const begin = record.at + offset;
      return writeText(out, at, record.buffer, begin, endOf(record.buffer, begin));
    },
  };
}

/** MAJOR:MINOR from the 32 bits at `offset`, in the kernel's own encoding of device numbers (include/linux/kdev_t.h). */
export function deviceText(offset: number): Field<string> {
  const minorBits = 20;
  // A host has a few.
  const texts = new Map<number, Buffer>();
  const textAt = ({ buffer, at }: KernelRecord) => {
    const device = buffer.readUInt32LE(at + offset);
    let text = texts.get(device);
    if (text === undefined) {
      text = Buffer.from(`${device >>> minorBits}:${device & ((1 << minorBits) - 1)}`);
      if (texts.size < 1_000) texts.set(device, text);
    }
    return text;
  };
  return {
    type: 'string',
    read: (record) => textAt(record).toString(),
    fixed: none,
    write(out, at, record) {
      const text = textAt(record);
      return writeText(out, at, text, 0, text.length);
    },
  };
}

/** A string that a span points to. */
export function spanText(span: SpanOffset): Field<string> {
  return {
    type: 'string',
    read: (record) => textOf(spanBytes(record, span)),
    fixed: none,
    write(out, at, record) {
      const begin = record.at + record.buffer.readUInt16LE(record.at + span.offset);
      const end = begin + record.buffer.readUInt16LE(record.at + span.length);
      return writeText(out, at, record.buffer, begin, end);
    },
  };
}

/** An array of strings from a span of texts that end with a NUL; `countOffset` is where their number stands, 32 bits. */
export function spanTexts(
  span: SpanOffset,
  countOffset: number,
  read: (record: KernelRecord) => string[],
): Field<string[]> {
  return {
    type: { type: 'array', items: 'string' },
    read,
    fixed: none,
    write(out, at, record) {
      const begin = record.at + record.buffer.readUInt16LE(record.at + span.offset);
      const end = begin + record.buffer.readUInt16LE(record.at + span.length);
      return writeTexts(out, at, record.buffer, begin, end, record.buffer.readUInt32LE(record.at + countOffset));
    },
  };
}

export function spanBytes({ buffer, at }: KernelRecord, span: SpanOffset): Buffer {
  const begin = at + buffer.readUInt16LE(at + span.offset);
  return buffer.subarray(begin, begin + buffer.readUInt16LE(at + span.length));
}
