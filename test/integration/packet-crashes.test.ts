import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tool, whyNoCapture } from '../support/capture.ts';
import { driverCounter, removeNetwork, VethPair, whyNoNetwork } from '../support/network.ts';
import { sumOf, type Tally, tallyOf } from '../support/packets.ts';
import { auditOf, faultsOf, readPacketLedger, readPackets } from '../support/published.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { SidecarPlace } from '../support/sidecar.ts';
import { startTraffic, type Traffic } from '../support/traffic.ts';

const long = process.env.BPF2KAFKA_LONG_TESTS === '1';

const reason = whyNoCapture() ?? whyNoNetwork();
beforeEach(({ skip }) => {
  skip(reason !== undefined, reason);
});
afterEach(() => {
  if (reason === undefined) removeNetwork();
});

/** Kills the process at this step of giving up an epoch (test/tools/kill_in_clear.c); resolves when it watches. */
async function killAt(pid: number, flows: number, step: string, count: number): Promise<ChildProcess> {
  const child = spawn(tool('kill_in_clear'), [String(pid), String(flows), step, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await once(child.stdout as NodeJS.ReadableStream, 'data');
  expect(String(said)).toContain('watching');
  return child;
}

describe('a sidecar that is killed', () => {
  it('at any moment under traffic loses no packet, counts none twice, and repeats records unchanged', {
    timeout: 120_000,
  }, async () => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create('kill', [pair.name]);
    const flags = ['--create-topics', '--topic-prefix', 'kill.', '--ledger-interval', '1s', '--interval', '100ms'];
    let sidecar = await place.run(kafka.brokers, ...flags);
    const traffic = startTraffic(pair);
    for (let i = 0; i < 5; i += 1) {
      await sleep(500 + 100 * i); // somewhere in the middle of its work; where exactly must not matter
      expect(await sidecar.end('SIGKILL')).toBe('SIGKILL');
      sidecar = await place.run(kafka.brokers, ...flags);
    }
    await using last = sidecar;
    const sent = await traffic.stop();
    expect(await last.end('SIGTERM')).toBe(0);

    const { counts } = await readPackets(kafka.brokers, 'kill.');
    expect(tallyOf(counts)).toEqual(sent);
    expect(sumOf(sent).packets).toBe(driverCounter(pair.name, 'rx_packets'));
    const entries = await readPacketLedger(kafka.brokers, 'kill.', pair.name);
    expect(faultsOf(entries, counts)).toEqual([]);
    expect(entries.at(-1)).toMatchObject({ state: 'stopped', closed: true, seen: sumOf(sent).packets, lost: {} });
    expect(await auditOf(kafka.brokers, 'kill.')).toMatchObject({ code: 0 });
  });

  const flows = 32_768;
  /** Three of the calls by which a map is cleared. */
  const manyFlows = 17_000;
  it.for([
    { where: 'between the publishing and the commit', step: 'commit', count: 2, repeats: true },
    { where: 'right behind the commit', step: 'acked', count: 2, repeats: false },
    { where: 'before anything is cleared', step: 'delete', count: 1, repeats: false },
    { where: 'with a part of the keys cleared', step: 'delete', count: 3, repeats: false },
    { where: 'with the keys cleared and the classes not', step: 'base', count: 1, repeats: false },
    { where: 'right behind the clearing', step: 'cleared', count: 1, repeats: false },
  ])(
    '$where loses no packet, and the account closes',
    { timeout: 120_000 },
    async ({ step, count, repeats }, { skip }) => {
      skip(!existsSync(tool('kill_in_clear')), 'needs the debug registers of x86-64');
      const prefix = `${step}-${count}.`;
      const pair = new VethPair();
      await using place = await SidecarPlace.create(step, [pair.name]);
      const flags = [
        '--create-topics',
        '--topic-prefix',
        prefix,
        '--packet-flows',
        String(flows),
        '--interval',
        '200ms',
      ];
      let traffic: Traffic | undefined;
      const many = { packets: 0, bytes: 0 };
      for (let kills = 0; kills < (long ? 4 : 1); kills += 1) {
        await using sidecar = await place.run(kafka.brokers, ...flags, '--packet-budget', '1000000');
        traffic ??= startTraffic(pair);
        process.kill(sidecar.pid, 'SIGSTOP'); // so that all of them are in one epoch
        const sent = await pair.sendFlows(manyFlows);
        many.packets += sent.packets;
        many.bytes += sent.bytes;
        const killer = await killAt(sidecar.pid, flows, step, count + kills);
        process.kill(sidecar.pid, 'SIGCONT');
        expect(await sidecar.exit()).toBe('SIGKILL');
        if (killer.exitCode === null) await once(killer, 'exit');
        expect(killer.exitCode).toBe(0);
      }
      await using last = await place.run(kafka.brokers, ...flags);
      const mixed = (await traffic?.stop()) as Tally;
      expect(await last.end('SIGTERM')).toBe(0);

      const published = await readPackets(kafka.brokers, prefix);
      const tally = tallyOf(published.counts);
      for (const [name, count] of mixed) expect([name, tally.get(name)]).toEqual([name, count]);
      expect(sumOf(tally).packets).toBe(sumOf(mixed).packets + many.packets);
      expect(sumOf(tally).bytes).toBe(sumOf(mixed).bytes + many.bytes);
      expect(sumOf(tally).packets).toBe(driverCounter(pair.name, 'rx_packets'));
      expect(published.repeats > 0).toBe(repeats);
      const entries = await readPacketLedger(kafka.brokers, prefix, pair.name);
      expect(faultsOf(entries, published.counts)).toEqual([]);
      expect(entries.at(-1)).toMatchObject({ state: 'stopped', closed: true, lost: {} });
      expect(await auditOf(kafka.brokers, prefix)).toMatchObject({ code: 0 });
    },
  );
});
