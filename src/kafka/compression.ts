import { promisify } from 'node:util';
import { constants, createZstdCompress, gunzip, gzip, type ZstdCompress, zstdDecompressSync } from 'node:zlib';
import { ZstdCompress as ZstdCompressSync } from 'minizlib';
import { Bpf2KafkaError, reasonOf } from '../errors.ts';
import { readXerial, writeXerial } from './xerial.ts';

export type Compression = 'zstd' | 'lz4' | 'snappy' | 'gzip' | 'none';

/** Of the records of a batch, in the format that Kafka's own client writes and every other one reads. */
export interface Codec {
  /** As in the lowest three bits of a batch's attributes (kafka.apache.org/documentation/#recordbatch). */
  readonly code: number;
  compress(records: Buffer): Buffer | Promise<Buffer>;
  decompress(records: Buffer): Buffer | Promise<Buffer>;
}

/** Level 1: 0.17 ms of CPU for 290 KB of execs where level 3, the default, takes 0.31 ms and gives no less. */
const zstdOptions = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/**
 * A frame a batch, all out of one stream. A compressor for each, as `zstdCompressSync` makes it, is a megabyte that is only
 * given back by a collection of the whole heap, of which each stops the main loop for milliseconds; and half a megabyte of
 * records is compressed in the time in which the main loop makes the next batch.
 */
class ZstdFrames {
  #stream: ZstdCompress | undefined;
  /** The frame before, which has to be at its end. */
  #last: Promise<unknown> = Promise.resolve();

  compress(records: Buffer): Promise<Buffer> {
    const frame = this.#last.then(() => this.#frame(records));
    this.#last = frame.catch(() => {
      this.#stream?.destroy();
      this.#stream = undefined;
    });
    return frame;
  }

  #frame(records: Buffer): Promise<Buffer> {
    this.#stream ??= createZstdCompress(zstdOptions);
    const stream = this.#stream;
    return new Promise((resolve, reject) => {
      const pieces: Buffer[] = [];
      const take = (piece: Buffer) => void pieces.push(piece);
      const end = () => {
        stream.off('data', take).off('error', reject);
        resolve(Buffer.concat(pieces));
      };
      stream.on('data', take).on('error', reject);
      stream.write(records);
      stream.flush(constants.ZSTD_e_end, end);
    });
  }
}

/** Up to here a frame is made at once, bytes: the way to another thread and back would take more than the work. */
const atOnceBytes = 64 * 1024;

/** As ZstdFrames, without leaving the main loop: 0.1 ms for the execs of 30 ms at 1,000 execs/s. */
class ZstdFramesAtOnce {
  #compressor: ZstdCompressSync | undefined;
  #pieces: Buffer[] = [];

  compress(records: Buffer): Buffer {
    this.#compressor ??= this.#open();
    this.#pieces = [];
    this.#compressor.write(records);
    this.#compressor.flush(constants.ZSTD_e_end);
    const [first, ...others] = this.#pieces as [Buffer, ...Buffer[]];
    return others.length === 0 ? first : Buffer.concat(this.#pieces);
  }

  #open(): ZstdCompressSync {
    // Its types have no options of zstd; it hands all of them to node:zlib. Without a listener an error is thrown.
    const compressor = new ZstdCompressSync(zstdOptions as ConstructorParameters<typeof ZstdCompressSync>[0]);
    return compressor.on('data', (piece) => void this.#pieces.push(piece));
  }
}

const zstdFrames = new ZstdFrames();
const zstdFramesAtOnce = new ZstdFramesAtOnce();

// Snappy and lz4 are synchronous: that fast, a hop to the thread pool gains nothing. They are loaded when they are used:
// they are native, Node.js does not bring them, and most need neither.
export const codecs: Readonly<Record<Compression, Codec>> = {
  none: { code: 0, compress: (records) => records, decompress: (records) => records },
  gzip: {
    code: 1,
    compress: promisify<Buffer, Buffer>(gzip),
    decompress: promisify<Buffer, Buffer>(gunzip),
  },
  snappy: {
    code: 2,
    compress: async (records) => writeXerial((await import('snappy')).compressSync(records)),
    decompress: async (records) => {
      const { uncompressSync } = await import('snappy');
      return Buffer.concat(readXerial(records).map((block) => uncompressSync(block, { asBuffer: true }) as Buffer));
    },
  },
  lz4: {
    code: 3,
    compress: async (records) => (await import('lz4-napi')).compressFrameSync(records),
    decompress: async (records) => (await import('lz4-napi')).decompressFrameSync(records),
  },
  zstd: {
    code: 4,
    compress: (records) => (records.length <= atOnceBytes ? zstdFramesAtOnce : zstdFrames).compress(records),
    decompress: (records) => zstdDecompressSync(records),
  },
};

/** Loads what the codec is made of. @throws Bpf2KafkaError ERR_CONFIG when it does not run on this system */
export async function loadCodec(compression: Compression): Promise<void> {
  try {
    await codecs[compression].compress(Buffer.from('loaded'));
  } catch (cause) {
    throw new Bpf2KafkaError('ERR_CONFIG', {
      operation: `use --compression ${compression}`,
      reason: `its library does not load here: ${reasonOf(cause)}`,
      remedy: 'install the package again, or give --compression zstd, which needs none',
      cause,
    });
  }
}
