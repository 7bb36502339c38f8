import { mostVarintBytes, VarintReader, writeVarint } from '../records/varint.ts';

/**
 * Avro's binary encoding of single values, for what is the same in many records and is kept and copied.
 * Source: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
 */

/** The branch of a nullable value that is there is the second one, and its number 1. */
export const presentBytes: Uint8Array = Buffer.from([2]);
/** Null has no bytes of its own. An empty array is the same byte, and so are 0 and false. */
export const nullBytes: Uint8Array = Buffer.from([0]);

/** Largest long that avsc writes and reads without a loss of precision. */
const largestLong = 2 ** 53 - 2;

/** A long or an int, from 0 to 2^53 - 2: zigzag, seven bits a byte, lowest first. */
export function longBytes(value: number): Buffer {
  if (!(Number.isInteger(value) && value >= 0 && value <= largestLong))
    throw new RangeError(`${value} is not a long from 0 to 2^53 - 2`);
  const bytes = Buffer.alloc(mostVarintBytes);
  return bytes.subarray(0, writeVarint(bytes, 0, value));
}

export function stringBytes(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([longBytes(bytes.length), bytes]);
}

/** What a nullable string takes, and a nullable array of strings. */
export function textBytes(text: string | null): Uint8Array {
  return text === null ? nullBytes : Buffer.concat([presentBytes, stringBytes(text)]);
}

export function textsBytes(texts: readonly string[] | null): Uint8Array {
  if (texts === null) return nullBytes;
  const block = texts.length > 0 ? [longBytes(texts.length), ...texts.map(stringBytes)] : [];
  return Buffer.concat([presentBytes, ...block, nullBytes]);
}

/** What `textBytes` was given. */
export function textOfBytes(bytes: Uint8Array): string | null {
  return bytes[0] === 0 ? null : readerOf(bytes).text();
}

export function textsOfBytes(bytes: Uint8Array): string[] | null {
  if (bytes[0] === 0) return null;
  const reader = readerOf(bytes);
  return Array.from({ length: reader.length() }, () => reader.text());
}

/** Behind the branch. */
function readerOf({ buffer, byteOffset, length }: Uint8Array): VarintReader {
  return new VarintReader(Buffer.from(buffer, byteOffset, length), 1);
}
