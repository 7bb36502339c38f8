import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packetKeyKinds } from '../../src/schemas/packet-count.ts';
import { tool, whyNoCapture } from '../support/capture.ts';
import { ip, newNetworkName, removeNetwork, VethPair, whyNoNetwork, xdpProgramOf } from '../support/network.ts';
import { sumOf, tallyOf } from '../support/packets.ts';
import { auditOf, faultsOf, readPacketLedger, readPackets } from '../support/published.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
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

interface LogLine {
  readonly interface?: string;
  readonly index?: number;
  readonly reason?: string;
  readonly msg: string;
}

/** What the log says of one interface. */
function toldOf({ errors }: CommandProcess, name: string): LogLine[] {
  const lines = errors.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as LogLine).filter((line) => line.interface === name);
}

function untilCounted(sidecar: CommandProcess, { name, index }: VethPair): Promise<unknown> {
  return waitFor(() => toldOf(sidecar, name).some((line) => line.msg === 'counting packets' && line.index === index), {
    what: `packets are counted on ${name}`,
  });
}

describe('bpf2kafka run', () => {
  it('counts on interfaces that appear, and publishes the last counts of those that go', async () => {
    const stays = new VethPair();
    const name = newNetworkName();
    await using place = await SidecarPlace.create('come-and-go', [stays.name, name]);
    const flags = ['--create-topics', '--topic-prefix', 'go.', '--ledger-interval', '1s'];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    expect(sidecar.lines[0]).toBe(`ready exec exit packets:${stays.name}`);

    const lives: VethPair[] = [];
    for (let life = 0; life < 2; life += 1) {
      const pair = new VethPair({ name });
      lives.push(pair);
      await untilCounted(sidecar, pair);
      await pair.sendFrames(mixedRuns);
      await stays.sendFrames(mixedRuns);
      if (life > 0) break;
      pair.remove();
      await waitFor(() => toldOf(sidecar, name).some(({ reason: why }) => why === 'it is gone'), {
        what: 'the interface is found to be gone',
      });
    }
    expect(await sidecar.end('SIGTERM')).toBe(0);

    const { counts } = await readPackets(kafka.brokers, 'go.');
    const of = (index: number) => tallyOf(counts.filter(({ interface_index }) => interface_index === index));
    for (const { index } of lives) expect(of(index)).toEqual(tallyOfRuns(mixedRuns, 1));
    expect(of(stays.index)).toEqual(tallyOfRuns(mixedRuns, 2));
    for (const stream of [name, stays.name]) {
      const entries = await readPacketLedger(kafka.brokers, 'go.', stream);
      expect(faultsOf(entries, counts)).toEqual([]);
      expect(entries.at(-1)).toMatchObject({
        state: 'stopped',
        closed: true,
        seen: 2 * sumOf(of(lives[0]?.index as number)).packets,
      });
    }
    expect(await auditOf(kafka.brokers, 'go.')).toMatchObject({ code: 0 });
  });

  it('says once of each interface why nothing is counted there, and counts on the others', async () => {
    const [good, down, taken] = [new VethPair(), new VethPair(), new VethPair()] as const;
    const missing = newNetworkName();
    ip('link', 'set', down.name, 'down');
    const holder = spawn(tool('xdp_hold'), [taken.name, 'native'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [printed] = await once(holder.stdout, 'data');
    const foreign = Number(printed);
    const names = [missing, down.name, taken.name, good.name];
    await using place = await SidecarPlace.create('refuse', names);
    await using sidecar = await place.run(kafka.brokers, '--create-topics', '--topic-prefix', 'refuse.');
    expect(sidecar.lines[0]).toBe(`ready exec exit packets:${good.name}`);
    for (const pair of [good, taken]) await pair.sendFrames(mixedRuns);
    // Some looks later it is still told once.
    await waitFor(async () => (await readPackets(kafka.brokers, 'refuse.')).counts.length > 0, {
      what: 'counts',
      interval: 500,
    });
    const told = (name: string) => toldOf(sidecar, name).map(({ reason: why, msg }) => `${msg} (${why})`);
    expect(told(missing)).toEqual(['packets are not counted there; they are when it appears (it does not exist)']);
    expect(told(down.name)).toEqual(['packets are not counted there; they are when it comes up (it is down)']);
    expect(told(taken.name)).toHaveLength(1);
    expect(told(taken.name)[0]).toContain(`it has another XDP program, program ${foreign} (someone_elses)`);
    expect(xdpProgramOf(taken.name)).toBe(foreign);

    ip('link', 'set', down.name, 'up');
    await untilCounted(sidecar, down);
    await down.sendFrames(mixedRuns);
    expect(await sidecar.end('SIGTERM')).toBe(0);
    expect(xdpProgramOf(taken.name)).toBe(foreign);
    holder.stdin.end();

    const { counts } = await readPackets(kafka.brokers, 'refuse.');
    expect(tallyOf(counts)).toEqual(tallyOfRuns(mixedRuns, 2));
    expect(new Set(counts.map(({ interface_name: name }) => name))).toEqual(new Set([good.name, down.name]));
    expect(await readPacketLedger(kafka.brokers, 'refuse.', taken.name)).toEqual([]);
  });

  it('counts packets from and to excluded networks in one sum', async () => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create('exclude', [pair.name]);
    const flags = [
      '--create-topics',
      '--topic-prefix',
      'exclude.',
      '--exclude-ip',
      '192.0.2.7',
      '--exclude-ip',
      '2001:db8::/32',
    ];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    const { packets } = await pair.sendFrames(mixedRuns);
    expect(await sidecar.end('SIGTERM')).toBe(0);

    const wanted = tallyOfRuns(mixedRuns, 1, {
      excluded: [
        { family: 4, address: Uint8Array.of(192, 0, 2, 7), prefixLength: 32 },
        {
          family: 6,
          address: Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, ...new Array<number>(12).fill(0)),
          prefixLength: 32,
        },
      ],
    });
    const { counts } = await readPackets(kafka.brokers, 'exclude.');
    expect(tallyOf(counts)).toEqual(wanted);
    const entries = await readPacketLedger(kafka.brokers, 'exclude.', pair.name);
    expect(faultsOf(entries, counts)).toEqual([]);
    const filtered = wanted.get('filtered')?.packets as number;
    expect(filtered).toBe(6);
    expect(entries.at(-1)).toMatchObject({
      seen: packets,
      published: packets - filtered,
      filtered: { exclude_ip: filtered },
    });
    expect(await auditOf(kafka.brokers, 'exclude.')).toMatchObject({ code: 0 });
  });

  it.for(packetKeyKinds)('counts by --packet-key %s', async (keyKind) => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create(keyKind, [pair.name]);
    const flags = ['--create-topics', '--topic-prefix', `key-${keyKind}.`, '--packet-key', keyKind];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    await pair.sendFrames(mixedRuns);
    expect(await sidecar.end('SIGTERM')).toBe(0);
    const { counts } = await readPackets(kafka.brokers, `key-${keyKind}.`);
    expect(tallyOf(counts)).toEqual(tallyOfRuns(mixedRuns, 1, { keyKind }));
    expect(new Set(counts.map(({ key_kind: kind }) => kind))).toEqual(new Set([keyKind]));
  });

  it('publishes less often with more keys than --packet-budget, and as many packets', async () => {
    const keys = 300;
    const pair = new VethPair();
    await using place = await SidecarPlace.create('budget', [pair.name]);
    const flags = ['--create-topics', '--topic-prefix', 'budget.', '--interval', '200ms', '--packet-budget', '100'];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    const sent = { packets: 0, bytes: 0 };
    const longest = async () => {
      const { packets, bytes } = await pair.sendFlows(keys);
      sent.packets += packets;
      sent.bytes += bytes;
      const { counts } = await readPackets(kafka.brokers, 'budget.');
      return Math.max(0, ...counts.map(({ interval_start, interval_end }) => interval_end - interval_start));
    };
    await waitFor(async () => (await longest()) >= 0.9 * ((keys / 100) * 1000), {
      what: 'an interval of the length that the budget asks for',
      timeout: 20_000,
      interval: 300,
    });
    expect(await sidecar.end('SIGTERM')).toBe(0);
    const { counts } = await readPackets(kafka.brokers, 'budget.');
    expect(sumOf(tallyOf(counts))).toEqual(sent);
    expect(tallyOf(counts).size).toBe(keys);
    expect(faultsOf(await readPacketLedger(kafka.brokers, 'budget.', pair.name), counts)).toEqual([]);
  });

  it('publishes what tail packets --json prints', async () => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create('tail', [pair.name]);
    await using sidecar = await place.run(kafka.brokers, '--create-topics', '--topic-prefix', 'tail.');
    await pair.sendFrames(mixedRuns);
    expect(await sidecar.end('SIGTERM')).toBe(0);
    const { counts } = await readPackets(kafka.brokers, 'tail.');
    const words = ['--json', '--from-beginning', '--limit', String(counts.length)];
    await using tail = new CommandProcess([
      ...['tail', 'packets', '--brokers', kafka.brokers, '--topic-prefix', 'tail.'],
      ...words,
    ]);
    expect(await tail.exit()).toBe(0);
    expect(tallyOf(tail.lines.map((line) => JSON.parse(line)))).toEqual(tallyOfRuns(mixedRuns, 1));
  });
});

it('bpf2kafka start shows the table of packets', { timeout: 90_000 }, async () => {
  const pair = new VethPair();
  await using place = await SidecarPlace.create('start-packets', [pair.name]);
  await using command = new CommandProcess(['start', ...place.flags]);
  await command.ready();
  expect(command.lines[0]).toBe(`ready exec exit packets:${pair.name}`);
  const traffic = startTraffic(pair);
  expect(await command.line('192.0.2.1:40001 => :443 | ')).toMatch(/^192\.0\.2\.1:40001 => :443 \| \d+$/);
  await traffic.stop();
  expect(await command.end('SIGINT')).toBe(0);
  expect(xdpProgramOf(pair.name)).toBeUndefined();
});
