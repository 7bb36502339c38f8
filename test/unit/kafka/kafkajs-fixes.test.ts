import kafkajs from 'kafkajs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { applyKafkajsFixes, brokerPoolClass, requestQueueClass } from '../../../src/kafka/kafkajs-fixes.ts';

interface Queue {
  push(request: object): void;
  fulfillRequest(response: object): void;
  maybeThrottle(millis: number | undefined): void;
  scheduleRequestTimeoutCheck(): void;
  destroy(): void;
}

describe('the request queue', () => {
  const logger = { debug: () => {} };
  let queue: Queue;
  let sent: number[];

  const newQueue = (options: { enforceRequestTimeout: boolean; isConnected?: () => boolean }): Queue => {
    const RequestQueue = requestQueueClass() as unknown as new (options: object) => Queue;
    return new RequestQueue({
      maxInFlightRequests: 1,
      requestTimeout: 30_000,
      clientId: 'c',
      broker: 'b',
      logger,
      ...options,
    });
  };
  const send = (correlationId: number): void => {
    const entry = { correlationId, resolve: () => {}, reject: () => {} };
    queue.push({ entry, expectResponse: true, sendRequest: () => sent.push(correlationId) });
  };
  const answer = (correlationId: number): void =>
    queue.fulfillRequest({ correlationId, payload: Buffer.alloc(0), size: 0 });

  beforeEach(() => {
    vi.useFakeTimers();
    applyKafkajsFixes();
    queue = newQueue({ enforceRequestTimeout: false });
    sent = [];
  });

  afterEach(() => {
    queue.destroy();
    vi.useRealTimers();
  });

  test('sets no timer when nothing waits', () => {
    for (const id of [1, 2, 3]) {
      send(id);
      answer(id);
    }
    expect(sent).toEqual([1, 2, 3]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('looks once a second for a request that has waited for too long, with one timer for all connections', () => {
    let connected = true;
    const queues = [1, 2, 3].map(() => newQueue({ enforceRequestTimeout: true, isConnected: () => connected }));
    for (const each of queues) each.scheduleRequestTimeoutCheck();
    expect(vi.getTimerCount()).toBe(1);
    queue = queues[1] as Queue;
    const refused = vi.fn();
    const entry = {
      correlationId: 1,
      apiName: 'Produce',
      apiKey: 0,
      apiVersion: 7,
      resolve: () => {},
      reject: refused,
    };
    queue.push({ entry, expectResponse: true, sendRequest: () => {} });
    const begun = Date.now();
    vi.advanceTimersToNextTimer();
    expect(Date.now() - begun).toBe(1_000);
    vi.advanceTimersByTime(29_000);
    expect(refused).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1_000);
    expect(refused).toHaveBeenCalledWith(expect.objectContaining({ name: 'KafkaJSRequestTimeoutError' }));
    connected = false;
    vi.advanceTimersByTime(1_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('holds requests while throttled, sends them when the throttle ends, and is quiet again', () => {
    queue.maybeThrottle(500);
    send(1);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(499);
    expect(sent).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(sent).toEqual([1]);
    answer(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('the longer of two throttles counts', () => {
    queue.maybeThrottle(100);
    queue.maybeThrottle(300);
    queue.maybeThrottle(200);
    send(1);
    vi.advanceTimersByTime(299);
    expect(sent).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(sent).toEqual([1]);
  });

  test('a request over the limit in flight goes out with the answer before it', () => {
    send(1);
    send(2);
    expect(sent).toEqual([1]);
    answer(1);
    expect(sent).toEqual([1, 2]);
    answer(2);
    vi.advanceTimersByTime(10);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('a pool of brokers of which none answers tells why', async () => {
  applyKafkajsFixes();
  const connected = { isConnected: () => true };
  const pool = Object.assign(Object.create(brokerPoolClass().prototype), { brokers: { 1: connected, 2: connected } });
  const reason = new Error('closed connection');
  await expect(pool.withBroker(() => Promise.reject(reason))).rejects.toBe(reason);
  const answers = [() => Promise.reject(reason), () => Promise.resolve('answer')];
  await expect(pool.withBroker(() => answers.shift()?.())).resolves.toBe('answer');
  await expect(pool.withBroker(async () => null)).resolves.toBe(null);
});

test('the installed version is the one that the fixes were written for', () => {
  expect(applyKafkajsFixes()).toEqual({ patched: true, version: '2.2.4' });
});

test('another version is left as it is, and said', () => {
  const before = { ...requestQueueClass().prototype };
  const { prototype } = requestQueueClass();
  const stock = () => {};
  prototype.scheduleCheckPendingRequests = stock;
  expect(applyKafkajsFixes('2.2.5')).toEqual({ patched: false, version: '2.2.5' });
  expect(prototype.scheduleCheckPendingRequests).toBe(stock);
  Object.assign(prototype, before);
  applyKafkajsFixes();
});

test.each(['Snappy', 'LZ4', 'ZSTD'] as const)('kafkajs reads %s with our codec', async (name) => {
  applyKafkajsFixes();
  const codec = kafkajs.CompressionCodecs[kafkajs.CompressionTypes[name]]();
  const buffer = Buffer.from('exec '.repeat(10_000));
  const compressed: Buffer = await codec.compress({ buffer });
  expect(compressed.length).toBeLessThan(buffer.length / 10);
  await expect(codec.decompress(compressed)).resolves.toEqual(buffer);
});
