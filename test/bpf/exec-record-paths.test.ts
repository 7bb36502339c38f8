import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { run, tool } from '../support/capture.ts';
import { hold } from '../support/held.ts';
import { OneCapture } from '../support/one-capture.ts';

/** Paths as the process itself would see them, against what its links in /proc say. */

const capture = new OneCapture();

describe('exe', () => {
  test('is absolute, and free of links and dots', async () => {
    const path = capture.copy('hold');
    symlinkSync(capture.directory, join(capture.directory, 'link'));
    mkdirSync(join(capture.directory, 'sub'));
    const given = './sub/../link/./hold';
    await using held = await hold(capture.reader, [given], { cwd: capture.directory });
    expect(held.event).toMatchObject({
      filename: given,
      ...{ exe: held.link('exe'), cwd: held.link('cwd'), exe_truncated: false, interpreter: null, degraded: [] },
    });
    expect(held.event).toMatchObject({ exe: path, cwd: capture.directory });
  });

  test('names of every length', async () => {
    // 31 and 32 bytes are the border of what stands in the kernel's directory entry itself, up to 6.13; 39 and 40 since.
    for (const length of [1, 2, 30, 31, 32, 33, 38, 39, 40, 41, 254, 255]) {
      const name = 'n'.repeat(length);
      mkdirSync(join(capture.directory, name));
      const path = capture.copy('hold', `${name}/hold`);
      await using held = await hold(capture.reader, [path]);
      expect(held.event).toMatchObject({ exe: path, degraded: [] });
      expect(held.link('exe')).toBe(path);
    }
  });

  test('through a bind mount, in a mount namespace of its own, below another mount', async () => {
    const path = capture.copy('hold');
    const at = join(capture.directory, 'mounts');
    mkdirSync(at);
    const script = `
      mount -t tmpfs bpf2kafka-test '${at}' && mkdir '${at}/a' '${at}/a/bound' &&
      mount --bind '${capture.directory}' '${at}/a/bound' && cd '${at}/a/bound' && exec '${at}/a/bound/hold' "$@"`;
    await using held = await hold(capture.reader, ['unshare', '--mount', 'sh', '-c', script, 'sh']);
    expect(held.event).toMatchObject({ exe: held.link('exe'), cwd: held.link('cwd'), degraded: [] });
    expect(held.event).toMatchObject({ exe: `${at}/a/bound/hold`, cwd: `${at}/a/bound` });
    expect(path).toBe(`${capture.directory}/hold`);
  });

  test('mounts that cover each other', async () => {
    const at = join(capture.directory, 'covered');
    mkdirSync(at);
    for (let n = 0; n < 10; n += 1) run('mount', ['-t', 'tmpfs', 'bpf2kafka-test', at]);
    try {
      const path = capture.copy('hold', 'covered/hold');
      await using held = await hold(capture.reader, [path]);
      expect(held.link('exe')).toBe(path);
      expect(held.event).toMatchObject({ exe: path, degraded: [] });
    } finally {
      for (let n = 0; n < 10; n += 1) run('umount', ['--lazy', at]);
    }
  });

  test('in a chroot, from there', async () => {
    const root = join(capture.directory, 'root');
    mkdirSync(join(root, 'bin'), { recursive: true });
    mkdirSync(join(root, 'home'));
    capture.copy('hold', 'root/bin/hold');
    await using held = await hold(capture.reader, ['setpriv', '--', 'chroot', root, '/bin/hold']);
    expect(held.event).toMatchObject({ filename: '/bin/hold', exe: '/bin/hold', cwd: '/', degraded: [] });
    expect(held.link('root')).toBe(root);
    expect(held.link('exe')).toBe(`${root}/bin/hold`);
  });

  test('of a file outside of the chroot, from the root of the mount namespace', async () => {
    const root = join(capture.directory, 'empty-root');
    mkdirSync(root);
    const path = capture.copy('hold');
    const script = 'exec 9< "$1"; exec chroot "$0" /proc/self/fd/9 "$2"';
    run('mkdir', ['-p', join(root, 'proc')]);
    run('mount', ['--bind', '/proc', join(root, 'proc')]);
    try {
      await using held = await hold(capture.reader, ['sh', '-c', script, root, path], {
        isIt: (e, pid) => e.pid === pid && e.filename === '/proc/self/fd/9',
      });
      expect(held.event).toMatchObject({ exe: path, cwd: '/' });
    } finally {
      run('umount', ['--lazy', join(root, 'proc')]);
    }
  });

  test('after a rename, the new name', async () => {
    const path = capture.copy('hold', 'before');
    renameSync(path, join(capture.directory, 'after'));
    mkdirSync(join(capture.directory, 'moved'));
    renameSync(join(capture.directory, 'after'), join(capture.directory, 'moved/hold'));
    await using held = await hold(capture.reader, [join(capture.directory, 'moved/hold')]);
    expect(held.event.exe).toBe(held.link('exe'));
  });
});

describe('long paths', () => {
  /** Goes into `names` below the directory one by one, since a path that long cannot be given; execs hold there. */
  function inside(names: readonly string[]) {
    const path = capture.copy('hold');
    const deep = join(capture.directory, 'deep');
    // By removing what is deepest first: the path of it may be longer than a call takes.
    run('find', [capture.directory, '-path', `${deep}*`, '-delete']);
    mkdirSync(deep);
    const script =
      'my $hold = shift; for (split /,/, shift) { mkdir $_; chdir $_ or die $! } link $hold, "hold" or die $!; exec "./hold", @ARGV';
    return hold(capture.reader, ['perl', '-e', script, path, names.join()], { cwd: deep });
  }
  const base = () => join(capture.directory, 'deep').split('/').length - 1;

  test('of 128 names', async () => {
    await using held = await inside(Array.from({ length: 128 - base() - 1 }, (_, n) => `d${n}`));
    expect(held.event.exe?.split('/')).toHaveLength(129);
    expect(held.event).toMatchObject({
      exe: held.link('exe'),
      cwd: held.link('cwd'),
      exe_truncated: false,
      degraded: [],
    });
  });

  test('of more: exe lacks its beginning and says so, and cwd is left out', async () => {
    await using held = await inside(Array.from({ length: 140 }, (_, n) => `d${n}`));
    const { exe, exe_truncated, cwd, degraded } = held.event;
    expect(held.link('exe').endsWith(`/${exe}`)).toBe(true);
    expect(exe?.split('/')).toHaveLength(128);
    expect({ exe_truncated, cwd, degraded }).toEqual({ exe_truncated: true, cwd: null, degraded: ['cwd'] });
  });

  test('of nearly 4,096 bytes', async () => {
    const bytes = 4095 - Buffer.byteLength(join(capture.directory, 'deep')) - '/hold'.length;
    const names = Array.from({ length: Math.floor(bytes / 251) }, () => 'x'.repeat(250));
    await using held = await inside([...names, 'y'.repeat((bytes % 251) - 1)]);
    expect(held.event.exe).toHaveLength(4095);
    expect(held.event).toMatchObject({ exe: held.link('exe'), cwd: held.link('cwd'), exe_truncated: false });
  });

  test('of more bytes', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `${String(n).padStart(2, '0')}${'x'.repeat(248)}`);
    await using held = await inside(names);
    const { exe, exe_truncated, cwd } = held.event;
    expect(exe?.split('/')).toEqual([...names.slice(-16), 'hold'].slice(-(exe?.split('/').length ?? 0)));
    expect(exe?.split('/').length).toBeGreaterThan(15);
    expect({ exe_truncated, cwd }).toEqual({ exe_truncated: true, cwd: null });
  });
});

describe('scripts', () => {
  test('a script that a script interprets: the interpreter of the last one', async () => {
    const path = capture.copy('hold');
    const inner = join(capture.directory, 'inner');
    const outer = join(capture.directory, 'outer');
    writeFileSync(inner, `#!${path} -x\n`, { mode: 0o755 });
    writeFileSync(outer, `#!${inner}\n`, { mode: 0o755 });
    await using held = await hold(capture.reader, [outer], { isIt: (e, pid) => e.pid === pid && e.filename === outer });
    expect(held.event).toMatchObject({ filename: outer, interpreter: path, exe: held.link('exe') });
  });

  test('an interpreter that is a link: as named there, and what it is', async () => {
    const path = capture.copy('hold');
    symlinkSync(path, join(capture.directory, 'alias'));
    const script = join(capture.directory, 'by-alias');
    writeFileSync(script, `#!${join(capture.directory, 'alias')}\n`, { mode: 0o755 });
    await using held = await hold(capture.reader, [script], {
      isIt: (e, pid) => e.pid === pid && e.filename === script,
    });
    expect(held.event).toMatchObject({ interpreter: join(capture.directory, 'alias'), exe: path });
  });

  test('of a program, none', async () => {
    const command = [tool('exec_with'), '--fd', capture.copy('hold'), '686f6c64'];
    const isIt = (e: { pid: number; args: string[] | null }, pid: number | undefined) =>
      e.pid === pid && e.args?.[0] === 'hold';
    await using held = await hold(capture.reader, command, { isIt });
    expect(held.event).toMatchObject({ interpreter: null, exe: held.link('exe') });
  });
});
