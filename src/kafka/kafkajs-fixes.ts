import { createRequire } from 'node:module';
import kafkajs from 'kafkajs';
import { codecs } from './compression.ts';

/**
 * Everything that is wrong or missing in kafkajs and can be put right from outside, in one place. kafkajs has had no
 * release since February 2023 (kafkajs#1603), so these are not waiting for one.
 */

/** The version whose source the replacements below were written against. */
export const patchedVersion = '2.2.4';

/** Of its src/network/requestQueue/socketRequest.js. */
interface InFlight {
  /** Milliseconds since 1970. */
  readonly sentAt: number;
  readonly requestTimeout: number;
  timeoutRequest(): void;
}

/** The parts of kafkajs's src/network/requestQueue/index.js that are replaced or read. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly inflight: ReadonlyMap<number, InFlight>;
  readonly enforceRequestTimeout: boolean;
  readonly isConnected: () => boolean;
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

/** kafkajs's own interval for a queue that is full but not throttled, milliseconds. */
const fullQueueCheckMillis = 10;

/** How often it is looked whether a request has waited for too long, milliseconds: none may for less than seconds. */
const requestCheckMillis = 1_000;

/** One timer for the queues of all connections: each wake-up of an idle process costs more than what is done then. */
class RequestCheck {
  readonly #queues = new Set<RequestQueue>();
  #timer: NodeJS.Timeout | undefined;

  add(queue: RequestQueue): void {
    this.#queues.add(queue);
    // The sockets keep the process, while there are any.
    this.#timer ??= setInterval(() => this.#look(), requestCheckMillis).unref();
  }

  #look(): void {
    for (const queue of this.#queues) {
      for (const request of queue.inflight.values())
        if (Date.now() - request.sentAt > request.requestTimeout) request.timeoutRequest();
      if (!queue.isConnected()) this.#queues.delete(queue);
    }
    if (this.#queues.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

const requestCheck = new RequestCheck();

const replacements = {
  /** Stock looks ten times a second, with a timer for each connection, whether or not anything is in flight. */
  scheduleRequestTimeoutCheck(this: RequestQueue): void {
    if (this.enforceRequestTimeout) requestCheck.add(this);
  },

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
};

/** The part of kafkajs's src/cluster/brokerPool.js that is replaced. */
interface BrokerPool {
  withBroker<T>(callback: (found: object) => Promise<T>): Promise<T | null>;
}

/**
 * Stock: forgets why no broker has answered and gives null, of which its callers read fields ("Cannot read properties of
 * null (reading 'topicMetadata')"), so that nobody tries again. Here the last reason is thrown, and kafkajs's own retry
 * around it knows whether it may pass.
 */
function keepReasonOf(pool: BrokerPool): void {
  const { withBroker } = pool;
  pool.withBroker = async function <T>(this: BrokerPool, callback: (found: object) => Promise<T>) {
    let reason: unknown;
    const answer = await withBroker.call(this, (found) =>
      callback(found).catch((error: unknown) => {
        reason = error;
        throw error;
      }),
    );
    if (answer === null && reason !== undefined) throw reason;
    return answer as T | null;
  };
}

export interface KafkajsFixes {
  /** False when another version is installed: then nothing is replaced, and idle CPU is kafkajs's own. */
  readonly patched: boolean;
  readonly version: string;
}

/** kafkajs's modules are one for the process, and so is this. */
let applied = false;

/**
 * Adds the codecs that kafkajs lacks (it brings gzip only, and throws for the others) and, to the one version that they
 * were written for, the replacements. May be called more than once. `version` is for tests.
 */
export function applyKafkajsFixes(version = installedVersion()): KafkajsFixes {
  for (const { code, compress, decompress } of [codecs.snappy, codecs.lz4, codecs.zstd]) {
    kafkajs.CompressionCodecs[code as keyof typeof kafkajs.CompressionCodecs] = () => ({
      compress: async (encoder: { readonly buffer: Buffer }) => compress(encoder.buffer),
      decompress: async (records: Buffer) => decompress(records),
    });
  }
  const patched = version === patchedVersion;
  if (patched && !applied) {
    Object.assign(requestQueueClass().prototype, replacements);
    keepReasonOf(brokerPoolClass().prototype);
    applied = true;
  }
  return { patched, version };
}

const require = createRequire(import.meta.url);

function installedVersion(): string {
  return (require('kafkajs/package.json') as { version: string }).version;
}

export function brokerPoolClass(): { readonly prototype: BrokerPool } {
  return require('kafkajs/src/cluster/brokerPool.js') as { prototype: BrokerPool };
}

export function requestQueueClass(): { readonly prototype: RequestQueue } {
  return require('kafkajs/src/network/requestQueue/index.js') as { prototype: RequestQueue };
}
