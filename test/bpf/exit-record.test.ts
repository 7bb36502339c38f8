import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest';
import type { ExitEvent } from '../../src/schemas/exit-event.ts';
import {
  CaptureReader,
  newPinPath,
  newToken,
  type RingReader,
  removeLeftovers,
  removePins,
  run,
  tool,
  whyNoCapture,
} from '../support/capture.ts';
import { HandMadeCgroup, Hierarchy, runIn } from '../support/cgroups.ts';
import { end, endWith, type Waited, Zombie } from '../support/exits.ts';
import { rounds } from '../support/rounds.ts';
import { patience } from '../support/wait-for.ts';

/** Each field of an exit record, against what the kernel told the parent. One capture serves all tests of this file. */

let execs: CaptureReader;
let exits: RingReader<ExitEvent>;
let pinPath: string;
let directory: string;

beforeAll(() => {
  if (whyNoCapture() !== undefined) return;
  removeLeftovers();
  pinPath = newPinPath();
  execs = new CaptureReader(pinPath, undefined, { exitRingBytes: 4 * 1024 * 1024 });
  exits = execs.exits();
  directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-'));
});

beforeEach((ctx: TestContext) => {
  const reason = whyNoCapture();
  if (reason !== undefined) return ctx.skip(reason);
  for (const ring of [execs, exits]) {
    ring.read();
    ring.commit();
    // A pid may come again after others have used up the numbers: a test looks only at its own time.
    ring.records.length = 0;
  }
});

afterAll(() => {
  if (execs === undefined) return;
  execs.close();
  removePins(pinPath);
  rmSync(directory, { recursive: true, force: true });
});

/** All records of a process that has been waited for: what another one's end brought later is behind them. */
async function recordsOf(pid: number): Promise<ExitEvent[]> {
  await endWith(exits, ['exit', '0']);
  return exits.events.filter((event) => event.pid === pid);
}

/** Threads that the kernel's recursion guard kept from the program so far. */
async function skippedExits(): Promise<number> {
  return (await execs.capture.advanceEpoch()).exit?.skipped ?? Number.NaN;
}

describe('how a process ended', () => {
  test.for([0, 1, 7, 255])('exit(%i)', async (code) => {
    const { event, waited } = await endWith(exits, ['exit', String(code)]);
    expect(waited.status >> 8).toBe(code);
    expect(event).toMatchObject({ exit_code: code, exit_signal: null, core_dumped: false, degraded: [] });
  });

  test.for(['SIGKILL', 'SIGTERM', 'SIGSEGV', 'SIGRTMAX'] as const)('%s', async (name) => {
    const number = name === 'SIGRTMAX' ? 64 : constants.signals[name];
    const { event, waited } = await endWith(exits, ['signal', String(number)]);
    expect(waited.status).toBe(number);
    expect(event).toMatchObject({ exit_code: null, exit_signal: number, core_dumped: false, degraded: [] });
  });

  test('with a core dump where there may be one', async (ctx) => {
    const { event, waited } = await endWith(exits, ['abort'], { cwd: directory });
    expect(waited.status & 0x7f).toBe(constants.signals.SIGABRT);
    const dumped = (waited.status & 0x80) !== 0;
    expect(event).toMatchObject({ exit_code: null, exit_signal: constants.signals.SIGABRT, core_dumped: dumped });
    ctx.skip(!dumped, 'this system writes no core dumps');
  });

  test('of threads, the code of who ended all of them', async () => {
    const { event, waited } = await endWith(exits, ['leader-first', '42']);
    expect(waited.status >> 8).toBe(42);
    expect(event).toMatchObject({ exit_code: 42, exit_signal: null, degraded: [] });
  });
});

describe('who it was', () => {
  test('a process that never called exec', async () => {
    const { event, waited } = await endWith(exits, ['name', 'renamed']);
    const parent = execs.read().find(({ event: { args } }) => args?.[1] === 'name')?.event;
    expect(event).toMatchObject({ pid: waited.pid, comm: 'renamed' });
    expect(event.process_id).not.toBe(parent?.process_id);
    // Started with what its parent ran: the count of execs is the same, the process is another.
    expect(event.exec_id).toBe(event.process_id + parent?.exec_id.slice(-8));
    expect(execs.events.some(({ exec_id }) => exec_id === event.exec_id)).toBe(false);
    expect(Number(BigInt(`0x${event.process_id.slice(16, 32)}`) / 10_000_000n)).toBe(waited.startTicks);
  });

  test('what it ran, by the exec record', async () => {
    const token = newToken();
    const { event } = await endWith(exits, ['exec', tool('noop'), token]);
    const exec = (await execs.find(({ args }) => args?.[1] === token && args[0] === tool('noop'), token)).event;
    expect(event).toMatchObject({
      host_id: exec.host_id,
      boot_id: exec.boot_id,
      attach_id: exec.attach_id,
      pid: exec.pid,
      comm: exec.comm,
      process_id: exec.process_id,
      exec_id: exec.exec_id,
      start_time: exec.start_time,
    });
    expect(event.boot_micros).toBeGreaterThan(exec.boot_micros);
  });

  test('of several execs, the last one; a thread that calls it is the process then', async () => {
    const noop = join(directory, 'noop');
    run('cp', [tool('noop'), noop]);
    const { pid } = run(tool('exec_with'), ['--thread', noop, '6e6f6f70']);
    const { event } = await exits.find((each) => each.pid === pid, 'the end of noop');
    execs.read();
    const ids = execs.events.filter((each) => each.pid === pid).map(({ exec_id }) => exec_id);
    expect(ids).toHaveLength(2);
    expect(event).toMatchObject({ exec_id: ids[1], comm: 'noop' });
    expect(await recordsOf(pid)).toHaveLength(1);
  });

  test('the container that it was in', async (ctx) => {
    const hierarchy = Hierarchy.open('unified');
    if (!(hierarchy instanceof Hierarchy)) return ctx.skip(hierarchy.whyNot);
    using _hierarchy = hierarchy;
    const id = 'c0'.repeat(32);
    using cgroup = new HandMadeCgroup(hierarchy, `/bpf2kafka-test-${process.pid}/docker-${id}.scope`);
    const token = newToken();
    runIn([cgroup], tool('noop'), [token]);
    const exec = (await execs.find(({ args }) => args?.[1] === token, token)).event;
    const { event } = await exits.find(({ exec_id }) => exec_id === exec.exec_id, 'its end');
    expect(exec.container_id).toBe(id);
    expect(event).toMatchObject({ container_id: id, degraded: [] });
    expect((await endWith(exits, ['exit', '0'])).event.container_id).toBeNull();
  });
});

/** What the kernel runs of a process after the record, and what it has run since the last tick; microseconds. */
const mostMissing = 30_000 * patience;

/** @param missing how much less than wait4 tells of, which cuts two times to whole microseconds */
function expectNear(missing: number): void {
  expect(missing).toBeGreaterThanOrEqual(-2);
  expect(missing).toBeLessThan(mostMissing);
}

describe('what it took', () => {
  test('time from start to end', async () => {
    const { event, waited } = await endWith(exits, ['burn', '30', '0']);
    expect(event.boot_micros).toBeGreaterThanOrEqual(waited.before);
    expect(event.boot_micros).toBeLessThanOrEqual(waited.after);
    expect(event.run_time_micros).toBeGreaterThanOrEqual(30_000);
    expect(event.run_time_micros).toBeLessThanOrEqual(waited.after - waited.before);
    // Each is cut to whole milliseconds.
    const difference = event.event_time - event.start_time - (event.run_time_micros as number) / 1000;
    expect(Math.abs(difference)).toBeLessThanOrEqual(1);
  });

  test('CPU time of its threads, also of one that has ended before, in user mode and in the kernel', async () => {
    const { event, waited } = await endWith(exits, ['burn', '150', '100']);
    const [user, system] = [event.user_time_micros as number, event.system_time_micros as number];
    expect(user).toBeGreaterThanOrEqual(250_000);
    expect(system).toBeGreaterThanOrEqual(150_000);
    const missing = waited.userMicros + waited.systemMicros - (user + system);
    expectNear(missing);
    expect(Math.abs(waited.userMicros - user)).toBeLessThan(mostMissing);
  });

  test('memory, also what it had given back', async () => {
    const { event, waited } = await endWith(exits, ['memory', '40']);
    expect(event.max_rss_bytes).toBe(waited.maxRssBytes);
    expect(event.max_rss_bytes).toBeGreaterThan(40 * 1024 * 1024);
    const small = await endWith(exits, ['exit', '0']);
    expect(small.event.max_rss_bytes).toBe(small.waited.maxRssBytes);
    expect(small.event.max_rss_bytes).toBeLessThan(40 * 1024 * 1024);
  });
});

describe('one record a process', () => {
  test('also while nobody has waited for it', async () => {
    await using zombie = await Zombie.make(['exit', '3']);
    const { event } = await exits.find(({ pid }) => pid === zombie.pid, 'the end of the zombie');
    expect(event).toMatchObject({ exit_code: 3, exit_signal: null });
    const stat = readFileSync(`/proc/${zombie.pid}/stat`, 'latin1');
    expect(stat.slice(stat.lastIndexOf(')') + 2)[0]).toBe('Z');
    expect(await recordsOf(zombie.pid)).toHaveLength(1);
  });

  test('when the last thread ends, not the first', async () => {
    const { waited } = await endWith(exits, ['leader-first', '5']);
    expect(await recordsOf(waited.pid)).toMatchObject([{ exit_code: 5 }]);
  });

  test.for(['threads', 'group'])('%s of 40 that end at once, again and again: whole', async (action) => {
    const skippedBefore = await skippedExits();
    const ended: Waited[] = [];
    for (let round = 0; round < rounds(50); round += 1) ended.push(end([action, '40']));
    await endWith(exits, ['exit', '0']);
    const records = ended.map(({ pid }) => exits.events.filter((event) => event.pid === pid));
    for (const [n, { maxRssBytes }] of ended.entries())
      for (const event of records[n] ?? [])
        expect(event).toMatchObject({ exit_code: 0, exit_signal: null, degraded: [], max_rss_bytes: maxRssBytes });
    expect(Math.max(...records.map(({ length }) => length))).toBe(1);
    // A kernel that preempts inside tracing programs may keep the last thread from its program, and counts that.
    const missing = records.filter(({ length }) => length === 0).length;
    expect(missing).toBeLessThanOrEqual((await skippedExits()) - skippedBefore);
  });

  test('none of a thread while others go on', async () => {
    const script = `const { Worker } = require('node:worker_threads');
      new Worker('', { eval: true }).on('exit', () => process.stdout.write('ended'));`;
    const { pid, stdout } = run(process.execPath, ['-e', script]);
    expect(stdout).toBe('ended');
    await exits.find((event) => event.pid === pid, 'the end of node');
    expect(await recordsOf(pid)).toHaveLength(1);
  });
});
