import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chooseFreePort } from '../../src/embedded-kafka/free-port.ts';
import { whyNoCapture } from '../support/capture.ts';
import { readTopic } from '../support/kcat.ts';
import { removeNetwork, VethPair, whyNoNetwork } from '../support/network.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { auditOf, faultsOf, readPacketLedger, readPackets } from '../support/published.ts';
import { type ProfileName, readProfile, underProfile, whyNoSeccomp } from '../support/seccomp.ts';
import { SecureKafka } from '../support/secure-kafka.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, holesIn, startStorm } from '../support/storm.ts';
import { mixedRuns } from '../support/traffic.ts';
import { rightsOf, UnprivilegedPlace, userFlag } from '../support/unprivileged.ts';
import { waitFor } from '../support/wait-for.ts';

/** The filters of system calls in deploy/: all that a sidecar does in its life passes, and what it never does fails. */

const nobody = new UnprivilegedPlace();
const reason = whyNoCapture() ?? whyNoNetwork() ?? whyNoSeccomp();
beforeEach(({ skip }) => {
  skip(reason !== undefined, reason);
});
afterEach(() => {
  if (reason === undefined) removeNetwork();
});
afterAll(() => nobody[Symbol.dispose]());

const program = [process.execPath, join(import.meta.dirname, '../../bin/bpf2kafka.js')];
/** SECCOMP_MODE_FILTER, as /proc/PID/status has it. */
const filtered = '2';

describe('a whole life: TLS, packets, an outage that goes to disk, new rules, health, the end', () => {
  let secure: SecureKafka;
  const authority = join(nobody.directory, 'authority.pem');
  beforeAll(async () => {
    if (reason !== undefined) return;
    secure = await SecureKafka.start();
    // Where the user without rights can read it.
    await copyFile(secure.authority.certificate, authority);
    await chmod(authority, 0o644);
  });
  afterAll(() => secure?.[Symbol.asyncDispose]());
  oneStormAtATime();

  /** @param start a sidecar with these flags, whose settings are also in the file */
  async function live(
    start: (flags: readonly string[]) => CommandProcess,
    { prefix, pair, config, takesRules }: { prefix: string; pair: VethPair; config: string; takesRules: boolean },
  ): Promise<void> {
    const port = await chooseFreePort();
    await using sidecar = start([
      ...['--brokers', secure.brokers('tls'), '--tls', '--tls-ca-file', authority],
      ...['--create-topics', '--topic-prefix', prefix, '--ledger-interval', '1s', '--drain-timeout', '60s'],
      ...['--config', config, '--http', `127.0.0.1:${port}`],
    ]);
    await sidecar.ready();
    expect(rightsOf(sidecar.pid).Seccomp).toBe(filtered);
    const storms = [startStorm({ count: 300, rate: 300 })];
    await storms[0]?.ended;
    await pair.sendFrames(mixedRuns);
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
    const spooledRecords = async () => {
      const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      return Number(/^bpf2kafka_spool_records (\d+)/m.exec(page)?.[1]);
    };
    await secure.kafka.kill();
    await waitFor(
      async () => {
        const storm = startStorm({ count: 1_000, rate: 1_000 });
        storms.push(storm);
        await storm.ended;
        return (await spooledRecords()) > 0;
      },
      { what: 'execs are on disk', timeout: 60_000 },
    );
    await secure.kafka.start();
    await waitFor(async () => (await spooledRecords()) === 0, { what: 'the disk is empty again', timeout: 60_000 });

    await writeFile(config, `${await readFile(config, 'utf8')}exclude-uid: 54999\n`);
    process.kill(sidecar.pid, 'SIGHUP');
    const said = takesRules ? 'rules for execs are replaced' : 'the old ones stay in force';
    await waitFor(() => sidecar.errors.includes(said), { what: `the log says ${said}: ${sidecar.errors}` });
    expect(await sidecar.end('SIGTERM'), sidecar.errors).toBe(0);

    const records = await readTopic(secure.kafka.brokers, `${prefix}exec-events`);
    const tokens = new Set(storms.flatMap((storm) => [...storm.tokens]));
    expect(compare(tokens, records)).toMatchObject({ missing: [], found: tokens.size });
    expect(holesIn(records)).toEqual([]);
    const { counts } = await readPackets(secure.kafka.brokers, prefix);
    expect(faultsOf(await readPacketLedger(secure.kafka.brokers, prefix, pair.name), counts)).toEqual([]);
    const audit = await auditOf(secure.kafka.brokers, prefix);
    expect(audit.code, audit.said).toBe(0);
  }

  const shape = ['--exec-ring-bytes', String(4 * 1024 * 1024), '--failed-execs'];

  it('of the one that captures, under deploy/seccomp.json', { timeout: 240_000 }, async () => {
    const { behind, environment } = underProfile('seccomp.json');
    const pair = new VethPair();
    await using place = await SidecarPlace.create('seccomp', [pair.name]);
    const config = join(place.stateDir, 'config.yaml');
    await writeFile(config, '# no rules yet\n');
    const start = (flags: readonly string[]) =>
      new CommandProcess(['run', ...place.flags, ...shape, ...flags], environment, [...behind, ...program]);
    await live(start, { prefix: 'captures.', pair, config, takesRules: true });
    expect(existsSync(place.pinPath)).toBe(false);
  });

  it('of the one that goes on, under deploy/seccomp-attached.json', { timeout: 240_000 }, async ({ skip }) => {
    const whyNot = nobody.whyNot();
    skip(whyNot !== undefined, whyNot);
    const pair = new VethPair();
    await using place = await SidecarPlace.create('narrow', [pair.name]);
    const config = join(nobody.directory, 'config.yaml');
    await writeFile(config, '# no rules yet\n');
    const capturing = underProfile('seccomp.json');
    const words = ['attach', '--pin-path', place.pinPath, '--interface', pair.name, ...shape, ...userFlag];
    await using attach = new CommandProcess(words, capturing.environment, [...capturing.behind, ...program]);
    expect(await attach.exit(), attach.errors).toBe(0);

    const { behind, environment } = underProfile('seccomp-attached.json');
    const own = ['--pin-path', nobody.pinPath, '--state-dir', nobody.stateDir, '--interface', pair.name, ...shape];
    const start = (flags: readonly string[]) =>
      new CommandProcess(['run', '--attached', ...own, ...flags], environment, nobody.program(place.pinPath, behind));
    await live(start, { prefix: 'narrow.', pair, config, takesRules: false });

    const end = ['detach', '--discard', '--pin-path', place.pinPath, '--state-dir', nobody.stateDir];
    await using detach = new CommandProcess(end, capturing.environment, [...capturing.behind, ...program]);
    expect(await detach.exit(), detach.errors).toBe(0);
    expect(existsSync(place.pinPath)).toBe(false);
  });
});

describe('what a sidecar never does', () => {
  const profiles: readonly ProfileName[] = ['seccomp.json', 'seccomp-attached.json'];

  /** The same command without the filter works, so that it is the filter that refuses it. */
  it.for(
    profiles.flatMap((profile) =>
      [
        ['a namespace of its own', 'unshare', '--uts', 'true'],
        ['users of its own', 'unshare', '--user', 'true'],
        ['a file system', 'unshare', '--mount', 'true'],
        ['another root', 'chroot', '/', 'true'],
      ].map(([what, ...command]) => ({ profile, what, command })),
    ),
  )('$profile refuses $what', ({ profile, command }, { skip }) => {
    const [name = '', ...words] = command;
    const without = spawnSync(name, words, { encoding: 'utf8' });
    skip(without.error !== undefined || without.status !== 0, `${name} does not work here: ${without.stderr}`);
    const { behind, environment } = underProfile(profile);
    const [filter = ''] = behind;
    const env = { ...process.env, ...environment };
    const { status, stderr } = spawnSync(filter, command, { env, encoding: 'utf8' });
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/Operation not permitted/);
  });

  it('seccomp-attached.json refuses to load a program and to make a map, to root as well', async () => {
    await using place = await SidecarPlace.create('no-load');
    const { behind, environment } = underProfile('seccomp-attached.json');
    const words = ['attach', '--pin-path', place.pinPath, '--no-packets'];
    await using attach = new CommandProcess(words, environment, [...behind, ...program]);
    expect(await attach.exit()).toBe(3);
    expect(attach.errors).toMatch(/^bpf2kafka: cannot load BPF programs: /);
    expect(existsSync(place.pinPath)).toBe(false);
  });

  it('a kernel that refuses every bpf(2), as before 5.19, is told of with what to do', async ({ skip }) => {
    const whyNot = nobody.whyNot();
    skip(whyNot !== undefined, whyNot);
    await using place = await SidecarPlace.create('refused');
    await using attach = new CommandProcess(['attach', '--pin-path', place.pinPath, '--no-packets', ...userFlag]);
    expect(await attach.exit(), attach.errors).toBe(0);
    const { behind, environment } = underProfile('seccomp-attached.json');
    const rules = environment.SECCOMP_RULES.split('\n').filter((rule) => !rule.startsWith('bpf '));
    await using sidecar = new CommandProcess(
      ['run', '--attached', '--brokers', '127.0.0.1:1', '--pin-path', nobody.pinPath, '--no-packets'],
      { SECCOMP_RULES: rules.join('\n') },
      nobody.program(place.pinPath, behind),
    );
    expect(await sidecar.exit()).toBe(3);
    expect(sidecar.errors).toMatch(
      /^bpf2kafka: cannot .*: Operation not permitted; before Linux 5\.19 bpf\(2\) is for CAP_BPF only: set kernel\.unprivileged_bpf_disabled to 0, or add CAP_BPF alone; [^\n]+\n$/,
    );
  });
});

it.each(['seccomp.json', 'seccomp-attached.json'] as const)('%s is in the form that container engines take', (name) => {
  expect(readProfile(name)).toMatchObject({
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64'],
  });
});
