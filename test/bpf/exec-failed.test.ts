import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ExecFilters } from '../../src/exec-filters.ts';
import type { ExecArgs } from '../../src/kernel/addon.ts';
import { CaptureReader, newToken, run, storm, tool } from '../support/capture.ts';
import { eachWithPinsAndDirectory } from '../support/capture-tests.ts';

/** Execs that fail, which are captured on request: what was given, by whom, and why it failed. */

const place = eachWithPinsAndDirectory();

interface Options {
  readonly failed?: boolean;
  readonly args?: ExecArgs;
  readonly excluded?: Partial<ExecFilters>;
  readonly ringBytes?: number;
}

const capturing = ({ ringBytes, failed = true, ...options }: Options = {}) =>
  new CaptureReader(place.pinPath, ringBytes, { failed, ...options });

const { ENOENT, EACCES, ENOEXEC, E2BIG, ENOTDIR } = constants.errno;
const hex = (text: string) => Buffer.from(text).toString('hex');

/** Has exec_with try it, which must fail; returns its pid. */
function fail(path: string, args: readonly string[] = [], options: readonly string[] = []): number {
  const { pid, status } = spawnSync(tool('exec_with'), [...options, path, ...args], {
    timeout: 20_000,
    cwd: place.directory,
  });
  if (status !== 1) throw new Error(`exec_with ended with ${status}`);
  return pid;
}

/** The record of the exec that this process tried in vain, and of the one that made it what it was. */
async function recordsOf(reader: CaptureReader, pid: number) {
  const { event, bytes } = await reader.find((e) => e.pid === pid && e.exec_result !== 0, `the failure of ${pid}`);
  const before = reader.events.find((e) => e.pid === pid && e.exec_result === 0);
  if (before === undefined) throw new Error(`${pid} made no exec before`);
  return { event, bytes, before };
}

function file(name: string, content: string | Buffer, mode: number): string {
  const path = join(place.directory, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

describe('why it failed', () => {
  test.each([
    ['there is no such file', ENOENT, () => join(place.directory, 'absent')],
    ['it may not be run', EACCES, () => file('data', 'x', 0o644)],
    ['it is no program', ENOEXEC, () => file('text', 'no magic', 0o755)],
    ['a part of the path is a file', ENOTDIR, () => join(file('plain', '', 0o644), 'x')],
    ['the interpreter of a script is absent', ENOENT, () => file('script', '#!/absent/interpreter\n', 0o755)],
  ])('%s', async (_what, errno, make) => {
    const path = make();
    using reader = capturing();
    const { event } = await recordsOf(reader, fail(path, [hex('zero'), hex('one')]));
    expect(event).toMatchObject({ exec_result: -errno, filename: path, args: ['zero', 'one'], degraded: [] });
  });

  test('the arguments are too long; their size is not known then', async () => {
    using reader = capturing();
    const { event } = await recordsOf(reader, fail(tool('noop'), [hex('zero'), '--long', '200000']));
    expect(event).toMatchObject({ exec_result: -E2BIG, filename: tool('noop'), args_truncated: true });
    expect(event.args).toHaveLength(2);
    expect(event.args?.[0]).toBe('zero');
    expect(event).toMatchObject({ args_count: null, args_bytes: null, degraded: ['args', 'args_count', 'args_bytes'] });
  });

  test('the call came with 32 bits', async ({ skip }) => {
    if (process.arch !== 'x64') return skip('only x86-64 has them beside its own');
    const { signal } = spawnSync(tool('exec_with'), ['--compat', '/absent', hex('zero')]);
    if (signal === 'SIGSEGV') return skip('this kernel has no calls of 32 bits');
    using reader = capturing();
    const { event } = await recordsOf(reader, fail('/absent/compat', [hex('zero'), hex('one')], ['--compat']));
    expect(event).toMatchObject({ exec_result: -ENOENT, filename: '/absent/compat', args: ['zero', 'one'] });
  });
});

describe('what it says', () => {
  test('is of the program that called, and nothing of one that never was', async () => {
    using reader = capturing();
    const { event, before } = await recordsOf(reader, fail('relative/absent', [hex('zero')]));
    for (const name of [
      'process_id',
      'exec_id',
      'parent_exec_id',
      'ppid',
      'uid',
      'ns_mnt',
      'cgroup_path',
      'sid',
    ] as const)
      expect([name, event[name]]).toEqual([name, before[name]]);
    expect(event.ancestors).toEqual(before.ancestors);
    expect(event).toMatchObject({
      comm: 'exec_with',
      cwd: place.directory,
      filename: 'relative/absent',
      tid: before.pid,
      args_count: 1,
      args_bytes: 5,
      args_captured_bytes: 5,
      args_truncated: false,
    });
    const absent = Object.entries(event).filter(([name]) =>
      /^(exe|interpreter|env|file_.*|set.id_exec|exe_truncated)$/.test(name),
    );
    expect(absent.filter(([, value]) => value !== null)).toEqual([]);
    expect(absent.length).toBeGreaterThan(15);
    expect(event.seq).toBeGreaterThan(before.seq);
  });

  test('is the thread that called, of the process that it belongs to', async () => {
    using reader = capturing();
    const path = join(place.directory, 'absent');
    const { stdout } = spawnSync(tool('exec_with'), ['--thread', path, hex('zero')], { encoding: 'utf8' });
    const tid = Number(stdout.trim());
    const { event } = await reader.find((e) => e.tid === tid && e.exec_result !== 0, 'the failure');
    const before = reader.events.find((e) => e.pid === event.pid && e.exec_result === 0);
    expect(event.pid).not.toBe(tid);
    expect(event).toMatchObject({ process_id: before?.process_id, exec_id: before?.exec_id });
  });

  test('has awkward arguments byte for byte', async () => {
    using reader = capturing();
    const pid = fail('/absent', ['-', 'ff', hex('a b'), hex('"\n'), '-']);
    const { event } = await recordsOf(reader, pid);
    expect(event.args_raw).toEqual(Buffer.from('\0\xff\0a b\0"\n\0\0', 'latin1'));
    expect(event.args).toEqual(['', '\\xff', 'a b', '"\n', '']);
  });

  test('has no arguments when there were none', async () => {
    using reader = capturing();
    const { event } = await recordsOf(reader, fail('/absent', ['--none']));
    expect(event).toMatchObject({ args: [], args_count: 0, args_bytes: 0, args_truncated: false, degraded: [] });
  });

  test.each([
    ['program', ['zero']],
    ['none', null],
  ] as const)('has so much of the arguments as --args %s says', async (args, shown) => {
    using reader = capturing({ args });
    const { event } = await recordsOf(reader, fail('/absent', [hex('zero'), hex('secret')]));
    expect(event).toMatchObject({ args: shown, args_count: 2, args_bytes: null, args_truncated: true });
    expect(event.degraded).toEqual(['args_bytes']);
  });
});

describe('the stream', () => {
  test('has none without the request, and none any more when a later start does not ask', async () => {
    const link = join(place.pinPath, 'v1/exec_failed_link');
    const first = capturing({ failed: false });
    fail('/absent');
    expect(existsSync(link)).toBe(false);
    first.close();
    const second = capturing();
    await recordsOf(second, fail('/absent'));
    second.read();
    second.commit();
    second.close();
    using third = capturing({ failed: false });
    expect(existsSync(link)).toBe(false);
    const pid = fail('/absent');
    const { pid: last } = run(tool('noop'), []);
    await third.find((e) => e.pid === last, 'a later exec');
    expect(third.events.filter((e) => e.pid === pid).map((e) => e.exec_result)).toEqual([0]);
    expect(third.status.unobservedMicros).toBe(0);
  });

  test('goes on for the next owner, and ends with the capture', async () => {
    capturing().close();
    const pid = fail('/absent');
    using second = capturing();
    await recordsOf(second, pid);
    second.capture.detach();
    const { entered } = second.status;
    fail('/absent');
    expect(second.status.entered).toBe(entered);
    second.close();
    using third = capturing();
    await recordsOf(third, fail('/absent'));
  });

  test('closes in every epoch, with failures among the execs of a storm', async () => {
    using reader = capturing();
    const token = newToken();
    let under = true;
    const stormed = storm(token, 300).then(() => {
      under = false;
    });
    const failures = new Set<number>();
    const cuts: { epoch: number; entered: number }[] = [];
    while (under) {
      failures.add(fail('/absent'));
      const { epoch, exec } = await reader.capture.advanceEpoch();
      cuts.push({ epoch, entered: exec.entered });
      reader.read();
    }
    await stormed;
    for (const { epoch, entered } of cuts)
      expect({ epoch, recorded: reader.events.filter((e) => e.epoch <= epoch).length }).toEqual({
        epoch,
        recorded: entered,
      });
    const failed = reader.events.filter((e) => e.exec_result !== 0).map((e) => e.pid);
    expect([...failures].filter((pid) => !failed.includes(pid))).toEqual([]);
  });

  test('has a bare record, with the error, of one that finds no room', async () => {
    using reader = capturing({ ringBytes: 64 * 1024 });
    const pids = Array.from({ length: 30 }, () => fail('/absent', ['--repeat', '200', hex('x'.repeat(30))]));
    reader.capture.detach();
    reader.read();
    const bare = reader.records.filter((record) => record.bare && pids.includes(record.event.pid));
    const failures = bare.filter(({ event }) => event.exec_result !== 0);
    expect(failures.length).toBeGreaterThan(0);
    for (const { event } of failures)
      expect(event).toMatchObject({ exec_result: -ENOENT, comm: 'exec_with', args: null });
  });

  test('is without those of excluded users, which are counted', async () => {
    using reader = capturing({ excluded: { uids: [12_345] } });
    const copy = join(place.directory, 'exec_with');
    copyFileSync(tool('exec_with'), copy);
    chmodSync(copy, 0o755);
    const { status } = spawnSync('setpriv', ['--reuid=12345', '--clear-groups', copy, '/absent', hex('zero')]);
    expect(status).toBe(1);
    const { exec } = await reader.capture.advanceEpoch();
    expect(exec.filtered).toEqual({ 'exclude_uid:12345': 2 });
    reader.read();
    expect(reader.events.filter((e) => e.uid === 12_345)).toEqual([]);
  });
});

test('what was captured has no byte of an earlier record', async () => {
  using reader = capturing();
  fail('/absent', [hex('q'.repeat(3000))]);
  const { bytes } = await recordsOf(reader, fail('/absent', [hex('short')]));
  expect(bytes.includes(Buffer.from('qqqq'))).toBe(false);
});
