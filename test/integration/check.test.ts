import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { tool, whyNoCapture } from '../support/capture.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { addLink, newNetworkName, removeNetwork, VethPair, whyNoNetwork, xdpProgramOf } from '../support/network.ts';
import { startRegistry } from '../support/registry.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { waitFor } from '../support/wait-for.ts';

/** `check` on the real machine: each line is what `run` with the same settings meets. */

let kafka: TestKafka;
beforeAll(async () => {
  kafka = await startKafka();
});
afterAll(async () => {
  await kafka[Symbol.asyncDispose]();
});

beforeEach(({ skip }) => {
  const reason = whyNoCapture() ?? whyNoNetwork();
  skip(reason !== undefined, reason);
});

afterEach(() => {
  if (whyNoNetwork() === undefined) removeNetwork();
});

interface Finding {
  readonly status: string;
  readonly subject: string;
  readonly found: string;
  readonly remedy: string | null;
}

/** Runs `check`, behind a command that takes something away from it. */
async function check(flags: readonly string[], { behind = [] as readonly string[] } = {}) {
  const program = [...behind, process.execPath, 'bin/bpf2kafka.js'];
  await using command = new CommandProcess(['check', ...flags, '--http', 'off', '--json'], {}, program);
  const code = await command.exit();
  expect(command.errors).toBe('');
  const findings = command.lines.map((line) => JSON.parse(line) as Finding);
  const bad = findings.filter(({ status }) => status === 'fail');
  // The exit code is what the lines say.
  expect(code).toBe(bad.length > 0 ? 1 : 0);
  return { code, findings, bad, of: (subject: string) => findings.find((finding) => finding.subject === subject) };
}

/** Exit code of `run` with the same settings when it refuses to start, and 0 when it gets ready. */
async function startOf(flags: readonly string[], { behind = [] as readonly string[] } = {}): Promise<number | string> {
  const program = [...behind, process.execPath, 'bin/bpf2kafka.js'];
  await using command = new CommandProcess(['run', ...flags, '--http', 'off'], {}, program);
  await waitFor(() => command.ended || command.lines.some((line) => line.startsWith('ready')), {
    what: 'run is ready or ends',
    timeout: 60_000,
  });
  const code = await (command.ended ? command.exit() : command.end('SIGTERM'));
  return code;
}

const bound = (...capabilities: string[]) => [
  'setpriv',
  `--bounding-set=${['-all', ...capabilities.map((c) => `+${c}`)].join(',')}`,
];
const needed = ['bpf', 'perfmon', 'net_admin', 'sys_ptrace'];

describe('what is right', () => {
  it('nothing fails, each subject has its line, and nothing is left behind', async () => {
    const link = newNetworkName();
    addLink(link, 'type', 'veth', 'peer', 'name', newNetworkName());
    await using place = await SidecarPlace.create('right', [link]);
    const flags = [
      '--brokers',
      kafka.brokers,
      ...place.flags,
      '--failed-execs',
      '--create-topics',
      '--topic-prefix',
      'right.',
    ];
    const { code, findings, of } = await check(flags);
    expect(code).toBe(0);
    expect(findings.map(({ subject }) => subject)).toEqual([
      'kernel',
      'btf',
      'lockdown',
      'capability CAP_BPF',
      'capability CAP_PERFMON',
      'capability CAP_NET_ADMIN',
      'capability CAP_SYS_PTRACE',
      'programs of exec',
      'programs of failed execs',
      'programs of exit',
      'programs of packets',
      'bpffs',
      'pins',
      'memory',
      `interface ${link}`,
      'state directory',
      'machine-id',
      'clock',
      'http',
      'broker',
      'topic right.exec-events',
      'topic right.exit-events',
      'topic right.packet-counts',
      'topic right.bpf2kafka-ledger',
      'topic right.bpf2kafka-dead-letter',
      'topic right.bpf2kafka-hosts',
      'registry',
    ]);
    expect(of('topic right.exec-events')).toMatchObject({ status: 'pass', found: 'it does not exist; run creates it' });
    expect(of(`interface ${link}`)).toMatchObject({ status: 'pass', found: 'veth, without an XDP program' });

    expect(existsSync(place.pinPath)).toBe(false);
    expect(readdirSync(place.stateDir)).toEqual([]);
    expect(xdpProgramOf(link)).toBeUndefined();
    // No topic was made either: without --create-topics each is missing.
    const again = await check(flags.filter((flag) => flag !== '--create-topics'));
    expect(again.bad.map(({ subject }) => subject)).toEqual(
      findings.map(({ subject }) => subject).filter((subject) => subject.startsWith('topic ')),
    );
  });
});

describe('run --attached', () => {
  it('is told whether something is attached, and nothing of capabilities', { timeout: 120_000 }, async () => {
    await using place = await SidecarPlace.create('two-steps');
    const flags = [
      '--attached',
      '--brokers',
      kafka.brokers,
      ...place.flags,
      '--create-topics',
      '--topic-prefix',
      'two.',
    ];
    const before = await check(flags, { behind: bound() });
    expect(before.bad).toMatchObject([
      { subject: 'pins', found: `nothing is pinned in ${place.pinPath}`, remedy: expect.stringContaining('attach') },
    ]);
    expect(await startOf(flags, { behind: bound() })).toBe(3);
    await using attach = new CommandProcess(['attach', '--pin-path', place.pinPath, '--no-packets']);
    expect(await attach.exit(), attach.errors).toBe(0);
    const after = await check(flags, { behind: bound() });
    expect(after).toMatchObject({ code: 0, bad: [] });
    expect(after.findings.some(({ subject }) => subject.startsWith('capability'))).toBe(false);
    expect(await startOf(flags, { behind: bound() })).toBe(0);
  });
});

describe('what is wrong', () => {
  it('a broker that is not there; as text, a line each', { timeout: 120_000 }, async () => {
    await using place = await SidecarPlace.create('away');
    await using command = new CommandProcess(['check', '--brokers', '127.0.0.1:1', ...place.flags, '--http', 'off']);
    expect(await command.exit()).toBe(1);
    expect(command.lines.at(0)).toMatch(/^pass {6}kernel: Linux /);
    expect(command.lines.filter((line) => line.startsWith('fail'))).toEqual([
      'fail      broker: cannot reach the broker 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1; check --brokers and that a broker listens there',
    ]);
    for (const line of command.lines) expect(line).toMatch(/^(pass {6}|degraded {2}|fail {6})\S[^:]*: \S/);
  });

  it.for([...needed, 'chown'])('without CAP_%s, as run itself', { timeout: 120_000 }, async (dropped) => {
    const link = newNetworkName();
    addLink(link, 'type', 'veth', 'peer', 'name', newNetworkName());
    await using place = await SidecarPlace.create(`without-${dropped}`, [link]);
    const flags = ['--brokers', kafka.brokers, ...place.flags, '--create-topics', '--topic-prefix', `${dropped}.`];
    const behind = bound(...needed.filter((name) => name !== dropped));
    const { code, findings } = await check(flags, { behind });
    const capabilities = findings.filter(({ subject }) => subject.startsWith('capability '));
    expect(capabilities.filter(({ status }) => status !== 'pass').map(({ subject }) => subject)).toEqual(
      dropped === 'chown' ? [] : [`capability CAP_${dropped.toUpperCase()}`],
    );
    expect(code).toBe(['bpf', 'perfmon', 'net_admin'].includes(dropped) ? 1 : 0);
    expect(await startOf(flags, { behind })).toBe(code === 0 ? 0 : 3);
  });

  it('an interface with another XDP program, one that is down, one that is not there', async () => {
    const pair = new VethPair();
    const holder = spawn('nsenter', [`--net=/run/netns/${pair.namespace}`, tool('xdp_hold'), pair.far, 'native'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => holder.once('close', resolve));
    try {
      const id = await new Promise<string>((resolve) =>
        holder.stdout.once('data', (chunk) => resolve(String(chunk).trim())),
      );
      await using place = await SidecarPlace.create('foreign', [pair.far, 'lo', 'absent0']);
      const { findings } = await check(['--brokers', '127.0.0.1:1', ...place.flags], {
        behind: ['nsenter', `--net=/run/netns/${pair.namespace}`],
      });
      expect(findings.filter(({ subject }) => subject.startsWith('interface '))).toMatchObject([
        { status: 'degraded', subject: 'interface lo', found: 'it is down' },
        {
          status: 'degraded',
          subject: `interface ${pair.far}`,
          found: `it has another XDP program (program ${id}), which is left alone: packets are not counted there`,
        },
        { status: 'degraded', subject: 'interface absent0', found: 'it does not exist' },
      ]);
    } finally {
      holder.stdin.end();
      await ended;
    }
  });

  it('bpffs that is not mounted and cannot be, and one that is not the host’s', async () => {
    await using place = await SidecarPlace.create('bpffs');
    const flags = ['--brokers', kafka.brokers, ...place.flags, '--create-topics'];
    const inNamespace = (preparation: string, ...then: string[]) => [
      'unshare',
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-c',
      `${preparation} && exec "$@"`,
      'sh',
      ...then,
    ];
    const unmounted = 'while umount /sys/fs/bpf 2>/dev/null; do :; done';
    const without = await check(flags, { behind: inNamespace(unmounted, ...bound(...needed)) });
    expect(without.bad).toMatchObject([{ subject: 'bpffs', remedy: 'mount it: mount -t bpf bpf /sys/fs/bpf' }]);
    const mounts = await check(flags, { behind: inNamespace(unmounted) });
    expect(mounts.of('bpffs')).toMatchObject({ status: 'pass', found: expect.stringContaining('run mounts it') });
    const own = await check(flags, { behind: inNamespace('mount -t bpf bpf /sys/fs/bpf') });
    // Where the first process of the host may not be looked at, that is what it says.
    expect(own.of('bpffs')).toMatchObject({
      status: 'degraded',
      found: expect.stringMatching(/not the host's|cannot see/),
    });
  });

  it('pins that are owned, left behind, or of a capture that does more', { timeout: 120_000 }, async () => {
    await using place = await SidecarPlace.create('pins');
    const flags = ['--brokers', kafka.brokers, ...place.flags, '--create-topics', '--topic-prefix', 'pins.'];
    await using sidecar = await place.run(
      kafka.brokers,
      '--create-topics',
      '--topic-prefix',
      'pins.',
      '--on-exit',
      'keep',
      '--http',
      'off',
    );
    const owned = await check(flags);
    expect(owned.bad).toMatchObject([{ subject: 'pins', found: `process ${sidecar.pid} owns ${place.pinPath}` }]);

    expect(await sidecar.end('SIGTERM')).toBe(0);
    const left = await check(flags);
    expect(left.of('pins')).toMatchObject({ status: 'pass', found: expect.stringContaining('takes them over') });
    expect(left.of('memory')?.found).toContain('are there already');
    expect(left.code).toBe(0);
    const less = await check([...flags, '--no-exit']);
    expect(less.bad).toMatchObject([{ subject: 'pins', found: `the capture in ${place.pinPath} captures exits` }]);
    expect(await startOf([...flags, '--no-exit'])).toBe(2);
    const other = await check([...flags, '--host-id', 'another']);
    expect(other.bad).toMatchObject([{ subject: 'machine-id' }]);
    expect(await startOf([...flags, '--host-id', 'another'])).toBe(2);
  });

  it('a compacted topic of events', async () => {
    await using place = await SidecarPlace.create('compacted');
    await kafka.createTopic('compacted.exec-events', { config: { 'cleanup.policy': 'compact' } });
    const flags = ['--brokers', kafka.brokers, ...place.flags, '--create-topics', '--topic-prefix', 'compacted.'];
    expect((await check(flags)).bad).toMatchObject([
      { subject: 'topic compacted.exec-events', remedy: 'set cleanup.policy=delete' },
    ]);
    expect(await startOf(flags)).toBe(4);
  });

  it('a port of --http that is taken, and a state directory that is a file', async () => {
    await using place = await SidecarPlace.create('places');
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = other.address() as AddressInfo;
      const words = [
        'check',
        '--brokers',
        kafka.brokers,
        ...place.flags,
        '--create-topics',
        '--http',
        `127.0.0.1:${port}`,
      ];
      await using taken = new CommandProcess(words);
      expect(await taken.exit()).toBe(0);
      expect(taken.lines.join('\n')).toMatch(/^degraded {2}http: .*EADDRINUSE/m);
    } finally {
      other.close();
    }
    const flags = ['--brokers', kafka.brokers, ...place.flags, '--create-topics', '--state-dir', '/etc/hostname'];
    expect((await check(flags)).bad.map(({ subject }) => subject)).toContain('state directory');
  });

  it('a configuration that cannot be right: exit code 2 and no line', async () => {
    await using command = new CommandProcess(['check', '--brokers', kafka.brokers, '--interval', 'soon']);
    expect(await command.exit()).toBe(2);
    expect(command.lines).toEqual([]);
    expect(command.errors).toMatch(/^bpf2kafka: cannot use --interval "soon"/);
  });
});

it('schemas: missing, registered, not compatible, and a registry that is away', { timeout: 180_000 }, async () => {
  const registry = await startRegistry();
  await using place = await SidecarPlace.create('registry');
  const flags = [
    '--brokers',
    kafka.brokers,
    ...place.flags,
    '--create-topics',
    '--topic-prefix',
    'reg.',
    '--registry',
    registry.url,
  ];
  const subject = 'schema reg.exec-events-value';
  try {
    expect((await check(flags)).of(subject)).toMatchObject({ status: 'fail', found: `not in ${registry.url}` });
    expect((await check([...flags, '--register-schemas'])).of(subject)).toMatchObject({ status: 'pass' });
    expect(await startOf([...flags, '--register-schemas'])).toBe(0);
    const registered = await check(flags);
    expect(registered.code).toBe(0);
    expect(registered.of(subject)).toMatchObject({ status: 'pass', found: expect.stringMatching(/^id \d+ in /) });

    const foreign = ['--topic-prefix', 'foreign.', '--register-schemas'];
    const headers = { 'content-type': 'application/vnd.schemaregistry.v1+json' };
    const put = (method: string, path: string, body: object) =>
      fetch(`${registry.url}${path}`, { method, headers, body: JSON.stringify(body) });
    await put('PUT', '/config/foreign.exec-events-value', { compatibility: 'FULL_TRANSITIVE' });
    const schema = '{"type":"record","name":"Foreign","fields":[{"name":"only","type":"string"}]}';
    await put('POST', '/subjects/foreign.exec-events-value/versions', { schema });
    expect((await check([...flags, ...foreign])).bad).toMatchObject([{ subject: 'schema foreign.exec-events-value' }]);
    expect(await startOf([...flags, ...foreign])).toBe(4);
  } finally {
    await registry.stop();
  }
  const away = await check(flags);
  expect(away.code).toBe(0);
  expect(away.of(subject)).toMatchObject({ status: 'degraded', found: expect.stringContaining('of an earlier start') });
});
