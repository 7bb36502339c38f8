import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { type ExecFilters, noFilters } from '../../src/exec-filters.ts';
import type { ExitEvent } from '../../src/schemas/exit-event.ts';
import { CaptureReader, copyProgram, newToken, type RingReader, run, storm, tool } from '../support/capture.ts';
import { eachWithPinsAndDirectory } from '../support/capture-tests.ts';

/** Exits of what rules keep out: each follows the exec of its process, and is recorded or counted for one rule. */

const place = eachWithPinsAndDirectory();
let noop: string;
let shell: string;
beforeEach(() => {
  noop = copyProgram(tool('noop'), join(place.directory, 'noop'));
  shell = copyProgram(realpathSync('/bin/sh'), join(place.directory, 'sh'));
});

const excluding = (...exes: string[]) =>
  new CaptureReader(place.pinPath, undefined, { excluded: { exes }, exitRingBytes: 4 * 1024 * 1024 });
const rules = (...exes: string[]): ExecFilters => ({ ...noFilters, exes });

async function filtered({ capture }: CaptureReader) {
  const { exec, exit } = await capture.advanceEpoch();
  return { execs: exec.filtered, exits: exit?.filtered };
}

/** Whether the end of that process was recorded, once that of a later one is. */
async function recorded(exits: RingReader<ExitEvent>, pid: number): Promise<boolean> {
  const last = run(tool('noop'), []);
  await exits.find((event) => event.pid === last.pid, 'the end of a later process');
  return exits.events.some((event) => event.pid === pid);
}

/** The shell after its exec, as one that stays until it is told to end. */
async function startShell() {
  const child = spawn(shell, ['-c', 'echo up; read -r line; exit 0'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return {
    pid: child.pid as number,
    async end() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}

describe('the exit of a process', () => {
  test('is kept out when its exec was, and counted for the same rule', async () => {
    using reader = excluding(noop);
    const exits = reader.exits();
    const pids = [1, 2, 3].map(() => run(noop, []).pid);
    for (const pid of pids) expect(await recorded(exits, pid)).toBe(false);
    const rule = `exclude_exe:${noop}`;
    expect(await filtered(reader)).toEqual({ execs: { [rule]: 3 }, exits: { [rule]: 3 } });
  });

  test('is kept out when it was forked and runs what an excluded exec brought', async () => {
    using reader = excluding(shell);
    run(shell, ['-c', '(:); ( (:); : ); exit 0']);
    const rule = `exclude_exe:${shell}`;
    expect(await filtered(reader)).toEqual({ execs: { [rule]: 1 }, exits: { [rule]: 4 } });
  });

  test('is recorded when it was forked from an excluded one and made an exec of its own', async () => {
    using reader = excluding(shell);
    const exits = reader.exits();
    const token = newToken();
    run(shell, ['-c', `'${noop}' ${token}; exit 0`]);
    const { event } = await reader.find(({ args }) => args?.[1] === token, 'the exec');
    expect(await recorded(exits, event.pid)).toBe(true);
  });

  test('follows the last exec of several', async () => {
    using reader = excluding(shell);
    const exits = reader.exits();
    expect(await recorded(exits, run(shell, ['-c', `exec '${noop}'`]).pid)).toBe(true);
    expect(await recorded(exits, run('sh', ['-c', `exec '${shell}' -c 'exit 0'`]).pid)).toBe(false);
    expect(await recorded(exits, run(shell, ['-c', `exec '${shell}' -c '(:); exit 0'`]).pid)).toBe(false);
    const rule = `exclude_exe:${shell}`;
    expect(await filtered(reader)).toEqual({ execs: { [rule]: 4 }, exits: { [rule]: 3 } });
  });

  test('follows the rules that held at the exec, whatever they are by now', async () => {
    using reader = excluding(noop, shell);
    const exits = reader.exits();
    const before = await startShell();
    await reader.capture.exclude(rules(noop));
    const after = await startShell();
    await reader.capture.exclude(rules(shell));
    await before.end();
    await after.end();
    expect(await recorded(exits, before.pid)).toBe(false);
    expect(await recorded(exits, after.pid)).toBe(true);
    expect((await filtered(reader)).exits).toEqual({ [`exclude_exe:${shell}`]: 1 });
  });

  test('follows its exec also when the owner of the capture is another one by then', async () => {
    const first = excluding(shell);
    const held = await startShell();
    first.close();
    using second = excluding();
    const exits = second.exits();
    await held.end();
    expect(await recorded(exits, held.pid)).toBe(false);
    expect((await filtered(second)).exits).toEqual({ [`exclude_exe:${shell}`]: 1 });
  });

  test('is recorded when its exec was before the capture', async () => {
    const held = await startShell();
    using reader = excluding(shell);
    const exits = reader.exits();
    await held.end();
    expect(await recorded(exits, held.pid)).toBe(true);
  });
});

test('each exit of a storm is recorded or counted, epoch for epoch', async () => {
  using reader = excluding(noop);
  const exits = reader.exits();
  const token = newToken();
  let under = true;
  const storms = Promise.all([storm(token, 500), storm(`${token}-kept-out`, 500, 2, noop)]).then(() => {
    under = false;
  });
  for (let epoch = 0; under; epoch += 1) {
    const { exit } = await reader.capture.advanceEpoch();
    if (exit === undefined) throw new Error('exits are not captured');
    exits.read();
    const sum = Object.values(exit.filtered).reduce((all, count) => all + count, 0);
    const through = exits.events.filter((event) => event.epoch <= reader.status.epoch - 1).length;
    expect({ epoch, seen: exit.entered }).toEqual({ epoch, seen: through + sum });
  }
  await storms;
  const { execs, exits: counted } = await filtered(reader);
  const rule = `exclude_exe:${noop}`;
  expect({ execs: execs[rule], exits: counted?.[rule] }).toEqual({ execs: 500, exits: 500 });
});

test('nothing is left at the fork once the capture is detached, and all is there again with the next', async () => {
  const link = join(place.pinPath, 'v1/exec_fork_link');
  const first = excluding(noop);
  expect(existsSync(link)).toBe(true);
  first.capture.detach();
  expect(existsSync(link)).toBe(false);
  first.close();
  using second = excluding(shell);
  run(shell, ['-c', '(:); exit 0']);
  expect((await filtered(second)).exits).toEqual({ [`exclude_exe:${shell}`]: 2 });
});
