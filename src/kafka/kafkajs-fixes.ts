import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { constants, gzip, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import kafkajs from 'kafkajs';
import { type BatchCompression, type BatchRecord, type Checksum, encodeProduceRequest } from './produce-request.ts';

/**
 * Everything that is wrong or missing in kafkajs and can be put right from outside, in one place. kafkajs has had no
 * release since February 2023 (kafkajs#1603), so these are not waiting for one.
 */

/** The version whose source the replacements below were written against. */
export const patchedVersion = '2.2.4';

/** Message and field under which a broker's throttle time reaches the log creator of a client (see `maybeThrottle`). */
export const throttleMessage = 'throttled by the broker';
export interface ThrottleEntry {
  readonly throttleMillis: number;
}

/** The parts of kafkajs's src/network/requestQueue/index.js that are replaced or read. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly logger: { warn(message: string, extra: object): void };
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
  maybeThrottle(throttleMillis: number | null | undefined): void;
  scheduleCheckPendingRequests(): void;
}

/** kafkajs's own interval for a queue that is full but not throttled, milliseconds. */
const fullQueueCheckMillis = 10;

const replacements = {
  /**
   * Stock: every answer schedules a check, and every check schedules the next, 1 ms later (the delay is negative), for
   * ever, with nothing to check: 2 to 6 % of a core a connection when idle (kafkajs#1556, #1604), and a
   * TimeoutNegativeWarning on Node 24 (#1751). Here a check is scheduled only while a request waits.
   */
  scheduleCheckPendingRequests(this: RequestQueue): void {
    if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return;
    const throttledFor = this.throttledUntil - Date.now();
    this.throttleCheckTimeoutId = setTimeout(
      () => {
        this.throttleCheckTimeoutId = null;
        this.checkPendingRequests();
      },
      throttledFor > 0 ? throttledFor : fullQueueCheckMillis,
    );
  },

  /**
   * As stock (KIP-219: the next request waits until the throttle ends), and says so. The producer's answer does not
   * carry the throttle time (src/producer/responseSerializer.js drops it) and no instrumentation event has it, so it
   * travels over the client's own logger, which ends in the log creator of exactly that client.
   */
  maybeThrottle(this: RequestQueue, throttleMillis: number | null | undefined): void {
    if (throttleMillis === null || throttleMillis === undefined || throttleMillis <= 0) return;
    this.throttledUntil = Math.max(Date.now() + throttleMillis, this.throttledUntil);
    this.logger.warn(throttleMessage, { throttleMillis } satisfies ThrottleEntry);
  },
};

/** Level 1: 0.17 ms of CPU for 290 KB of execs where level 3, the default, takes 0.31 ms and gives no less. */
const zstdOptions = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** kafkajs brings gzip only and throws for zstd. Synchronous: that fast, a hop to the thread pool gains nothing. */
const zstdCodec = () => ({
  compress: async (encoder: { readonly buffer: Buffer }): Promise<Buffer> =>
    zstdCompressSync(encoder.buffer, zstdOptions),
  decompress: async (buffer: Buffer): Promise<Buffer> => zstdDecompressSync(buffer),
});

/** What kafkajs hands to its encoder of a produce request (src/protocol/requests/produce/v3/request.js). */
interface ProduceArguments {
  readonly acks: number;
  readonly timeout: number;
  readonly compression: number;
  readonly transactionalId: string | null | undefined;
  readonly producerId: string | number;
  readonly producerEpoch: number;
  readonly topicData: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly firstSequence: number;
      readonly messages: readonly BatchRecord[];
    }[];
  }[];
}

interface ProduceDefinition {
  protocol(options: { version: number }): (request: ProduceArguments) => {
    request: { encode: () => Promise<unknown> };
    response: unknown;
  };
}

/** Versions 3 to 7 of the request differ in nothing but their number. */
const oldestProduceVersion = 3;

/** Lets a produce request of one topic and one partition be written by our encoder; anything else stays kafkajs's. */
function replaceProduceEncoder(definition: ProduceDefinition, checksum: Checksum): void {
  const { protocol } = definition;
  const Encoder = require('kafkajs/src/protocol/encoder.js') as new () => { writeBuffer(bytes: Buffer): unknown };
  definition.protocol = ({ version }) => {
    const stock = protocol({ version });
    return (args) => {
      const made = stock(args);
      const [topic, ...otherTopics] = args.topicData;
      const [partition, ...otherPartitions] = topic?.partitions ?? [];
      const compression = compressions[args.compression];
      const ours = version >= oldestProduceVersion && !args.transactionalId && compression !== undefined;
      if (!ours || !topic || !partition || otherTopics.length + otherPartitions.length > 0) return made;
      const encode = async () => {
        const body = await encodeProduceRequest(
          {
            topic: topic.topic,
            partition: partition.partition,
            records: partition.messages,
            acks: args.acks,
            timeout: args.timeout,
            compression,
            producerId: BigInt(args.producerId),
            producerEpoch: args.producerEpoch,
            firstSequence: partition.firstSequence,
          },
          checksum,
        );
        return new Encoder().writeBuffer(body);
      };
      return { ...made, request: { ...made.request, encode } };
    };
  };
}

const compressions: Readonly<Record<number, BatchCompression>> = {
  [kafkajs.CompressionTypes.None]: { code: 0, compress: (records) => records },
  [kafkajs.CompressionTypes.GZIP]: { code: 1, compress: (records) => promisify(gzip)(records) },
  [kafkajs.CompressionTypes.ZSTD]: { code: 4, compress: (records) => zstdCompressSync(records, zstdOptions) },
};

export interface KafkajsFixes {
  /** False when another version is installed: then nothing is replaced, idle CPU and throttle times are kafkajs's own. */
  readonly patched: boolean;
  readonly version: string;
}

/** kafkajs's modules are one for the process, and so is this. */
let applied = false;

/**
 * Adds the zstd codec and, to the one version that they were written for, the replacements. May be called more than
 * once. `version` is for tests.
 */
export function applyKafkajsFixes(version = installedVersion()): KafkajsFixes {
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = zstdCodec;
  const patched = version === patchedVersion;
  if (patched && !applied) {
    Object.assign(requestQueueClass().prototype, replacements);
    replaceProduceEncoder(
      require('kafkajs/src/protocol/requests/produce/index.js') as ProduceDefinition,
      require('kafkajs/src/protocol/recordBatch/crc32C/index.js') as Checksum,
    );
    applied = true;
  }
  return { patched, version };
}

const require = createRequire(import.meta.url);

function installedVersion(): string {
  return (require('kafkajs/package.json') as { version: string }).version;
}

export function requestQueueClass(): { readonly prototype: RequestQueue } {
  return require('kafkajs/src/network/requestQueue/index.js') as { prototype: RequestQueue };
}
