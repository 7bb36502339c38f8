import { deserialize, serialize } from 'node:v8';

/** How vitest and its worker talk over a byte stream: a message is its length, 4 bytes, and V8's serialization. */

export function encodeFrame(message: unknown): Buffer {
  const body = serialize(message);
  const frame = Buffer.allocUnsafe(4 + body.length);
  frame.writeUInt32LE(body.length);
  frame.set(body, 4);
  return frame;
}

/** Takes bytes as they come and gives out the messages that are complete. */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #bytes = 0;

  *push(chunk: Buffer): Generator<unknown> {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes >= 4) {
      if ((this.#chunks[0] as Buffer).length < 4) this.#join();
      const length = 4 + (this.#chunks[0] as Buffer).readUInt32LE();
      if (this.#bytes < length) return;
      const joined = this.#join();
      this.#chunks = [joined.subarray(length)];
      this.#bytes -= length;
      yield deserialize(joined.subarray(4, length));
    }
  }

  #join(): Buffer {
    const joined = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }
}
