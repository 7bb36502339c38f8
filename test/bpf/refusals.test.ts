import { existsSync, readdirSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach, expect, type TestContext, test } from 'vitest';
import {
  endEverything,
  failureOf,
  newPinPath,
  removeLeftovers,
  removePins,
  startOther,
  whyNoCapture,
} from '../support/capture.ts';

/** What a kernel or a user without rights is told: a code, and one line that names the remedy. */

let pinPath: string;

beforeAll(() => {
  if (whyNoCapture() === undefined) removeLeftovers();
});

beforeEach((ctx: TestContext) => {
  const reason = whyNoCapture();
  if (reason !== undefined) return ctx.skip(reason);
  pinPath = newPinPath();
});

afterEach(() => {
  endEverything();
  if (whyNoCapture() === undefined) removePins(pinPath);
});

const open = 'openCapture(pinPath, 1 << 20).close()';

/** Runs Node in a mount namespace of its own, after a preparation that nobody else sees. */
const inNamespace = (preparation: string, command: readonly string[] = []) => [
  'unshare',
  '--mount',
  '--propagation',
  'private',
  'sh',
  '-c',
  `${preparation} && exec "$@"`,
  'sh',
  ...command,
  process.execPath,
];

/** Root without the right to mount; with those that capturing itself needs. */
const withoutMounting = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'];

const oneLine = (message: string) => expect(message.split('\n')).toHaveLength(1);

test('a user without rights', async () => {
  // The checkout may lie where only root can read: it runs as root, and gives its rights up when all is loaded.
  const giveUp = `
    try { openCapture('/', 0) } catch {}
    try { detachPinned('/sys/fs/bpf/bpf2kafka-test-none', false) } catch {}
    process.setgroups([]); process.setgid(65534); process.setuid(65534);`;
  const { code, message, exitCode } = await failureOf(`${giveUp} ${open}`, pinPath);
  expect({ code, exitCode }).toEqual({ code: 'ERR_PERMISSION', exitCode: 3 });
  expect(message).toMatch(/^cannot load BPF programs: .*CAP_BPF.*; run it as root, or with /);
  oneLine(message);
  expect(existsSync(pinPath)).toBe(false);
});

test('a user without rights may not end a capture either', async () => {
  const giveUp = `
    try { detachPinned('/sys/fs/bpf/bpf2kafka-test-none', false) } catch {}
    openCapture(pinPath, 1 << 20).close();
    process.setgroups([]); process.setgid(65534); process.setuid(65534);`;
  const { code, message } = await failureOf(`${giveUp} detachPinned(pinPath, true)`, pinPath);
  expect(code).toBe('ERR_PERMISSION');
  oneLine(message);
  expect(existsSync(pinPath)).toBe(true);
});

test('a kernel without BTF', async () => {
  const { code, message, exitCode } = await failureOf(
    open,
    pinPath,
    inNamespace('mount -t tmpfs none /sys/kernel/btf'),
  );
  expect({ code, exitCode }).toEqual({ code: 'ERR_KERNEL_UNSUPPORTED', exitCode: 3 });
  expect(message).toMatch(
    /^cannot capture on kernel \S+: it has no BTF .*CONFIG_DEBUG_INFO_BTF=y; run it on Linux 5\.15 or newer with BTF$/,
  );
  oneLine(message);
  expect(existsSync(pinPath)).toBe(false);
});

/** /sys/fs/bpf as it is before anyone has mounted bpffs there, in this namespace only. */
const withoutBpffs = 'while umount /sys/fs/bpf 2>/dev/null; do :; done';

test('where bpffs is not mounted it is mounted, and works', async () => {
  const other = startOther(
    `const capture = openCapture(pinPath, 1 << 20);
     const { readFileSync } = await import('node:fs');
     console.log(readFileSync('/proc/self/mountinfo', 'utf8').split('\\n').filter((line) => line.includes(' /sys/fs/bpf ')).join());
     capture.detach(); capture.unpin(); capture.close();`,
    pinPath,
    inNamespace(withoutBpffs),
  );
  expect(await other.exited).toEqual([0, null]);
  expect(other.stdout).toMatch(/ \/sys\/fs\/bpf .*nosuid,nodev,noexec.* - bpf /);
  // That bpffs was the other's own.
  expect(existsSync(pinPath)).toBe(false);
});

test('bpffs that cannot be mounted', async () => {
  const { code, message, exitCode } = await failureOf(open, pinPath, inNamespace(withoutBpffs, withoutMounting));
  expect({ code, exitCode }).toEqual({ code: 'ERR_MOUNT', exitCode: 3 });
  expect(message).toBe(
    'cannot mount bpffs on /sys/fs/bpf: Operation not permitted; mount it first: mount -t bpf bpf /sys/fs/bpf',
  );
});

test('a pin directory that is on no bpffs', async () => {
  const elsewhere = `/tmp/bpf2kafka-test-${process.pid}-elsewhere`;
  const { code, message } = await failureOf(`openCapture(${JSON.stringify(elsewhere)}, 1 << 20)`, pinPath);
  expect(code).toBe('ERR_BPF');
  oneLine(message);
  expect(existsSync(elsewhere)).toBe(false);
});

test('removal of what killed runs left: theirs, and no one else’s', async () => {
  const own = startOther(
    `globalThis.held = openCapture(pinPath, 1 << 20); console.log('open'); setInterval(() => {}, 1000)`,
    pinPath,
  );
  await own.printed('open');
  // As if a test process of that pid had been killed: a name of its form, no process, no owner.
  const gone = startOther('process.exit(0)', pinPath);
  await gone.exited;
  const left = `/sys/fs/bpf/bpf2kafka-test-${gone.child.pid}-0`;
  const owned = `/sys/fs/bpf/bpf2kafka-test-${gone.child.pid}-1`;
  const other = startOther(
    `globalThis.held = openCapture(pinPath, 1 << 20); console.log('open'); setInterval(() => {}, 1000)`,
    owned,
  );
  try {
    await failureOf(`${open}; throw Object.assign(new Error('left'), { code: 'left' })`, left);
    await other.printed('open');
    expect(existsSync(left)).toBe(true);
    const removed = removeLeftovers();
    expect(removed).toContain(left.slice('/sys/fs/bpf/'.length));
    expect(readdirSync('/sys/fs/bpf')).toContain(owned.slice('/sys/fs/bpf/'.length));
    expect(existsSync(pinPath)).toBe(true);
  } finally {
    own.child.kill('SIGKILL');
    other.child.kill('SIGKILL');
    await Promise.all([own.exited, other.exited]);
    removePins(owned);
    removePins(left);
  }
});
