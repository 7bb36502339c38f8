import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from './wait-for.ts';

const root = join(import.meta.dirname, '../..');
const unpacked = join(root, '.cache/engine/programs');
const execute = promisify(execFile);

/** From here on engines know CAP_BPF and CAP_PERFMON. */
const oldestEngine = 24;

/** A Docker engine on this host. */
export interface Engine extends AsyncDisposable {
  /** For `docker` and `docker compose`: PATH, DOCKER_HOST and so on. */
  readonly environment: Readonly<Record<string, string>>;
  /** Runs `docker WORDS…` and gives its standard output. */
  docker(words: readonly string[], environment?: Readonly<Record<string, string>>): Promise<string>;
}

/** The reason why this machine can run no containers for these tests. */
export class NoEngine {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/**
 * The engine of this machine, or a private one, which is unpacked and not installed: its socket, its data and its
 * images are its own, it touches neither packet filter nor forwarding, and it ends with `engine`.
 */
export async function findEngine(): Promise<Engine | NoEngine> {
  if (process.getuid?.() !== 0) return new NoEngine('containers that capture need root');
  if (await isUsable(process.env)) return engineOf(inheritedEnvironment(), async () => {});
  if (!existsSync(unpacked)) {
    await mkdir(dirname(unpacked), { recursive: true });
    try {
      await execute('sh', [join(root, 'test/containers/unpack-engine.sh'), unpacked]);
    } catch (error) {
      const { code, stdout } = error as { code?: number; stdout?: string };
      if (code === 3) return new NoEngine(`no Docker engine runs here, and none can be had: ${stdout?.trim()}`);
      throw error;
    }
  }
  return startPrivateEngine();
}

/** A local engine that may do what the sidecar needs; one in a user namespace may not. */
async function isUsable(environment: NodeJS.ProcessEnv): Promise<boolean> {
  if (environment.DOCKER_HOST !== undefined && !environment.DOCKER_HOST.startsWith('unix://')) return false;
  try {
    const format = '{{.ServerVersion}} {{json .SecurityOptions}}';
    const { stdout } = await execute('docker', ['info', '--format', format], { timeout: 10_000 });
    return Number.parseInt(stdout, 10) >= oldestEngine && !/rootless|userns/.test(stdout);
  } catch {
    return false;
  }
}

async function startPrivateEngine(): Promise<Engine> {
  // Not below the checkout: the path of a socket has at most 107 bytes.
  const place = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-engine-'));
  const socket = `unix://${join(place, 'socket')}`;
  const binaries = [join(unpacked, 'usr/bin'), join(unpacked, 'usr/sbin')].join(':');
  const environment = {
    ...inheritedEnvironment(),
    PATH: `${binaries}:${process.env.PATH}`,
    DOCKER_HOST: socket,
    DOCKER_CONFIG: join(unpacked, 'config'),
  };
  const bridge = await makeBridge();
  const log = join(place, 'log');
  const output = openSync(log, 'w');
  const words = [
    ...['--host', socket, '--exec-root', join(place, 'exec'), '--pidfile', join(place, 'pid')],
    // Kept, so that the images of one run are there for the next.
    ...['--data-root', join(root, '.cache/engine/data')],
    ...['--userland-proxy-path', join(unpacked, 'usr/sbin/docker-proxy')],
    ...['--iptables=false', '--ip6tables=false', '--ip-forward=false', '--bridge', bridge],
  ];
  // It ends in order when the tests are killed, and its containers with it.
  const daemon = spawn('setpriv', ['--pdeathsig', 'TERM', 'dockerd', ...words], {
    env: environment,
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  const engine: Engine = engineOf(environment, async () => {
    if (!hasEnded(daemon)) await removeEverything(engine);
    await stopDaemon(daemon, place);
    await removeBridge(bridge);
  });
  try {
    await once(daemon, 'spawn');
    await waitFor(async () => hasEnded(daemon) || (await engine.docker(['version'])) !== '', {
      what: 'the Docker engine answers',
      timeout: 30_000,
    });
    if (hasEnded(daemon)) throw new Error(`the Docker engine ended at once:\n${await readFile(log, 'utf8')}`);
    await removeEverything(engine);
    return engine;
  } catch (error) {
    await stopDaemon(daemon, place);
    await removeBridge(bridge);
    throw error;
  }
}

const bridgePrefix = 'b2ktest';

/**
 * The default network of the private engine, because an engine leaves its own behind. Its addresses are from the range
 * for measurements between networks (RFC 2544), which nobody else's network has.
 */
async function makeBridge(): Promise<string> {
  for (const name of readdirSync('/sys/class/net')) {
    const pid = name.startsWith(bridgePrefix) ? name.slice(bridgePrefix.length) : undefined;
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await removeBridge(name);
  }
  const bridge = `${bridgePrefix}${process.pid}`;
  await execute('ip', ['link', 'add', bridge, 'type', 'bridge']);
  await execute('ip', ['address', 'add', '198.19.255.1/24', 'dev', bridge]);
  await execute('ip', ['link', 'set', bridge, 'up']);
  return bridge;
}

async function removeBridge(bridge: string): Promise<void> {
  await execute('ip', ['link', 'delete', bridge]);
}

/** All but images. A network that is left keeps a bridge on the host, with addresses that the next one wants. */
async function removeEverything(engine: Engine): Promise<void> {
  const containers = await engine.docker(['ps', '--all', '--quiet']);
  if (containers !== '') await engine.docker(['rm', '--force', '--volumes', ...containers.split('\n')]);
  await engine.docker(['network', 'prune', '--force']);
  await engine.docker(['volume', 'prune', '--all', '--force']);
}

async function stopDaemon(daemon: ChildProcess, place: string): Promise<void> {
  if (!hasEnded(daemon)) {
    daemon.kill('SIGTERM');
    await once(daemon, 'exit');
  }
  // The mount of its network namespace is what it leaves behind.
  await execute('umount', ['-q', join(place, 'exec/netns/default')]).catch(() => {});
  await rm(place, { recursive: true, force: true });
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function engineOf(environment: Readonly<Record<string, string>>, stop: () => Promise<void>): Engine {
  const docker = async (words: readonly string[], more: Readonly<Record<string, string>> = {}) => {
    const env = { ...environment, ...more };
    try {
      return (await execute('docker', words, { env, cwd: root, maxBuffer: 64 * 1024 * 1024 })).stdout.trim();
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      throw new Error(`docker ${words.join(' ')} failed:\n${stdout}${stderr}`, { cause: error });
    }
  };
  return { environment, docker, [Symbol.asyncDispose]: stop };
}

function inheritedEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
