import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, symlinkSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { CommandProcess } from './sidecar.ts';
import { takeTurn } from './turn.ts';
import { patience } from './wait-for.ts';

const root = join(import.meta.dirname, '../..');
const cache = join(root, '.cache/examples');
const execute = promisify(execFile);

/** The schemas that an example reads records without a registry with. */
export const schemas = join(root, 'src/schemas');

/** A copy of one directory of examples/consumers, as somebody has it who copied it, with nothing around it. */
export async function copyExample(name: string): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), `bpf2kafka-test-${name}-`));
  await cp(join(root, 'examples/consumers', name), path, { recursive: true });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** A copy of the example for Node.js with this checkout's packages: its own are of the same versions. */
export async function copyNodeExample(): Promise<AsyncDisposable & { readonly path: string }> {
  const copy = await copyExample('node');
  symlinkSync(join(root, 'node_modules'), join(copy.path, 'node_modules'));
  return copy;
}

/** What a program prints in the directory of an example until it ends. */
export async function outputOf(program: string, words: readonly string[], directory: string): Promise<string> {
  // Ends with the tests, however they end.
  const dying = ['--pdeathsig', 'KILL', program, ...words];
  const { stdout } = await execute('setpriv', dying, { cwd: directory, timeout: 180_000 * patience });
  return stdout;
}

/** Starts a program in the directory of an example. */
export function startExample(
  directory: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): CommandProcess {
  return new CommandProcess(words, environment, ['sh', '-c', 'cd "$0" && exec "$@"', directory]);
}

/** Why an engine that takes minutes to install is not asked; undefined when it is. */
export function whyNotAsked(): string | undefined {
  return process.env.BPF2KAFKA_TEST_EXAMPLES === 'all' ? undefined : '`npm run test:examples` runs it';
}

/** Why Maven does not run; undefined when it does. */
export function whyNoMaven(): string | undefined {
  return spawnSync('mvn', ['-version']).status === 0 ? undefined : 'Maven is not installed';
}

/** Why nothing can be compiled for Java; undefined when it can. */
export function whyNoJava(): string | undefined {
  const compiler = spawnSync('javac', ['-version']).status === 0;
  return whyNoMaven() ?? (compiler ? undefined : 'a Java compiler (a JDK, 17 or newer) is not installed');
}

/** Why there can be no virtual environment of Python; undefined when there can. */
export function whyNoPython(): string | undefined {
  const { error, status } = spawnSync('python3', [
    '-c',
    'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))',
  ]);
  if (error !== undefined) return 'python3 is not installed';
  return status === 0 ? undefined : 'python3 is older than 3.9 or has no venv (python3-venv)';
}

/** The interpreter of a virtual environment that has what the example's requirements.txt names; kept in .cache. */
export async function pythonOf(example: string): Promise<string> {
  const requirements = join(root, 'examples/consumers', example, 'requirements.txt');
  const hash = createHash('sha256').update(await readFile(requirements));
  const home = join(cache, `${example}-${hash.digest('hex').slice(0, 16)}`);
  const python = join(home, 'bin/python');
  using _ = await takeTurn('python');
  if (existsSync(join(home, 'complete'))) return python;
  // Scripts of an environment hold its path, so it cannot be renamed when it is whole.
  await rm(home, { recursive: true, force: true });
  await mkdir(dirname(home), { recursive: true });
  await execute('python3', ['-m', 'venv', home]);
  await execute(python, [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--no-compile',
    '--disable-pip-version-check',
    '-r',
    requirements,
  ]);
  await mkdir(join(home, 'complete'));
  return python;
}
