import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const unpacked = join(import.meta.dirname, '../../.cache/promtool');
const program = join(unpacked, 'usr/bin/promtool');
const execute = promisify(execFile);

/** The tool of Prometheus, or why it cannot be had; unpacked out of the distribution's package and not installed. */
export async function findPromtool(): Promise<{ readonly path: string } | { readonly reason: string }> {
  if (spawnSync('promtool', ['--version']).status === 0) return { path: 'promtool' };
  if (existsSync(program)) return { path: program };
  const unfinished = `${unpacked}.${process.pid}`;
  await mkdir(unfinished, { recursive: true });
  try {
    await execute('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', 'prometheus'], { cwd: unfinished });
    for (const name of await readdir(unfinished)) await execute('dpkg', ['-x', name, '.'], { cwd: unfinished });
    await rm(unpacked, { recursive: true, force: true });
    await rename(unfinished, unpacked);
    return { path: program };
  } catch (error) {
    return { reason: `promtool is not here, and its package cannot be had: ${String(error).split('\n')[0]}` };
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}
