import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { tool } from './capture.ts';

/** Why this machine cannot kill at a write, for `ctx.skip`; undefined when it can. */
export function whyNoKillAtWrite(): string | undefined {
  return existsSync(tool('kill_at_write')) ? undefined : 'needs the debug registers of x86-64';
}

/**
 * Kills the process right behind its `count`-th write to a word of a commit of its exec ring (test/tools/kill_at_write.c):
 * slot and position are of every second commit, consumer and commit of each. Resolves when it watches.
 */
export async function killAtWrite(
  pid: number,
  ringBytes: number,
  word: 'slot' | 'position' | 'consumer' | 'commit',
  count: number,
): Promise<ChildProcess> {
  const child = spawn(tool('kill_at_write'), [String(pid), String(ringBytes), word, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await once(child.stdout as NodeJS.ReadableStream, 'data');
  if (!String(said).includes('watching')) throw new Error(`kill_at_write says ${said}`);
  return child;
}
