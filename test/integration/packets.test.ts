import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LedgerEntry } from '../../src/schemas/ledger-entry.ts';
import { whyNoCapture } from '../support/capture.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { driverCounter, removeNetwork, VethPair, whyNoNetwork } from '../support/network.ts';
import { sumOf, tallyOf } from '../support/packets.ts';
import { auditOf, faultsOf, readPacketLedger, readPackets } from '../support/published.ts';
import { SidecarPlace } from '../support/sidecar.ts';
import { startTraffic } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const long = process.env.BPF2KAFKA_LONG_TESTS === '1';

const reason = whyNoCapture() ?? whyNoNetwork();
beforeEach(({ skip }) => {
  skip(reason !== undefined, reason);
});
afterEach(() => {
  if (reason === undefined) removeNetwork();
});

describe('bpf2kafka run', () => {
  let kafka: TestKafka;
  beforeAll(async () => {
    kafka = await startKafka();
  });
  afterAll(async () => {
    await kafka[Symbol.asyncDispose]();
  });

  it('publishes each packet and byte of an interface by its key, and its account closes', {
    timeout: 120_000,
  }, async () => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create('packets', [pair.name]);
    const flags = ['--create-topics', '--topic-prefix', 'known.', '--ledger-interval', '1s'];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    expect(sidecar.lines[0]).toBe(`ready exec exit packets:${pair.name}`);
    const traffic = startTraffic(pair);
    if (long) await sleep(60_000);
    await waitFor(async () => (await readPacketLedger(kafka.brokers, 'known.', pair.name)).length >= 4, {
      what: 'four entries of the ledger',
      interval: 250,
      timeout: 60_000,
    });
    const sent = await traffic.stop();
    expect(await sidecar.end('SIGTERM')).toBe(0);

    const { counts, repeats } = await readPackets(kafka.brokers, 'known.');
    expect(tallyOf(counts)).toEqual(sent);
    expect(repeats).toBe(0);
    expect(sumOf(sent).packets).toBe(driverCounter(pair.name, 'rx_packets'));
    expect(new Set(counts.map(({ epoch }) => epoch)).size).toBeGreaterThanOrEqual(4);
    expect(new Set(counts.map(({ interface_index: index }) => index))).toEqual(new Set([pair.index]));

    const entries = await readPacketLedger(kafka.brokers, 'known.', pair.name);
    expect(faultsOf(entries, counts)).toEqual([]);
    expect(entries.length).toBeGreaterThanOrEqual(4);
    expect(entries.at(-1)).toMatchObject({
      state: 'stopped',
      closed: true,
      seen: sumOf(sent).packets,
      filtered: {},
      lost: {},
      unobserved_micros: 0,
    } satisfies Partial<LedgerEntry>);
    expect(await auditOf(kafka.brokers, 'known.')).toMatchObject({ code: 0 });
  });

  it('counts packets alone, and ends with all of them published and nothing pinned', { timeout: 120_000 }, async () => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create('alone', [pair.name]);
    const flags = ['--create-topics', '--topic-prefix', 'alone.', '--no-exec', '--no-exit'];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    expect(sidecar.lines[0]).toBe(`ready packets:${pair.name}`);
    const traffic = startTraffic(pair);
    await waitFor(async () => (await readPackets(kafka.brokers, 'alone.')).counts.length > 0, {
      what: 'a count',
      interval: 250,
    });
    const sent = await traffic.stop();
    expect(await sidecar.end('SIGTERM'), sidecar.errors).toBe(0);
    expect(existsSync(place.pinPath)).toBe(false);
    expect(tallyOf((await readPackets(kafka.brokers, 'alone.')).counts)).toEqual(sent);
    expect(await auditOf(kafka.brokers, 'alone.')).toMatchObject({ code: 0 });
  });

  it('publishes one record a key for the time in which the broker was away', { timeout: 90_000 }, async () => {
    const away = long ? 60_000 : 15_000;
    const pair = new VethPair();
    await using place = await SidecarPlace.create('away', [pair.name]);
    const flags = ['--create-topics', '--topic-prefix', 'away.', '--ledger-interval', '1s'];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    const traffic = startTraffic(pair);
    await waitFor(async () => (await readPackets(kafka.brokers, 'away.')).counts.length > 0, {
      what: 'a count',
      interval: 250,
    });
    await kafka.kill();
    await sleep(away); // the length of the outage is the case
    await kafka.start();
    const before = (await readPackets(kafka.brokers, 'away.')).counts.length;
    await waitFor(async () => (await readPackets(kafka.brokers, 'away.')).counts.length > before, {
      what: 'counts behind the outage',
      timeout: 30_000,
      interval: 250,
    });
    const sent = await traffic.stop();
    expect(await sidecar.end('SIGTERM')).toBe(0);

    const { counts } = await readPackets(kafka.brokers, 'away.');
    expect(tallyOf(counts)).toEqual(sent);
    expect(sumOf(sent).packets).toBe(driverCounter(pair.name, 'rx_packets'));
    const longer = counts.filter(({ interval_start, interval_end }) => interval_end - interval_start > 0.8 * away);
    expect(tallyOf(longer).size).toBe(sent.size);
    expect(longer).toHaveLength(sent.size);
    const entries = await readPacketLedger(kafka.brokers, 'away.', pair.name);
    expect(faultsOf(entries, counts)).toEqual([]);
    expect(entries.at(-1)).toMatchObject({ state: 'stopped', closed: true, seen: sumOf(sent).packets, lost: {} });
    expect(await auditOf(kafka.brokers, 'away.')).toMatchObject({ code: 0 });
  });
});
