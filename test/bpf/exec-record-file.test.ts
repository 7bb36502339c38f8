import {
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import { run, tool } from '../support/capture.ts';
import { hold } from '../support/held.ts';
import { OneCapture } from '../support/one-capture.ts';

/** Which file runs, against what stat says of it. */

const capture = new OneCapture();

/** As stat prints it; its device is the file system's, as in mountinfo, where that has one device only. */
function statOf(path: string) {
  const file = statSync(path, { bigint: true });
  const device = Number(file.dev);
  return {
    file_inode: String(file.ino),
    file_device: `${((device >>> 8) & 0xfff) | 0}:${(device & 0xff) | ((device >>> 12) & 0xfff00)}`,
    file_mode: Number(file.mode),
    file_uid: Number(file.uid),
    file_gid: Number(file.gid),
    file_nlink: Number(file.nlink),
    file_mtime: Number(file.mtimeMs),
    file_ctime: Number(file.ctimeMs),
  };
}

const unsuspicious = { file_memfd: false, file_deleted: false, file_overlay_upper: false };

/** Has exec_with exec hold, from a descriptor of some kind. */
const byDescriptor = (kind: string, path: string) =>
  hold(capture.reader, [tool('exec_with'), kind, path, '686f6c64'], {
    isIt: (event: ExecEvent, pid) => event.pid === pid && event.args?.[0] === 'hold',
  });

describe('the file', () => {
  test('as stat has it', async () => {
    const path = capture.copy('hold');
    chownSync(path, 2001, 2002);
    chmodSync(path, 0o751);
    run('touch', ['--date=@1600000001.234', path]);
    linkSync(path, join(capture.directory, 'second-name'));
    await using held = await hold(capture.reader, [path]);
    const expected = statOf(path);
    expect(expected).toMatchObject({ file_mtime: 1_600_000_001_234, file_nlink: 2, file_uid: 2001 });
    expect(held.event).toMatchObject({ ...expected, ...unsuspicious, degraded: [] });
    unlinkSync(join(capture.directory, 'second-name'));
  });

  test('from before 1970', async () => {
    const path = capture.copy('hold');
    run('touch', ['--date=@-1.5', path]);
    await using held = await hold(capture.reader, [path]);
    expect(held.event.file_mtime).toBe(-1500);
  });

  test('of a script, the interpreter', async () => {
    const path = capture.copy('hold');
    const script = join(capture.directory, 'script');
    writeFileSync(script, `#!${path}\n`, { mode: 0o755 });
    await using held = await hold(capture.reader, [script], {
      isIt: (e, pid) => e.pid === pid && e.filename === script,
    });
    expect(held.event).toMatchObject({ ...statOf(path), exe: path, interpreter: path, filename: script });
  });

  test('of a descriptor, what it stands for', async () => {
    const path = capture.copy('hold');
    await using held = await byDescriptor('--fd', path);
    expect(held.event).toMatchObject({ ...statOf(path), ...unsuspicious, exe: path });
  });

  test('on another file system', async () => {
    const directory = join(capture.directory, 'tmpfs');
    mkdirSync(directory);
    run('mount', ['-t', 'tmpfs', 'bpf2kafka-test', directory]);
    try {
      const path = capture.copy('hold', 'tmpfs/hold');
      await using held = await hold(capture.reader, [path]);
      const mount = readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .find((line) => line.includes(` ${directory} `));
      expect(held.event).toMatchObject({ ...statOf(path), file_device: mount?.split(' ')[2] });
    } finally {
      run('umount', ['--lazy', directory]);
    }
  });
});

describe('signs of a file that is not what it seems', () => {
  test('in memory only', async () => {
    await using held = await byDescriptor('--memfd', capture.copy('hold'));
    expect(held.link('exe')).toBe('/memfd:in memory (deleted)');
    expect(held.event).toMatchObject({
      ...{ exe: '/memfd:in memory', exe_truncated: false, file_nlink: 0 },
      ...{ file_memfd: true, file_deleted: true, file_overlay_upper: false, degraded: [] },
    });
  });

  test('a file that is only called so', async () => {
    await using held = await hold(capture.reader, [capture.copy('hold', 'memfd:hold')], {
      isIt: (e, pid) => e.pid === pid,
    });
    expect(held.event).toMatchObject({ comm: 'memfd:hold', file_memfd: false, file_deleted: false });
  });

  test('deleted before the exec', async () => {
    const path = capture.copy('hold', 'deleted');
    await using held = await byDescriptor('--unlink', path);
    expect(held.link('exe')).toBe(`${path} (deleted)`);
    expect(held.event).toMatchObject({ exe: path, file_nlink: 0, file_deleted: true, file_memfd: false });
  });

  test('the name deleted, another one still there', async () => {
    const path = capture.copy('hold', 'first-name');
    linkSync(path, join(capture.directory, 'other-name'));
    await using held = await byDescriptor('--unlink', path);
    expect(held.link('exe')).toBe(`${path} (deleted)`);
    expect(held.event).toMatchObject({ exe: path, file_nlink: 1, file_deleted: true });
  });

  test('in the upper or the lower layer of an overlayfs', async () => {
    const directory = join(capture.directory, 'overlay');
    mkdirSync(directory);
    // overlayfs does not take every file system for its upper layer, an overlayfs for one.
    run('mount', ['-t', 'tmpfs', 'bpf2kafka-test', directory]);
    try {
      const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => join(directory, name));
      for (const path of [lower, upper, work, merged]) mkdirSync(path as string);
      copyFileSync(tool('hold'), `${lower}/hold`);
      run('mount', [
        '-t',
        'overlay',
        'overlay',
        '-o',
        `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
        `${merged}`,
      ]);
      {
        await using held = await hold(capture.reader, [`${merged}/hold`]);
        expect(held.event).toMatchObject({
          ...statOf(`${merged}/hold`),
          exe: `${merged}/hold`,
          file_overlay_upper: false,
        });
      }
      // Copied up, and one that was never below.
      chmodSync(`${merged}/hold`, 0o700);
      mkdirSync(`${merged}/new`);
      copyFileSync(tool('hold'), `${merged}/new/hold`);
      for (const path of [`${merged}/hold`, `${merged}/new/hold`]) {
        await using held = await hold(capture.reader, [path]);
        expect(held.event).toMatchObject({ ...statOf(path), exe: path, file_overlay_upper: true, degraded: [] });
      }
    } finally {
      run('umount', ['--lazy', '--recursive', directory]);
    }
  });
});
