import { isUtf8 } from 'node:buffer';

/**
 * Avro's binary encoding, written where it belongs without making a JavaScript value first. Each function returns the
 * end of what it wrote. Stores past the end of `out` do nothing, so an end behind it says how much room was needed.
 * Source: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
 */

/** Returned instead of an end: this value needs the general way (avsc), which writes it or says what is wrong. */
export const notWritten = -1;

/** Largest long that avsc writes and reads without a loss of precision. */
export const largestLong = 2 ** 53 - 2;
/** What four bytes hold, seven bits each. */
const fourBytes = 2 ** 28;

/**
 * A long or an int: zigzag, seven bits a byte, lowest first. Bit operations know 32 bits only, hence the two halves.
 * @param value other than 0 to 2^53 - 2 it is not written
 */
export function writeLong(out: Uint8Array, start: number, value: number): number {
  if (!(value >= 0 && value <= largestLong)) return notWritten;
  const zigzag = value * 2;
  let at = start;
  let rest = zigzag;
  if (zigzag >= fourBytes) {
    rest = Math.floor(zigzag / fourBytes);
    const low = zigzag - rest * fourBytes;
    out[at] = (low & 0x7f) | 0x80;
    out[at + 1] = ((low >>> 7) & 0x7f) | 0x80;
    out[at + 2] = ((low >>> 14) & 0x7f) | 0x80;
    out[at + 3] = (low >>> 21) | 0x80;
    at += 4;
  }
  for (; rest > 0x7f; rest >>>= 7) {
    out[at] = (rest & 0x7f) | 0x80;
    at += 1;
  }
  out[at] = rest;
  return at + 1;
}

/** What a nullable string takes, and a nullable array of strings: in one piece, for what is kept and copied. */
export function textBytes(text: string | null): Buffer {
  return text === null ? nullBytes : Buffer.concat([present, lengthAndText(text)]);
}

export function textsBytes(texts: readonly string[] | null): Buffer {
  if (texts === null) return nullBytes;
  const block = texts.length > 0 ? [longBytes(texts.length), ...texts.map(lengthAndText)] : [];
  return Buffer.concat([present, ...block, nullBytes]);
}

/** What `textBytes` was given. */
export function textOfBytes(bytes: Uint8Array): string | null {
  return bytes[0] === 0 ? null : readText(bytes, 1).text;
}

export function textsOfBytes(bytes: Uint8Array): string[] | null {
  if (bytes[0] === 0) return null;
  const texts: string[] = [];
  const block = readLong(bytes, 1);
  for (let at = block.end; texts.length < block.value; ) {
    const { text, end } = readText(bytes, at);
    texts.push(text);
    at = end;
  }
  return texts;
}

/** The branch of a nullable value that is there is the second one, and its number 1; null has no bytes of its own. */
const present = Buffer.from([2]);
const nullBytes = Buffer.from([0]);

function longBytes(value: number): Buffer {
  const bytes = Buffer.alloc(10);
  return bytes.subarray(0, writeLong(bytes, 0, value));
}

function lengthAndText(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([longBytes(bytes.length), bytes]);
}

/** Of lengths, which have 32 bits. */
function readLong(bytes: Uint8Array, begin: number): { readonly value: number; readonly end: number } {
  let zigzag = 0;
  let at = begin;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at] as number;
    at += 1;
    zigzag |= (byte & 0x7f) << shift;
    if (byte < 0x80) return { value: zigzag >>> 1, end: at };
  }
}

function readText(bytes: Uint8Array, begin: number): { readonly text: string; readonly end: number } {
  const { value, end } = readLong(bytes, begin);
  return { text: Buffer.from(bytes.subarray(end, end + value)).toString(), end: end + value };
}

/** The bytes from `begin` to `end` as a string; not written when they are not UTF-8. */
export function writeText(out: Uint8Array, start: number, bytes: Uint8Array, begin: number, end: number): number {
  let at = writeLong(out, start, end - begin);
  let bits = 0;
  // Texts are short: a loop is faster than the call of a copy.
  for (let i = begin; i < end; i += 1) {
    const byte = bytes[i] as number;
    bits |= byte;
    out[at] = byte;
    at += 1;
  }
  return bits < 0x80 || isUtf8(bytes.subarray(begin, end)) ? at : notWritten;
}

/**
 * The bytes from `begin` to `end` as an array of strings, each of which ends with a NUL, the last one perhaps without.
 * @param count how many they should be: it stands before them, and with another number they are not written
 */
export function writeTexts(
  out: Buffer,
  start: number,
  bytes: Buffer,
  begin: number,
  end: number,
  count: number,
): number {
  let at = begin < end ? writeLong(out, start, count) : start;
  if (at === notWritten) return notWritten;
  let written = 0;
  let bits = 0;
  for (let i = begin; i < end; i += 1) {
    // A length is known behind its text: one byte is kept for it, and a long text makes room for more.
    const textAt = at + 1;
    for (at = textAt; i < end; i += 1) {
      const byte = bytes[i] as number;
      if (byte === 0) break;
      bits |= byte;
      out[at] = byte;
      at += 1;
    }
    const length = at - textAt;
    const lengthEnd = writeLong(out, textAt - 1, length);
    if (lengthEnd > textAt) {
      bytes.copy(out, lengthEnd, i - length, i);
      at = lengthEnd + length;
    }
    written += 1;
  }
  if (begin < end && written !== count) return notWritten;
  if (bits >= 0x80 && !isUtf8(bytes.subarray(begin, end))) return notWritten;
  // The end of the array's blocks.
  out[at] = 0;
  return at + 1;
}
