/**
 * Numbers and texts as Avro's binary encoding and Kafka's record batches have them alike: a number is zigzag, seven bits a
 * byte, lowest first; a text is the number of its bytes in UTF-8, and these.
 */

/** Bytes that a number takes at most. */
export const mostVarintBytes = 10;

/** Writes an integer from -2^52 to 2^53 at `start`; returns where it ends. */
export function writeVarint(out: Buffer, start: number, value: number): number {
  let rest = value < 0 ? value * -2 - 1 : value * 2;
  let at = start;
  while (rest > 0x7f) {
    out[at] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
    at += 1;
  }
  out[at] = rest;
  return at + 1;
}

/** How many bytes `writeVarint` writes. */
export function varintBytes(value: number): number {
  let rest = value < 0 ? value * -2 - 1 : value * 2;
  let bytes = 1;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}

/** Bytes that a text takes at most: three a UTF-16 unit is the most that UTF-8 has. */
export function mostTextBytes(text: string): number {
  return mostVarintBytes + text.length * 3;
}

/** Writes a text at `start`; returns where it ends. */
export function writeText(out: Buffer, start: number, text: string): number {
  // Nearly all are short and ASCII, and a call into the runtime costs more than their bytes.
  const first = start + varintBytes(text.length);
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return writeUtf8(out, start, text);
    out[first + i] = unit;
  }
  return writeVarint(out, start, text.length) + text.length;
}

function writeUtf8(out: Buffer, start: number, text: string): number {
  const first = writeVarint(out, start, Buffer.byteLength(text));
  return first + out.write(text, first);
}

/** Reads numbers and texts one behind the other. */
export class VarintReader {
  readonly #bytes: Buffer;
  /** Where the next one begins. */
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** A length: not negative, of 31 bits at most. */
  length(): number {
    let zigzag = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.#bytes.readUInt8(this.at);
      this.at += 1;
      zigzag += (byte & 0x7f) * factor;
      if (byte < 0x80) return Math.floor(zigzag / 2);
    }
  }

  /** So many bytes as the length in front of them says; a view. */
  bytes(): Buffer {
    const length = this.length();
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  text(): string {
    return this.bytes().toString();
  }
}
