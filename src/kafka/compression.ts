import { promisify } from 'node:util';
import { constants, gunzip, gzip, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
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

// All but gzip are synchronous: that fast, a hop to the thread pool gains nothing. The two that Node.js does not bring
// are loaded when they are used: they are native, and most need neither.
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
    compress: (records) => zstdCompressSync(records, zstdOptions),
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
