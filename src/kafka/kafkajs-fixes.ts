import { createRequire } from 'node:module';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import kafkajs from 'kafkajs';

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

export interface KafkajsFixes {
  /** False when another version is installed: then nothing is replaced, idle CPU and throttle times are kafkajs's own. */
  readonly patched: boolean;
  readonly version: string;
}

/**
 * Adds the zstd codec and, to the one version that they were written for, the replacements. May be called more than
 * once. `version` is for tests.
 */
export function applyKafkajsFixes(version = installedVersion()): KafkajsFixes {
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = zstdCodec;
  const patched = version === patchedVersion;
  if (patched) Object.assign(requestQueueClass().prototype, replacements);
  return { patched, version };
}

const require = createRequire(import.meta.url);

function installedVersion(): string {
  return (require('kafkajs/package.json') as { version: string }).version;
}

export function requestQueueClass(): { readonly prototype: RequestQueue } {
  return require('kafkajs/src/network/requestQueue/index.js') as { prototype: RequestQueue };
}
