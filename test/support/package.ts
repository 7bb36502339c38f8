import { execFile } from 'node:child_process';
import { existsSync, symlinkSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { takeTurn } from './turn.ts';

const root = join(import.meta.dirname, '../..');
const execute = promisify(execFile);

/** The npm package, installed as its users install it: from the tarball, into an empty directory. */
export interface InstalledPackage extends AsyncDisposable {
  /** Where package.json of the installed bpf2kafka is. */
  readonly directory: string;
  /** What `npx bpf2kafka` would start. */
  readonly program: string;
  /** Holds what the stage `package` of deploy/Dockerfile makes, at the same path. */
  readonly stage: string;
}

/**
 * Packs the checkout, which builds it, and installs the tarball: with no program in PATH but Node.js and a shell, and
 * with no install script run, as npm 11 does by default.
 */
export async function installPackage(): Promise<InstalledPackage> {
  const place = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-package-'));
  const remove = () => rm(place, { recursive: true, force: true });
  try {
    {
      // It makes dist anew, which another one may be packing.
      using _ = await takeTurn('dist');
      await npm(['pack', '--pack-destination', place], root, process.env.PATH ?? '');
    }
    const tarball = (await readdir(place)).find((name) => name.endsWith('.tgz'));
    if (tarball === undefined) throw new Error('npm pack made no tarball');
    const bin = join(place, 'bin');
    await mkdir(bin);
    symlinkSync(process.execPath, join(bin, 'node'));
    symlinkSync('/bin/sh', join(bin, 'sh'));
    const stage = join(place, 'stage');
    const project = join(stage, 'opt/bpf2kafka');
    await mkdir(project, { recursive: true });
    await writeFile(join(project, 'package.json'), '{"private":true}');
    await npm(['install', '--ignore-scripts', '--prefer-offline', join(place, tarball)], project, bin);
    const installed = join(project, 'node_modules');
    return {
      directory: join(installed, 'bpf2kafka'),
      program: join(installed, '.bin', 'bpf2kafka'),
      stage,
      [Symbol.asyncDispose]: remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** The executable of another Node.js, out of the package that brings the checkout's own; kept in .cache. */
export async function nodeOf(version: string): Promise<string> {
  if (process.versions.node === version) return process.execPath;
  const home = join(root, '.cache', 'node', version);
  if (!existsSync(home)) {
    await mkdir(dirname(home), { recursive: true });
    const unfinished = await mkdtemp(`${home}.unfinished-`);
    try {
      await writeFile(join(unfinished, 'package.json'), '{"private":true}');
      await npm(['install', '--ignore-scripts', `node-linux-${process.arch}@${version}`], unfinished);
      await rename(unfinished, home);
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true });
      throw error;
    }
  }
  return join(home, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
}

async function npm(words: readonly string[], directory: string, path = process.env.PATH ?? ''): Promise<void> {
  // What npm itself has set for the script that runs these tests must not reach the npm that runs here.
  const own = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS$|INIT_CWD$)/i.test(name));
  const script = await npmScript();
  await execute(process.execPath, [script, ...words, '--no-progress', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: directory,
    env: { ...Object.fromEntries(own), PATH: path },
    maxBuffer: 16 * 1024 * 1024,
  });
}

/** npm as a script, so that it runs with a Node.js of our choice and under any PATH. */
async function npmScript(): Promise<string> {
  const { stdout } = await execute('sh', ['-c', 'readlink -f "$(command -v npm)"']);
  return stdout.trim();
}
