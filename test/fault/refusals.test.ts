import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { tool, whyNoCapture } from '../support/capture.ts';
import { limitProducer } from '../support/client-quota.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { startBehindProxy } from '../support/lossy-proxy.ts';
import { readDeadLetters, readEventLedger } from '../support/published.ts';
import { makeInvalid } from '../support/record-batches.ts';
import { SteppedClock } from '../support/stepped-clock.ts';
import { waitFor } from '../support/wait-for.ts';
import { largeRing, long, outageMillis, rate, seconds, smallRing, suffer, through } from './scene.ts';
import type { FaultRow } from './table.ts';

/** A broker that is there and does not take what it gets, or not so fast. */

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});

test('the broker throttles', async (context) => {
  await using kafka = await startKafka();
  const load = { kafka, execs: through(outageMillis), flags: [...smallRing, '--client-id', 'slow'] };
  const bytesPerSecond = 5_000;
  const row = await suffer(context, { name: 'throttled', ...load }, async () => {
    await limitProducer(kafka.port, 'slow', bytesPerSecond);
    await sleep(outageMillis); // the length is the case
    await limitProducer(kafka.port, 'slow', undefined);
    return `${bytesPerSecond} B a second for ${seconds(outageMillis)}`;
  });
  expect(row).toMatchObject({ missing: 0, repeated: 0 });
  const states = (await readEventLedger(kafka.brokers, '', 'exec')).map(({ state }) => state);
  expect(states).toContain('throttled');
});

const poisons = long ? 200 : 10;

/** Execs with a word of their own that the broker refuses, one a second; each becomes a dead letter. */
async function poison(kafka: TestKafka, code: string, padding: () => string): Promise<string> {
  const names = Array.from({ length: poisons }, (_, n) => `poison-${n}-`);
  for (const name of names) {
    expect(spawnSync(tool('noop'), [`${name}${padding()}`]).status).toBe(0);
    await sleep(1_000);
  }
  const letters = async () => (await readDeadLetters(kafka.brokers, '')).map(({ letter }) => letter);
  await waitFor(async () => (await letters()).length >= poisons, { what: 'the dead letters', timeout: 60_000 });
  const found = (await letters()).map(({ value_bytes }) => /poison-\d+-/.exec(`${value_bytes}`)?.[0]);
  expect(found.toSorted()).toEqual(names.toSorted());
  expect(new Set((await letters()).map(({ error_code }) => error_code))).toEqual(new Set([code]));
  return `${poisons}, as many dead letters`;
}

test('some records are larger than their topic takes', async (context) => {
  await using kafka = await startKafka();
  // Without compression an ordinary exec fits and one with 30,000 characters of arguments does not.
  await kafka.createTopic('exec-events', { partitions: 6, config: { 'max.message.bytes': String(24 * 1024) } });
  const flags = ['--compression', 'none', '--no-redact-defaults'];
  const load = { kafka, execs: (poisons * 2 + 10) * rate, flags };
  const row = await suffer(context, { name: 'records too large', ...load }, () =>
    poison(kafka, 'MESSAGE_TOO_LARGE', () => randomBytes(15_000).toString('hex')),
  );
  expect(row).toMatchObject({ missing: 0 });
});

test('some records are invalid for the broker', async (context) => {
  await using behind = await startBehindProxy();
  const { kafka, proxy } = behind;
  // No record of ours is invalid by itself: each has a key, and a checksum that fits.
  proxy.damage = ({ topic, batch }) => topic === 'exec-events' && batch.includes('poison-') && makeInvalid(batch);
  const load = { kafka, execs: (poisons * 2 + 10) * rate, brokers: proxy.brokers, flags: ['--compression', 'none'] };
  const row = await suffer(context, { name: 'records invalid', ...load }, () =>
    poison(kafka, 'INVALID_RECORD', () => ''),
  );
  expect(row).toMatchObject({ missing: 0 });
});

test('every record is refused for its time', async (context) => {
  await using kafka = await startKafka();
  const load = { kafka, execs: through(outageMillis), flags: largeRing };
  const row = await suffer(context, { name: 'refused for their time', ...load }, async ({ sidecar }) => {
    await kafka.configureTopic('exec-events', { 'message.timestamp.before.max.ms': '0' });
    await waitFor(() => sidecar.errors.includes('they are held and tried again'), { what: 'they are held' });
    await sleep(outageMillis); // the length is the case
    await kafka.configureTopic('exec-events', {});
    return `all, for ${seconds(outageMillis)}`;
  });
  await expectHeld(kafka.brokers, row);
});

test('the clock is set back and forth', async (context) => {
  await using kafka = await startKafka();
  await using clock = await SteppedClock.create();
  const load = { kafka, execs: (outageMillis / 1000 + 30) * rate, flags: largeRing, environment: clock.environment };
  const row = await suffer(context, { name: 'clock stepped', ...load }, async ({ sidecar }) => {
    const hour = 3_600;
    await clock.step(-hour);
    const isBack = async () => {
      const last = (await readEventLedger(kafka.brokers, '', 'exec')).at(-1);
      return last !== undefined && last.interval_end < Date.now() - (hour * 1_000) / 2;
    };
    await waitFor(isBack, { what: 'the sidecar has noticed it', timeout: 30_000 });
    await clock.step(2 * hour); // more than a broker takes
    await waitFor(() => sidecar.errors.includes('they are held and tried again'), {
      what: 'the broker refuses everything',
      timeout: 30_000,
    });
    await sleep(outageMillis);
    await clock.step(0);
    return `1 h back, then 2 h ahead for ${seconds(outageMillis)}`;
  });
  await expectHeld(kafka.brokers, row);
});

/** What a topic refuses that begins to refuse everything is held, but for one record (docs/dead-letter.md). */
async function expectHeld(brokers: string, { missing }: FaultRow): Promise<void> {
  const letters = await readDeadLetters(brokers, '');
  expect(letters.length).toBeLessThanOrEqual(1);
  expect(missing).toBeLessThanOrEqual(letters.length);
}
