import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, type TestContext, test } from 'vitest';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import { run, tool } from '../support/capture.ts';
import { type Held, hold } from '../support/held.ts';
import { OneCapture } from '../support/one-capture.ts';

/** Who runs a program and what it may do, against what the kernel says of it while it is held still. */

const capture = new OneCapture();

const isHeld = (event: ExecEvent, pid: number | undefined) => event.pid === pid && event.comm === 'hold';

function mask(held: Held, name: string): number {
  return Number(`0x${held.status(name)[0]}`);
}

/** Fields as /proc/PID/status has them. */
function inStatus(held: Held) {
  const [uid, euid, suid] = held.status('Uid').map(Number);
  const [gid, egid, sgid] = held.status('Gid').map(Number);
  return {
    ...{ uid, euid, suid, gid, egid, sgid },
    cap_inheritable: mask(held, 'CapInh'),
    cap_permitted: mask(held, 'CapPrm'),
    cap_effective: mask(held, 'CapEff'),
    cap_bounding: mask(held, 'CapBnd'),
    cap_ambient: mask(held, 'CapAmb'),
    no_new_privs: held.status('NoNewPrivs')[0] === '1',
    seccomp_mode: Number(held.status('Seccomp')[0]),
  };
}

describe('credentials and capabilities', () => {
  test('of root', async () => {
    await using held = await hold(capture.reader, [capture.copy('hold')]);
    expect(held.event).toMatchObject({ ...inStatus(held), uid: 0, setuid_exec: false, setgid_exec: false });
    expect(held.event.cap_effective).toBeGreaterThan(0);
    expect(held.event.degraded).toEqual([]);
  });

  test('of a user with one ambient capability, fewer in the bounding set, and no way to gain any', async () => {
    const options = ['--reuid=1001', '--regid=1002', '--clear-groups', '--no-new-privs'];
    const sets = ['--inh-caps=-all,+net_raw', '--ambient-caps=-all,+net_raw', '--bounding-set=-sys_boot'];
    await using held = await hold(capture.reader, ['setpriv', ...options, ...sets, capture.copy('hold')]);
    const netRaw = 2 ** 13;
    expect(held.event).toMatchObject({
      ...inStatus(held),
      ...{ uid: 1001, euid: 1001, gid: 1002, no_new_privs: true },
      ...{ cap_ambient: netRaw, cap_inheritable: netRaw, cap_effective: netRaw, cap_permitted: netRaw },
    });
    expect(Math.floor((held.event.cap_bounding ?? 0) / 2 ** 22) % 2).toBe(0);
  });

  test('under a seccomp filter', async () => {
    const command = [tool('exec_with'), '--seccomp', capture.copy('hold'), '-'];
    await using held = await hold(capture.reader, command, { isIt: isHeld });
    expect(held.event).toMatchObject({ ...inStatus(held), seccomp_mode: 2 });
  });
});

describe('the login', () => {
  const hasAudit = existsSync('/proc/self/loginuid');

  /** As the kernel has it; 4294967295 when it is not set. */
  function login(held: Held) {
    const value = (name: string) => (Number(held.file(name)) === 0xffff_ffff ? null : Number(held.file(name)));
    return { loginuid: value('loginuid'), session_id: value('sessionid') };
  }

  test('as the kernel has it for this process', async (ctx: TestContext) => {
    if (!hasAudit) return ctx.skip('this kernel has no audit');
    await using held = await hold(capture.reader, [capture.copy('hold')]);
    expect(held.event).toMatchObject(login(held));
  });

  test('that was set', async (ctx: TestContext) => {
    if (!hasAudit) return ctx.skip('this kernel has no audit');
    const script = 'echo 1234 > /proc/self/loginuid; exec "$0" "$@"';
    await using held = await hold(capture.reader, ['sh', '-c', script, capture.copy('hold')]);
    expect(held.event).toMatchObject({ ...login(held), loginuid: 1234 });
    expect(held.event.session_id).toBeGreaterThan(0);
  });

  test('null, and nothing degraded, in a kernel without audit', async (ctx: TestContext) => {
    if (hasAudit) return ctx.skip('this kernel has audit');
    await using held = await hold(capture.reader, [capture.copy('hold')]);
    expect(held.event).toMatchObject({ loginuid: null, session_id: null, degraded: [] });
  });
});

describe('a privilege that the exec gave', () => {
  let mounts = 0;

  /** A copy of hold with these owners and permissions, on a file system of its own, where set-id bits work. */
  function program(mode: number, mountOptions: string): string {
    const directory = join(capture.directory, `mount-${mounts++}`);
    mkdirSync(directory);
    run('mount', ['-t', 'tmpfs', '-o', mountOptions, 'bpf2kafka-test', directory]);
    const path = join(directory, 'hold');
    copyFileSync(tool('hold'), path);
    chownSync(path, 2001, 2002);
    chmodSync(path, mode);
    return path;
  }

  const asUser = ['setpriv', '--reuid=1001', '--regid=1002', '--clear-groups'];

  const cases: {
    what: string;
    mode: number;
    mount?: string;
    before: string[];
    ids: Partial<ExecEvent>;
    gained: [user: boolean, group: boolean];
  }[] = [
    { what: 'set-user-ID', mode: 0o4755, before: asUser, ids: { uid: 1001, euid: 2001 }, gained: [true, false] },
    { what: 'set-group-ID', mode: 0o2755, before: asUser, ids: { gid: 1002, egid: 2002 }, gained: [false, true] },
    { what: 'both', mode: 0o6755, before: asUser, ids: { euid: 2001, egid: 2002 }, gained: [true, true] },
    { what: 'neither', mode: 0o755, before: asUser, ids: { euid: 1001 }, gained: [false, false] },
    {
      what: 'a bit without the right to execute for the group is for locks',
      mode: 0o2745,
      before: asUser,
      ids: { egid: 1002 },
      gained: [false, false],
    },
    {
      what: 'bits that the mount does not honour',
      mode: 0o6755,
      mount: 'nosuid',
      before: asUser,
      ids: { euid: 1001, egid: 1002 },
      gained: [false, false],
    },
    {
      what: 'bits that no_new_privs forbids',
      mode: 0o6755,
      before: [...asUser, '--no-new-privs'],
      ids: { euid: 1001, egid: 1002 },
      gained: [false, false],
    },
    {
      what: 'an id that it had already',
      mode: 0o4755,
      before: ['setpriv', '--ruid=1001', '--euid=2001', '--clear-groups'],
      ids: { uid: 1001, euid: 2001 },
      gained: [false, false],
    },
    {
      what: 'its own file',
      mode: 0o4755,
      before: ['setpriv', '--reuid=2001', '--regid=1002', '--clear-groups'],
      ids: { uid: 2001, euid: 2001 },
      gained: [false, false],
    },
  ];
  test.for(cases)('$what', async ({ mode, mount = 'mode=755', before, ids, gained }) => {
    const path = program(mode, mount);
    try {
      await using held = await hold(capture.reader, [...before, path]);
      const [setuid_exec, setgid_exec] = gained;
      expect(held.event).toMatchObject({ ...inStatus(held), ...ids, setuid_exec, setgid_exec });
    } finally {
      run('umount', ['--lazy', join(path, '..')]);
    }
  });
});
