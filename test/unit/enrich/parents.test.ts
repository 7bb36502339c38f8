import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Parents } from '../../../src/enrich/parents.ts';
import { RunningPrograms } from '../../../src/enrich/running-programs.ts';
import { textBytes, textOfBytes, textsBytes } from '../../../src/schemas/avro-bytes.ts';

/** Of the made-up host: when it was read at the latest, microseconds since boot. */
const readAt = 100_010_000;

const imageOf = (exe: string) => ({ exe: textBytes(exe), args: textsBytes(null) });
const idOf = (name: string) => Buffer.from(name);

describe('what a parent ran', () => {
  let proc: string;
  let running: RunningPrograms;
  let parents: Parents;
  beforeEach(async () => {
    proc = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-proc-'));
    await writeFile(join(proc, 'uptime'), '100.00 90.00\n');
    running = new RunningPrograms({ proc });
    parents = new Parents(running, imageOf, { entries: 2, bytes: 10_000 });
  });
  afterEach(() => rm(proc, { recursive: true }));

  /** A process, instead of the one that had the pid. */
  const run = async (pid: number, exe: string | Buffer, startTicks: number) => {
    const directory = join(proc, String(pid));
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory);
    await symlink(exe, join(directory, 'exe'));
    await writeFile(join(directory, 'stat'), `${pid} (a) b (c) S ${'1 '.repeat(18)}${startTicks} 0 0\n`);
  };
  const parent = { execId: 'p1', pid: 7, startTicks: 500 };
  const remember = (execId: string, pid: number, exe: string) => parents.remember(idOf(execId), pid, imageOf(exe));
  const programOf = ({ execId, ...process }: typeof parent, bootMicros: number) => {
    const image = parents.of({ ...process, execId: idOf(execId) }, bootMicros);
    return image === undefined ? undefined : textOfBytes(image.exe);
  };

  test('is what its exec was published with', () => {
    remember('p1', 7, '/bin/sh');
    expect(programOf(parent, readAt)).toBe('/bin/sh');
    expect(programOf({ ...parent, execId: 'p2' }, readAt)).toBeUndefined();
  });

  test('is forgotten when too much came after it, but not while children ask', () => {
    remember('p1', 1, 'a');
    remember('p2', 2, 'b');
    expect(programOf(parent, readAt)).toBe('a');
    remember('p3', 3, 'c');
    expect(programOf(parent, readAt)).toBe('a');
    expect(programOf({ ...parent, execId: 'p2' }, readAt)).toBeUndefined();
  });

  test('before the start is what it runs before and after the exec of the child', async () => {
    await run(7, '/bin/sh', 500);
    await running.read();
    expect(programOf(parent, readAt)).toBe('/bin/sh');
    // Kept under the id of the exec, whatever becomes of the process.
    await rm(join(proc, '7'), { recursive: true });
    expect(programOf(parent, readAt)).toBe('/bin/sh');
    expect(programOf({ ...parent, execId: 'p2' }, readAt)).toBeUndefined();
  });

  const uncertain: readonly (readonly [what: string, happens: () => Promise<unknown> | undefined])[] = [
    ['runs something else since', () => run(7, '/bin/true', 500)],
    ['has ended', () => rm(join(proc, '7'), { recursive: true })],
    ['has ended, and its pid is another process now', () => run(7, '/bin/sh', 600)],
    ['has made an exec that was published', () => void remember('p0', 7, '/bin/true')],
  ];
  test.each(uncertain)('before the start is unknown when the process %s', async (_what, happens) => {
    await run(7, '/bin/sh', 500);
    await running.read();
    await happens();
    expect(programOf(parent, readAt)).toBeUndefined();
  });

  test('before the start is unknown of an exec that happened before it was read', async () => {
    await run(7, '/bin/sh', 500);
    await running.read();
    expect(programOf(parent, readAt - 1)).toBeUndefined();
    expect(programOf(parent, readAt)).toBe('/bin/sh');
  });

  test('before the start is unknown of a process that started at another time', async () => {
    await run(7, '/bin/sh', 501);
    await running.read();
    expect(programOf(parent, readAt)).toBeUndefined();
  });

  test.each([['/bin/sh (deleted)'], ['/memfd:x (deleted)'], [Buffer.from('/tmp/\xff', 'latin1')]])(
    'before the start is unknown when its path cannot be told: %s',
    async (exe) => {
      await run(7, exe, 500);
      await running.read();
      expect(programOf(parent, readAt)).toBeUndefined();
    },
  );

  test('before the start is found in the real /proc', async () => {
    const real = new RunningPrograms();
    const child = spawn('/bin/sleep', ['60']);
    await once(child, 'spawn');
    try {
      await real.read();
      const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8');
      const startTicks = Number(stat.split(' ')[21]);
      const later = (Number((await readFile('/proc/uptime', 'utf8')).split(' ')[0]) + 60) * 1_000_000;
      expect(real.take({ pid: child.pid as number, startTicks }, later)).toMatch(/\/(sleep|coreutils|busybox)$/);
    } finally {
      child.kill();
    }
  });
});
