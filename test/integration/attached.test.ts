import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tool, whyNoCapture } from '../support/capture.ts';
import { readTopic } from '../support/kcat.ts';
import { addLink, newNetworkName, removeNetwork, VethPair, whyNoNetwork, xdpProgramOf } from '../support/network.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { sumOf, tallyOf } from '../support/packets.ts';
import { auditOf, contradictionsIn, faultsOf, readPacketLedger, readPackets } from '../support/published.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, holesIn, startStorm } from '../support/storm.ts';
import { mixedRuns } from '../support/traffic.ts';
import { rightsOf, UnprivilegedPlace, user, userFlag } from '../support/unprivileged.ts';
import { waitFor } from '../support/wait-for.ts';

/** `attach` with the rights that capturing takes, `run --attached` with none. */

const nobody = new UnprivilegedPlace();
const reason = whyNoCapture() ?? whyNoNetwork() ?? nobody.whyNot();
beforeEach(({ skip }) => {
  skip(reason !== undefined, reason);
});
afterEach(() => {
  if (reason === undefined) removeNetwork();
});
afterAll(() => nobody[Symbol.dispose]());

/** Runs `attach` to its end. */
async function attach(place: SidecarPlace, ...flags: string[]) {
  const shape = place.flags.filter((word, at, all) => word !== '--state-dir' && all[at - 1] !== '--state-dir');
  await using command = new CommandProcess(['attach', ...shape, ...flags]);
  const code = await command.exit();
  return { code, lines: command.lines, errors: command.errors };
}

/** Flags of `run --attached` on these pins, by that user. */
function flagsOf(place: SidecarPlace, brokers: string, ...flags: string[]): string[] {
  const own = { '--pin-path': nobody.pinPath, '--state-dir': nobody.stateDir } as Record<string, string>;
  const words = place.flags.map((word, at, all) => own[all[at - 1] ?? ''] ?? word);
  return ['run', '--attached', '--brokers', brokers, '--http', 'off', ...words, ...flags];
}

const start = (place: SidecarPlace, brokers: string, ...flags: string[]) =>
  new CommandProcess(flagsOf(place, brokers, ...flags), {}, nobody.program(place.pinPath));

/** The one line of a start that is refused, before any broker is asked. */
async function refusalOf(place: SidecarPlace, ...flags: string[]) {
  await using command = start(place, '127.0.0.1:1', ...flags);
  const code = await command.exit();
  return { code, said: command.errors.split('\n').filter((line) => line.startsWith('bpf2kafka: ')) };
}

describe('run --attached', () => {
  oneStormAtATime();

  it('publishes what was captured before, meanwhile and between two kills, with no right at all', {
    timeout: 180_000,
  }, async () => {
    const pair = new VethPair();
    await using place = await SidecarPlace.create('attached', [pair.name]);
    const ring = ['--exec-ring-bytes', String(32 * 1024 * 1024)];
    const attached = await attach(place, ...ring, ...userFlag);
    expect(attached).toMatchObject({
      code: 0,
      lines: [`attached exec exit packets:${pair.name} in ${place.pinPath} for user ${user.uid}, group ${user.gid}`],
    });
    // The kernel captures, and nobody runs.
    const storms = [startStorm({ count: 500 })];
    await storms[0]?.ended;
    const sent = [await pair.sendFrames(mixedRuns)];

    const flags = [...ring, '--create-topics', '--topic-prefix', 'attached.', '--ledger-interval', '1s'];
    let sidecar = start(place, kafka.brokers, ...flags);
    await sidecar.ready();
    expect(sidecar.lines).toEqual([`ready exec exit packets:${pair.name}`]);
    const none = '0000000000000000';
    expect(rightsOf(sidecar.pid)).toMatchObject({
      Uid: String(user.uid),
      Gid: String(user.gid),
      ...{ CapInh: none, CapPrm: none, CapEff: none, CapBnd: none, CapAmb: none },
      NoNewPrivs: '1',
    });
    for (let kill = 0; kill < 3; kill += 1) {
      const storm = startStorm({ count: 1_000, rate: 1_000 });
      storms.push(storm);
      const before = (await readTopic(kafka.brokers, 'attached.exec-events')).length;
      await waitFor(async () => (await readTopic(kafka.brokers, 'attached.exec-events')).length > before, {
        what: 'it publishes',
        timeout: 30_000,
      });
      sent.push(await pair.sendFrames(mixedRuns));
      expect(await sidecar.end('SIGKILL')).toBe('SIGKILL');
      sidecar = start(place, kafka.brokers, ...flags);
      await sidecar.ready();
      await storm.ended;
    }
    await using last = sidecar;
    expect(await last.end('SIGTERM')).toBe(0);
    // It keeps: to end it takes rights.
    expect(existsSync(place.pinPath)).toBe(true);
    expect(xdpProgramOf(pair.name)).toBeDefined();

    const records = await readTopic(kafka.brokers, 'attached.exec-events');
    const tokens = new Set(storms.flatMap((storm) => [...storm.tokens]));
    expect(compare(tokens, records)).toMatchObject({ missing: [], found: tokens.size });
    expect(holesIn(records)).toEqual([]);
    expect(await contradictionsIn(records)).toEqual([]);
    const { counts } = await readPackets(kafka.brokers, 'attached.');
    const packets = sent.reduce((total, one) => total + one.packets, 0);
    expect(sumOf(tallyOf(counts)).packets).toBe(packets);
    const entries = await readPacketLedger(kafka.brokers, 'attached.', pair.name);
    expect(faultsOf(entries, counts)).toEqual([]);
    const audit = await auditOf(kafka.brokers, 'attached.');
    expect(audit.code, audit.said).toBe(0);

    const words = ['detach', '--discard', '--pin-path', place.pinPath, '--state-dir', nobody.stateDir];
    await using detach = new CommandProcess(words);
    expect(await detach.exit(), detach.errors).toBe(0);
    expect(existsSync(place.pinPath)).toBe(false);
    expect(xdpProgramOf(pair.name)).toBeUndefined();
    // The user goes on with it at the next start.
    expect(statSync(join(nobody.stateDir, 'ledger.json')).uid).toBe(user.uid);
  });

  it('says what it may not do: an interface that appears, rules that change; and attach replaces them', {
    timeout: 120_000,
  }, async () => {
    const first = newNetworkName();
    const second = newNetworkName();
    addLink(first, 'type', 'veth', 'peer', 'name', newNetworkName());
    await using place = await SidecarPlace.create('limits', [first, second]);
    const config = join(nobody.directory, 'config.yaml');
    writeFileSync(config, '# no rules yet\n');
    expect(await attach(place, ...userFlag)).toMatchObject({ code: 0 });

    const flags = ['--create-topics', '--topic-prefix', 'limits.', '--config', config];
    await using sidecar = start(place, kafka.brokers, ...flags);
    await sidecar.ready();
    addLink(second, 'type', 'veth', 'peer', 'name', newNetworkName());
    const refused = `"interface":"${second}","reason":"cannot count packets on ${second}: it was not there, or not up, when the rest was attached; run \`bpf2kafka attach\` first`;
    await waitFor(() => sidecar.errors.includes(refused), { what: 'the interface is told of' });
    writeFileSync(config, `exclude-exe: ${tool('noop')}\n`);
    process.kill(sidecar.pid, 'SIGHUP');
    const kept = 'the old ones stay in force';
    await waitFor(() => sidecar.errors.includes(kept), { what: 'the rules are told of' });
    expect(sidecar.errors).toContain(
      'they come with a program, and this process loads none; run `bpf2kafka attach` first',
    );

    const owned = await attach(place, ...userFlag, '--config', config);
    expect(owned.code).toBe(3);
    expect(owned.errors).toContain(`process ${sidecar.pid} owns them`);
    expect(await sidecar.end('SIGTERM')).toBe(0);
    expect(sidecar.errors.split(refused)).toHaveLength(2);

    // With the new rules the old programs are not those that were asked for.
    expect(await refusalOf(place, '--config', config)).toEqual({
      code: 3,
      said: [
        `bpf2kafka: cannot go on with the capture in ${nobody.pinPath}: the programs of exec are of another version, or have other settings; run \`bpf2kafka attach\` first, as root and with the same settings`,
      ],
    });
    const again = await attach(place, ...userFlag, '--config', config);
    expect(again).toMatchObject({ code: 0, lines: [expect.stringContaining(` packets:${second} in `)] });
    await using next = start(place, kafka.brokers, ...flags);
    await next.ready();
    expect(next.lines[0]).toContain(`packets:${second}`);
    const storm = startStorm({ count: 50 });
    await storm.ended;
    expect(await next.end('SIGTERM')).toBe(0);
    const records = await readTopic(kafka.brokers, 'limits.exec-events');
    expect(compare(storm.tokens, records).found).toBe(0);
    expect(holesIn(records)).toEqual([]);
  });

  it('goes on with a capture of exits alone', { timeout: 60_000 }, async () => {
    await using place = await SidecarPlace.create('attached-exits');
    const attached = await attach(place, ...userFlag, '--no-exec');
    expect(attached.lines).toEqual([`attached exit in ${place.pinPath} for user ${user.uid}, group ${user.gid}`]);
    const flags = ['--no-exec', '--create-topics', '--topic-prefix', 'attached-exits.'];
    await using sidecar = start(place, kafka.brokers, ...flags);
    await sidecar.ready();
    expect(sidecar.lines).toEqual(['ready exit']);
    expect(await sidecar.end('SIGTERM')).toBe(0);
  });
});

describe('run --attached is refused, in one line, and captures nothing', () => {
  const goOn = (what: string) =>
    `bpf2kafka: cannot go on with the capture in ${nobody.pinPath}: ${what}; run \`bpf2kafka attach\` first, as root and with the same settings`;

  it('where nothing is attached', async () => {
    await using place = await SidecarPlace.create('nothing');
    await using command = new CommandProcess(['run', '--attached', '--brokers', '127.0.0.1:1', ...place.flags]);
    expect(await command.exit()).toBe(3);
    expect(command.errors).toBe(
      `bpf2kafka: cannot go on with the capture in ${place.pinPath}: nothing is pinned there; run \`bpf2kafka attach\` first, as root and with the same settings\n`,
    );
    expect(existsSync(place.pinPath)).toBe(false);
  });

  it('with other settings than those that it was attached with', { timeout: 120_000 }, async () => {
    const link = newNetworkName();
    addLink(link, 'type', 'veth', 'peer', 'name', newNetworkName());
    await using place = await SidecarPlace.create('other', [link]);
    expect(await attach(place, ...userFlag, '--no-exit', '--exclude-ip', '10.0.0.0/8')).toMatchObject({ code: 0 });
    const execs = goOn('the programs of exec are of another version, or have other settings');
    for (const [flags, said] of [
      [['--args', 'none'], execs],
      [['--exec-env', 'LANG'], execs],
      [['--failed-execs'], execs],
      [['--exclude-uid', '1'], execs],
      [[], goOn('it does not capture exits')],
      [['--no-exit'], goOn('the packet program is of another version, or excludes other addresses')],
    ] as const)
      expect(await refusalOf(place, ...flags)).toEqual({ code: 3, said: [said] });
    const packets = await refusalOf(place, '--no-exit', '--no-packets');
    expect(packets).toMatchObject({ code: 2, said: [expect.stringContaining('it counts packets too')] });
  });

  it('as another user than the one that it was attached for', async () => {
    await using place = await SidecarPlace.create('stranger');
    expect(await attach(place)).toMatchObject({ code: 0 });
    expect(await refusalOf(place)).toEqual({
      code: 3,
      said: [
        expect.stringMatching(
          /^bpf2kafka: cannot .*: Permission denied; let `bpf2kafka attach --user` give the pins to this user, and let it pass the directories above them$/,
        ),
      ],
    });
  });

  it('with --on-exit detach, wherever that is said', async () => {
    await using place = await SidecarPlace.create('ending');
    for (const environment of [{}, { BPF2KAFKA_ON_EXIT: 'detach' }]) {
      const flags = Object.keys(environment).length > 0 ? [] : ['--on-exit', 'detach'];
      const words = ['run', '--attached', '--brokers', '127.0.0.1:1', ...place.flags, ...flags];
      await using command = new CommandProcess(words, environment);
      expect(await command.exit()).toBe(2);
      expect(command.errors).toMatch(/^bpf2kafka: cannot use --on-exit detach with --attached \(from [^)]+\): .*\n$/);
    }
  });
});

describe('attach', () => {
  it('gives a user what a reader needs, and nobody anything else', async () => {
    await using place = await SidecarPlace.create('modes');
    const { code, errors } = await attach(place, ...userFlag);
    expect(code, errors).toBe(0);
    const accessOf = (name: string) => {
      const { mode, uid, gid } = statSync(join(place.pinPath, name));
      return `${(mode & 0o7777).toString(8)} ${uid}:${gid}`;
    };
    const group = process.getgid?.();
    for (const directory of ['.', 'v1', 'v1/g1']) expect(accessOf(directory)).toBe(`750 0:${user.gid}`);
    for (const given of ['v1/host', 'v1/exec_dispatcher', 'v1/barrier', 'v1/g1/exec_ring', 'v1/g1/exit_ring_control'])
      expect(accessOf(given), given).toBe(`660 ${user.uid}:${group}`);
    for (const kept of ['v1/exec_link', 'v1/exec_fork_link', 'v1/exec_programs', 'v1/exit_handoff', 'v1/exec_marks'])
      expect(accessOf(kept), kept).toBe(`600 0:${group}`);
    // bpffs is for root alone where it is mounted as systemd does it.
    if ((statSync('/sys/fs/bpf').mode & 1) === 0)
      expect(errors).toMatch(/chmod o\+x \/sys\/fs\/bpf.*cannot reach the pins/);
  });

  it('leaves nothing behind when it cannot give the pins away', async () => {
    await using place = await SidecarPlace.create('chown');
    const words = ['attach', '--pin-path', place.pinPath, '--no-packets', ...userFlag];
    const without = ['setpriv', '--bounding-set=-all,+bpf,+perfmon', process.execPath, 'bin/bpf2kafka.js'];
    await using command = new CommandProcess(words, {}, without);
    expect(await command.exit()).toBe(3);
    expect(command.errors).toMatch(/cannot give \S+: to hand a file to another user takes the capability CAP_CHOWN; /);
    expect(existsSync(place.pinPath)).toBe(false);
  });

  it.each(['nobody-at-all', '99999999999', '1:', ':1', '1:2:3'])('refuses --user %s', async (given) => {
    await using place = await SidecarPlace.create('wrong-user');
    await using command = new CommandProcess(['attach', '--pin-path', place.pinPath, '--user', given]);
    expect(await command.exit()).toBe(2);
    expect(command.errors).toMatch(/^bpf2kafka: cannot use --user [^\n]+\n$/);
    expect(existsSync(place.pinPath)).toBe(false);
  });
});
