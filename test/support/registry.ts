import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chooseFreePort } from '../../src/embedded-kafka/free-port.ts';
import { takeTurn } from './turn.ts';
import { waitFor } from './wait-for.ts';

const version = '3.0.9';
const artifact = `io.apicurio:apicurio-registry-app:${version}:tar.gz:all`;
const cache = join(import.meta.dirname, '../../.cache');
const execute = promisify(execFile);

export interface TestRegistry extends AsyncDisposable {
  /** Of the API that Confluent's registry has, too. */
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** A real schema registry (Apicurio) that keeps what it is told in memory. The first start downloads it: 109 MB. */
export async function startRegistry(): Promise<TestRegistry> {
  const application = await installedRegistry();
  const port = await chooseFreePort();
  const directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-registry-'));
  const logFile = join(directory, 'registry.log');
  const child = launch(application, port, logFile);
  const stop = async () => {
    if (!hasEnded(child)) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await rm(directory, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}/apis/ccompat/v7`;
  try {
    await once(child, 'spawn');
    await waitFor(() => hasEnded(child) || answers(url), { what: 'the registry answers', timeout: 60_000 });
    if (hasEnded(child)) throw new Error(`the registry ended at once:\n${await readFile(logFile, 'utf8')}`);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, pid: child.pid as number, stop, [Symbol.asyncDispose]: stop };
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(2_000) });
  return response.ok;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Ends with this process, whatever ends it: a test that is killed runs no clean-up. */
function launch(application: string, port: number, logFile: string): ChildProcess {
  const installedJava = join(cache, 'java');
  const java = existsSync(installedJava) ? installedJava : 'java';
  const output = openSync(logFile, 'w');
  const jvm = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', java, ...jvm, '-jar', application], {
    env: { ...process.env, QUARKUS_HTTP_HOST: '127.0.0.1', QUARKUS_HTTP_PORT: String(port) },
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  return child;
}

/** The directory of the registry's program; downloaded when it is not there. */
export async function registryDirectory(): Promise<string> {
  const home = join(cache, 'registry', version);
  using _ = await takeTurn('registry');
  if (!existsSync(home)) await download(home);
  return home;
}

async function installedRegistry(): Promise<string> {
  const home = await registryDirectory();
  const runner = (await readdir(home)).find((name) => name.endsWith('-runner.jar'));
  if (runner === undefined) throw new Error(`no registry in ${home}: remove that directory to download it again`);
  return join(home, runner);
}

/** Under another name until it is whole, so that a download that was broken off is never taken for a registry. */
async function download(home: string): Promise<void> {
  await mkdir(join(home, '..'), { recursive: true });
  const unfinished = await mkdtemp(`${home}.unfinished-`);
  try {
    const archives = join(unfinished, 'archives');
    const application = join(unfinished, 'application');
    await mkdir(application);
    await execute('mvn', ['-q', '-B', 'dependency:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${archives}`]);
    const [archive] = await readdir(archives);
    if (archive === undefined) throw new Error(`Maven found no ${artifact}`);
    await execute('tar', ['-xzf', join(archives, archive), '-C', application]);
    await rename(application, home);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}
