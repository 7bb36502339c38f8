import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { whyNoCapture } from '../support/capture.ts';
import { startKafka } from '../support/kafka.ts';
import { LossyProxy } from '../support/lossy-proxy.ts';
import { readEventLedger } from '../support/published.ts';
import { waitFor } from '../support/wait-for.ts';
import { FaultScene, long, outageMillis, type SceneOptions } from './scene.ts';
import { type FaultRow, faultTable } from './table.ts';

/**
 * What goes wrong, one thing after the other, under load: judged by the set difference between what a generator did and what
 * an independent reader finds, and by the audit. The table is printed at the end.
 */

const rows: FaultRow[] = [];
beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});
afterAll(() => {
  if (rows.length > 0) console.log(`\n${faultTable(rows)}\n`);
});

const mebibyte = 2 ** 20;
const seconds = (millis: number) => `${millis / 1000} s`;
const everything = { missing: 0 };
/** The ring holds some 4 s of the load; the disk takes the rest. */
const smallRing = ['--exec-ring-bytes', String(mebibyte)];
const rate = 800;
/** Execs from 3 s before an outage to 10 s behind it. */
const through = (millis: number) => Math.ceil((millis / 1000 + 13) * rate);

async function suffer(options: SceneOptions, happen: (scene: FaultScene) => Promise<string>): Promise<FaultRow> {
  await using scene = await FaultScene.begin(options);
  await sleep(3_000); // somewhere in the middle of its work
  const row = await scene.judge(await happen(scene));
  rows.push(row);
  return row;
}

test('the sidecar is killed in the middle of batches', async () => {
  const kills = long ? 50 : 6;
  const load = { execs: kills * 3 * rate, rate, flags: ['--exec-ring-bytes', String(32 * mebibyte)] };
  const row = await suffer({ name: 'kill -9', ...load }, async (scene) => {
    for (let n = 0; n < kills; n += 1) {
      await sleep(500 + 97 * (n % 7)); // each time somewhere else
      expect(await scene.sidecar.end('SIGKILL')).toBe('SIGKILL');
      await scene.again();
    }
    return `${kills} times`;
  });
  expect(row).toMatchObject(everything);
});

test('the broker is away, the ring is too small, and the disk takes the rest', async () => {
  const load = { execs: through(outageMillis), rate, flags: smallRing };
  const row = await suffer({ name: 'broker away, with a spool', ...load }, async ({ kafka }) => {
    await kafka.kill();
    await sleep(outageMillis); // the length is the case
    await kafka.start();
    return `killed, back after ${seconds(outageMillis)}`;
  });
  expect(row).toMatchObject(everything);
});

test('the broker is away, the ring is too small, and there is no spool: what is lost is counted', async () => {
  const load = { execs: through(outageMillis), rate, flags: [...smallRing, '--spool-bytes', '0'] };
  await using scene = await FaultScene.begin({ name: 'broker away, without a spool', ...load });
  await sleep(3_000);
  await scene.kafka.kill();
  await sleep(outageMillis);
  await scene.kafka.start();
  const row = await scene.judge(`killed, back after ${seconds(outageMillis)}`);
  rows.push(row);
  const last = (await readEventLedger(scene.kafka.brokers, '', 'exec')).at(-1);
  expect(row.missing).toBeGreaterThan(0);
  expect(last).toMatchObject({ unexplained: 0 });
  // Whoever is not in the topic with its arguments is there as a bare record, or in a count of losses; others exec too.
  expect(last?.lost.ring_full).toBeGreaterThan(0);
});

test('answers to produce requests are lost, of batches of one size', async () => {
  await using proxy = await LossyProxy.listen();
  const kafka = await startKafka({ properties: { 'advertised.listeners': `PLAINTEXT://${proxy.brokers}` } });
  proxy.targetPort = kafka.port;
  const losses = long ? 200 : 8;
  const load = { execs: (losses * 2 + 15) * rate, rate, kafka, brokers: proxy.brokers };
  const row = await suffer({ name: 'lost responses', ...load }, async () => {
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

test('the connection is silent: open, and nothing is answered', async () => {
  const load = { execs: through(outageMillis), rate, flags: smallRing };
  const row = await suffer({ name: 'silent connection', ...load }, async ({ kafka }) => {
    kafka.pause();
    await sleep(outageMillis);
    kafka.resume();
    return `stopped for ${seconds(outageMillis)}`;
  });
  expect(row).toMatchObject(everything);
});

test('the broker is restarted again and again', async () => {
  const restarts = long ? 20 : 3;
  const row = await suffer({ name: 'rolling restart', execs: (restarts * 8 + 10) * rate, rate }, async ({ kafka }) => {
    for (let n = 0; n < restarts; n += 1) {
      await kafka.stop();
      await kafka.start();
      await sleep(1_000);
    }
    return `${restarts} times`;
  });
  expect(row).toMatchObject(everything);
});

test('the sidecar is told to end with the broker away', async () => {
  // Nobody reads while it does not run: the ring must hold that.
  const flags = ['--exec-ring-bytes', String(32 * mebibyte), '--drain-timeout', '3s'];
  const load = { execs: 20 * rate, rate, flags };
  const row = await suffer({ name: 'SIGTERM, broker away', ...load }, async (scene) => {
    await scene.kafka.kill();
    await sleep(5_000);
    // What is left stays in the kernel, which goes on capturing.
    expect(await scene.sidecar.end('SIGTERM')).toBe(4);
    await scene.kafka.start();
    await scene.again();
    return 'exit 4 after 3 s, then a start';
  });
  expect(row).toMatchObject(everything);
});
