import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { whyNoCapture } from '../support/capture.ts';
import { startKafka } from '../support/kafka.ts';
import { startBehindProxy } from '../support/lossy-proxy.ts';
import { readDeadLetters, readEventLedger } from '../support/published.ts';
import { flipBit } from '../support/record-batches.ts';
import { waitFor } from '../support/wait-for.ts';
import { FaultScene, largeRing, long, outageMillis, rate, seconds, smallRing, suffer, through } from './scene.ts';

/**
 * What goes wrong with one broker, one thing after the other, under load: judged by the set difference between what a
 * generator did and what an independent reader finds, and by the audit.
 */

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});

const everything = { missing: 0 };

test('the sidecar is killed in the middle of batches', async (context) => {
  const kills = long ? 50 : 6;
  await using kafka = await startKafka();
  const load = { kafka, execs: kills * 3 * rate, flags: largeRing };
  const row = await suffer(context, { name: 'kill -9', ...load }, async (scene) => {
    for (let n = 0; n < kills; n += 1) {
      await sleep(500 + 97 * (n % 7)); // each time somewhere else
      expect(await scene.sidecar.end('SIGKILL')).toBe('SIGKILL');
      await scene.again();
    }
    return `${kills} times`;
  });
  expect(row).toMatchObject(everything);
});

test('the broker is away, the ring is too small, and the disk takes the rest', async (context) => {
  await using kafka = await startKafka();
  const load = { kafka, execs: through(outageMillis), flags: smallRing };
  const row = await suffer(context, { name: 'broker away, with a spool', ...load }, async () => {
    await kafka.kill();
    await sleep(outageMillis); // the length is the case
    await kafka.start();
    return `killed, back after ${seconds(outageMillis)}`;
  });
  expect(row).toMatchObject(everything);
});

test('the broker is away, the ring is too small, and there is no spool: what is lost is counted', async ({ task }) => {
  await using kafka = await startKafka();
  const load = { kafka, execs: through(outageMillis), flags: [...smallRing, '--spool-bytes', '0'] };
  await using scene = await FaultScene.begin({ name: 'broker away, without a spool', ...load });
  await sleep(3_000);
  await kafka.kill();
  await sleep(outageMillis);
  await kafka.start();
  const row = await scene.judge(`killed, back after ${seconds(outageMillis)}`);
  task.meta.fault = row;
  const last = (await readEventLedger(kafka.brokers, '', 'exec')).at(-1);
  expect(row.missing).toBeGreaterThan(0);
  expect(last).toMatchObject({ unexplained: 0 });
  // Whoever is not in the topic with its arguments is there as a bare record, or in a count of losses; others exec too.
  expect(last?.lost.ring_full).toBeGreaterThan(0);
});

test('answers to produce requests are lost, of batches of one size', async (context) => {
  await using behind = await startBehindProxy();
  const { kafka, proxy } = behind;
  const losses = long ? 200 : 8;
  const load = { kafka, execs: (losses * 2 + 15) * rate, brokers: proxy.brokers };
  const row = await suffer(context, { name: 'lost responses', ...load }, async () => {
    for (let n = 0; n < losses; n += 1) {
      const before = proxy.lost;
      proxy.loseProduceAnswers = true;
      await waitFor(() => proxy.lost > before, { what: 'an answer is lost', timeout: 30_000 });
      proxy.loseProduceAnswers = false;
      await sleep(1_000);
    }
    return `${proxy.lost} answers`;
  });
  expect(row).toMatchObject(everything);
});

test('a bit of a batch flips on the way: sometimes, then in every batch of execs', async (context) => {
  await using behind = await startBehindProxy();
  const { kafka, proxy } = behind;
  const flips = long ? 200 : 8;
  const execs = through(outageMillis) + flips * 2 * rate;
  const load = { kafka, execs, brokers: proxy.brokers, flags: smallRing };
  const row = await suffer(context, { name: 'damaged on the way', ...load }, async () => {
    for (let n = 0; n < flips; n += 1) {
      const before = proxy.damaged;
      proxy.damage = ({ topic, batch }) => topic === 'exec-events' && proxy.damaged === before && flipBit(batch);
      await waitFor(() => proxy.damaged > before, { what: 'a batch is damaged', timeout: 30_000 });
      await sleep(1_000);
    }
    proxy.damage = ({ topic, batch }) => topic === 'exec-events' && flipBit(batch);
    await sleep(outageMillis); // the length is the case
    proxy.damage = () => false;
    return `${flips} batches, then all for ${seconds(outageMillis)}`;
  });
  expect(row).toMatchObject({ missing: 0, repeated: 0 });
  expect(await readDeadLetters(kafka.brokers, '')).toEqual([]);
  // Another topic is not held up by it.
  const states = (await readEventLedger(kafka.brokers, '', 'exec')).map(({ state }) => state);
  expect(states).toContain('degraded');
});

test('the connection is silent: open, and nothing is answered', async (context) => {
  await using kafka = await startKafka();
  const load = { kafka, execs: through(outageMillis), flags: smallRing };
  const row = await suffer(context, { name: 'silent connection', ...load }, async () => {
    await kafka.pause();
    await sleep(outageMillis);
    kafka.resume();
    return `stopped for ${seconds(outageMillis)}`;
  });
  expect(row).toMatchObject(everything);
});

test('the broker is restarted again and again', async (context) => {
  await using kafka = await startKafka();
  const restarts = long ? 20 : 3;
  const load = { kafka, execs: (restarts * 8 + 10) * rate };
  const row = await suffer(context, { name: 'restarts', ...load }, async () => {
    for (let n = 0; n < restarts; n += 1) {
      await kafka.stop();
      await kafka.start();
      await sleep(1_000);
    }
    return `${restarts} times`;
  });
  expect(row).toMatchObject(everything);
});

test('the sidecar is told to end with the broker away', async (context) => {
  await using kafka = await startKafka();
  // Nobody reads while it does not run: the ring must hold that.
  const load = { kafka, execs: 20 * rate, flags: [...largeRing, '--drain-timeout', '3s'] };
  const row = await suffer(context, { name: 'SIGTERM, broker away', ...load }, async (scene) => {
    await kafka.kill();
    await sleep(5_000);
    // What is left stays in the kernel, which goes on capturing.
    expect(await scene.sidecar.end('SIGTERM')).toBe(4);
    await kafka.start();
    await scene.again();
    return 'exit 4 after 3 s, then a start';
  });
  expect(row).toMatchObject(everything);
});
