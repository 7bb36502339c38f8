import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { whyNoCapture } from '../support/capture.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { driverCounter, removeNetwork, VethPair, whyNoNetwork, xdpProgramOf } from '../support/network.ts';
import { sumOf, tallyOf } from '../support/packets.ts';
import { auditOf, faultsOf, readPacketLedger, readPackets } from '../support/published.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { mixedRuns, startTraffic, tallyOfRuns } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const reason = whyNoCapture() ?? whyNoNetwork();
beforeEach(({ skip }) => {
  skip(reason !== undefined, reason);
});
afterEach(() => {
  if (reason === undefined) removeNetwork();
});

describe('the capture of packets', () => {
  let kafka: TestKafka;
  beforeAll(async () => {
    kafka = await startKafka();
  });
  afterAll(async () => {
    await kafka[Symbol.asyncDispose]();
  });

  it('goes on after --on-exit keep, and the next start publishes what was counted meanwhile', async () => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create('keep', [pair.name]);
    const flags = ['--create-topics', '--topic-prefix', 'keep.'];
    const traffic = startTraffic(pair);
    await using first = await place.run(kafka.brokers, ...flags, '--on-exit', 'keep');
    const program = xdpProgramOf(pair.name);
    expect(program).toBeDefined();
    expect(await first.end('SIGTERM')).toBe(0);
    await traffic.stop();
    const meanwhile = await pair.sendFrames(mixedRuns);
    expect(xdpProgramOf(pair.name)).toBe(program);
    const before = await readPackets(kafka.brokers, 'keep.');

    await using second = await place.run(kafka.brokers, ...flags, '--on-exit', 'detach');
    expect(await second.end('SIGTERM')).toBe(0);
    expect(xdpProgramOf(pair.name)).toBeUndefined();
    expect(existsSync(place.pinPath)).toBe(false);
    const { counts } = await readPackets(kafka.brokers, 'keep.');
    const packets = sumOf(tallyOf(counts)).packets;
    expect(packets - sumOf(tallyOf(before.counts)).packets).toBeGreaterThanOrEqual(meanwhile.packets);
    const entries = await readPacketLedger(kafka.brokers, 'keep.', pair.name);
    expect(faultsOf(entries, counts)).toEqual([]);
    expect(entries.at(-1)).toMatchObject({ state: 'stopped', closed: true, seen: packets, unobserved_micros: 0 });
    expect(new Set(counts.map(({ attach_id: attach }) => attach)).size).toBe(1);
    expect(await auditOf(kafka.brokers, 'keep.')).toMatchObject({ code: 0 });
  });

  it('is not detached while its packets wait, and --discard says how many', async () => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create('discard', [pair.name]);
    const flags = ['--create-topics', '--topic-prefix', 'discard.'];
    await using first = await place.run(kafka.brokers, ...flags, '--on-exit', 'keep');
    const published = await pair.sendFrames(mixedRuns);
    expect(await first.end('SIGTERM')).toBe(0);
    const waiting = await pair.sendFrames(mixedRuns);

    await using refused = new CommandProcess(['detach', ...place.paths]);
    expect(await refused.exit()).toBe(3);
    // Beside the execs of this host.
    expect(refused.errors).toContain(`${waiting.packets} packets in the kernel have not been acknowledged`);
    expect(xdpProgramOf(pair.name)).toBeDefined();

    await using detach = new CommandProcess(['detach', '--discard', ...place.paths]);
    expect(await detach.exit()).toBe(0);
    expect(detach.lines[0]).toContain(`the counts of ${waiting.packets} packets`);
    expect(xdpProgramOf(pair.name)).toBeUndefined();

    await using next = await place.run(kafka.brokers, ...flags);
    expect(await next.end('SIGTERM')).toBe(0);
    const { counts } = await readPackets(kafka.brokers, 'discard.');
    expect(tallyOf(counts)).toEqual(tallyOfRuns(mixedRuns, 1));
    const entries = await readPacketLedger(kafka.brokers, 'discard.', pair.name);
    expect(faultsOf(entries, counts)).toEqual([]);
    expect(entries.find(({ state }) => state === 'closing')).toMatchObject({
      closed: true,
      seen: published.packets + waiting.packets,
      published: published.packets,
      lost: { discarded: waiting.packets },
    });
    expect(await auditOf(kafka.brokers, 'discard.')).toMatchObject({ code: 0 });
  });

  it('ends with the broker away: the packets wait in the kernel for the next start', { timeout: 120_000 }, async () => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create('undelivered', [pair.name]);
    const flags = ['--create-topics', '--topic-prefix', 'undelivered.'];
    await using first = await place.run(kafka.brokers, ...flags, '--drain-timeout', '1s');
    await kafka.kill();
    try {
      await pair.sendFrames(mixedRuns);
      await waitFor(() => /packet-counts"[^\n]*not acknowledged/.test(first.errors), {
        what: 'an epoch that waits for its acknowledgement',
      });
      await pair.sendFrames(mixedRuns);
      expect(await first.end('SIGTERM')).toBe(4);
      const { packets } = sumOf(tallyOfRuns(mixedRuns, 2));
      // Beside them records of other tests' storms may be left, and those in the spool.
      expect(first.errors).toMatch(
        new RegExp(` ${packets} packets .*have not been acknowledged by the broker in time`),
      );
      expect(xdpProgramOf(pair.name)).toBeDefined();
    } finally {
      await kafka.start();
    }
    await using next = await place.run(kafka.brokers, ...flags);
    expect(await next.end('SIGTERM')).toBe(0);
    const { counts } = await readPackets(kafka.brokers, 'undelivered.');
    expect(tallyOf(counts)).toEqual(tallyOfRuns(mixedRuns, 2));
    expect(faultsOf(await readPacketLedger(kafka.brokers, 'undelivered.', pair.name), counts)).toEqual([]);
    expect(await auditOf(kafka.brokers, 'undelivered.')).toMatchObject({ code: 0 });
  });

  it('ends although the broker is slow with the last of it, and is not begun again', { timeout: 90_000 }, async () => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create('slow', [pair.name]);
    await using run = await place.run(kafka.brokers, '--create-topics', '--topic-prefix', 'slow.');
    const link = `${place.pinPath}/v1/packet_link_${pair.index}`;
    expect(existsSync(link)).toBe(true);
    const flood = pair.flood(4_000, 1_000);
    let again = false;
    try {
      await waitFor(() => driverCounter(pair.name, 'rx_packets') > 0, { what: 'the first packets' });
      const ended = run.end('SIGTERM');
      await waitFor(() => !existsSync(link), { what: 'the program is taken off', interval: 0 });
      await kafka.pause(); // with the last packets and the last entries of the ledger under way
      const resumed = sleep(2_500).then(() => kafka.resume()); // longer than an interval, and than an entry waits otherwise
      again = await waitFor(() => existsSync(link) || run.ended, { what: 'the end', timeout: 30_000 }).then(() =>
        existsSync(link),
      );
      await resumed;
      expect(`${await ended} ${run.errors.trim().split('\n').at(-1)}`).toContain('0 {');
    } finally {
      await flood;
    }
    expect(again).toBe(false);
    expect(xdpProgramOf(pair.name)).toBeUndefined();
    const { counts } = await readPackets(kafka.brokers, 'slow.');
    const entries = await readPacketLedger(kafka.brokers, 'slow.', pair.name);
    expect(faultsOf(entries, counts)).toEqual([]);
    expect(entries.at(-1)).toMatchObject({ state: 'stopped', closed: true });
  });

  it('with packets is not taken over by a start without', async () => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create('without', [pair.name]);
    const flags = ['--create-topics', '--topic-prefix', 'without.', '--on-exit', 'keep'];
    await using first = await place.run(kafka.brokers, ...flags);
    expect(await first.end('SIGTERM')).toBe(0);
    await using without = new CommandProcess(
      ['run', '--brokers', kafka.brokers, ...place.paths, '--no-packets', '--topic-prefix', 'without.'],
      { BPF2KAFKA_LOG_LEVEL: 'silent' },
    );
    expect(await without.exit()).toBe(2);
    expect(without.errors.trim().split('\n')).toHaveLength(1);
    expect(without.errors).toMatch(/--no-packets.*it counts packets too.*--on-exit detach/);
    expect(xdpProgramOf(pair.name)).toBeDefined();
  });
});
