import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, type TestContext, test } from 'vitest';
import { type Held, hold } from '../support/held.ts';
import { OneCapture } from '../support/one-capture.ts';

/** The groups that a process belongs to, against what the kernel says of it while it is held still. */

const capture = new OneCapture();

function namespaces(held: Held) {
  return {
    ns_mnt: held.namespace('mnt'),
    ns_pid_id: held.namespace('pid'),
    ns_net: held.namespace('net'),
    ns_user: held.namespace('user'),
    ns_cgroup: held.namespace('cgroup'),
    ns_pid: Number(held.status('NSpid').at(-1)),
  };
}

describe('namespaces', () => {
  test('of the host', async () => {
    await using held = await hold(capture.reader, [capture.copy('hold')]);
    expect(held.event).toMatchObject({ ...namespaces(held), ns_pid: held.pid, degraded: [] });
  });

  test('of its own, as another user', async () => {
    const unshare = ['unshare', '--fork', '--pid', '--mount', '--net', '--cgroup', '--user', '--map-root-user'];
    const path = capture.copy('hold');
    await using host = await hold(capture.reader, [path]);
    const asUser = ['setpriv', '--reuid=1001', '--regid=1001', '--clear-groups'];
    await using held = await hold(capture.reader, [...asUser, ...unshare, path]);
    // The ids stay those of the initial user namespace.
    expect(held.event).toMatchObject({ ...namespaces(held), ns_pid: 1, uid: 1001, gid: 1001, degraded: [] });
    for (const [name, value] of Object.entries(namespaces(host)))
      expect(held.event[name as keyof typeof held.event], name).not.toBe(value);
  });

  test('three pid namespaces deep', async () => {
    const deeper = ['unshare', '--fork', '--pid'];
    await using held = await hold(capture.reader, [...deeper, ...deeper, ...deeper, capture.copy('hold')]);
    expect(held.status('NSpid')).toHaveLength(4);
    expect(held.event).toMatchObject({ ...namespaces(held), ns_pid: 1 });
  });

  test('its own pid namespace, not the one that its children are going to be in', async () => {
    await using held = await hold(capture.reader, ['unshare', '--pid', capture.copy('hold')]);
    expect(held.event).toMatchObject({ ...namespaces(held), ns_pid: held.pid });
  });
});

describe('session, process group and terminal', () => {
  test('of a process of this session', async () => {
    await using held = await hold(capture.reader, [capture.copy('hold')]);
    expect(held.event).toMatchObject({ pgid: held.stat(5), sid: held.stat(6) });
    expect(held.event.tty === null).toBe(held.stat(7) === 0);
  });

  test('of a leader of both, without a terminal', async () => {
    await using held = await hold(capture.reader, ['setsid', '--fork', capture.copy('hold')]);
    expect(held.stat(6)).toBe(held.pid);
    expect(held.event).toMatchObject({ pgid: held.pid, sid: held.pid, tty: null });
  });

  test('a terminal, by the name that the kernel has for it', async (ctx: TestContext) => {
    if (!existsSync('/dev/ptmx')) return ctx.skip('no pseudo terminals');
    const path = capture.copy('hold');
    const inTerminal = ['script', '--quiet', '--return', '--command', `'${path}' in-a-terminal`, '/dev/null'];
    const isIt = (event: { comm: string; args: string[] | null }) =>
      event.comm === 'hold' && event.args?.[1] === 'in-a-terminal';
    await using held = await hold(capture.reader, inTerminal, { isIt });
    // pts0 is /dev/pts/0.
    expect(held.event.tty).toBe(`pts${basename(held.link('fd/0'))}`);
    expect(held.stat(7)).not.toBe(0);
    expect(held.event).toMatchObject({ pgid: held.stat(5), sid: held.stat(6), degraded: [] });
  });
});
