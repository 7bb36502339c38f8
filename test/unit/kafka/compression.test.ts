import { compressSync } from 'snappy';
import { describe, expect, test } from 'vitest';
import { codecs, loadCodec } from '../../../src/kafka/compression.ts';
import { readXerial, writeXerial } from '../../../src/kafka/xerial.ts';

const names = Object.keys(codecs) as (keyof typeof codecs)[];

test.each(names)('%s gives back what it took', async (name) => {
  const { compress, decompress } = codecs[name];
  for (const text of ['', 'x', 'exec '.repeat(100_000)]) {
    expect((await decompress(await compress(Buffer.from(text)))).toString()).toBe(text);
  }
});

test('frames of zstd, made at once or beside the main loop, are each whole, and stay as they are', async () => {
  const texts = ['a', 'b'.repeat(2 ** 16), 'c'.repeat(2 ** 16 + 1), 'd'.repeat(500_000), '', 'e'.repeat(70_000), 'f'];
  const frames = await Promise.all(texts.map((text) => codecs.zstd.compress(Buffer.from(text))));
  for (const [i, frame] of frames.entries()) {
    expect((await codecs.zstd.decompress(frame)).toString()).toBe(texts[i]);
    // A frame a batch, which ends with its last block (RFC 8878, section 3.1.1.2): brokers read no further.
    expect(frame.indexOf(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), 4)).toBe(-1);
  }
});

test.each(names)('%s loads on this system', async (name) => {
  await expect(loadCodec(name)).resolves.toBeUndefined();
});

test('LZ4 is a frame of independent blocks with its checksum, which the Java client insists on', async () => {
  const frame = await codecs.lz4.compress(Buffer.from('exec '.repeat(100_000)));
  expect(frame.readUInt32LE(0)).toBe(0x184d2204);
  const version = (frame[4] as number) >> 6;
  const independent = ((frame[4] as number) >> 5) & 1;
  expect([version, independent]).toEqual([1, 1]);
});

describe('snappy-java framing', () => {
  const blocks = ['one ', 'two ', 'three'].map((text) => compressSync(Buffer.from(text)));
  const framed = Buffer.concat([writeXerial(blocks[0] as Buffer), ...blocks.slice(1).map(behindLength)]);

  test('several blocks, as the Java client writes them, are one batch', async () => {
    expect((await codecs.snappy.decompress(framed)).toString()).toBe('one two three');
  });

  test('a bare block, as other clients write it, is read too', async () => {
    expect((await codecs.snappy.decompress(blocks[2] as Buffer)).toString()).toBe('three');
  });

  test('a block that is cut off is refused', () => {
    expect(() => readXerial(framed.subarray(0, -1))).toThrow('longer than the batch');
  });
});

function behindLength(block: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(block.length);
  return Buffer.concat([length, block]);
}
