import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { run, tool } from './capture.ts';

const checkout = join(import.meta.dirname, '../..');

/** A user that passwd(5) need not know. */
export const user = { uid: 54_321, gid: 54_322 } as const;
export const userFlag = ['--user', `${user.uid}:${user.gid}`];

/**
 * Where that user can run the checkout's program on the pins of a test, as a unit file or a container would have it: both are
 * bound to places that it can reach, in a mount namespace of the process alone.
 */
export class UnprivilegedPlace implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-user-'));
  readonly stateDir = join(this.directory, 'state');
  readonly pinPath = join(this.directory, 'pins');
  readonly #program = join(this.directory, 'checkout');

  constructor() {
    for (const path of [this.stateDir, this.pinPath, this.#program]) mkdirSync(path);
    if (process.getuid?.() !== 0) return;
    for (const path of [this.directory, this.stateDir]) chownSync(path, user.uid, user.gid);
  }

  /** Why the user cannot run the program here; undefined when it can. */
  whyNot(): string | undefined {
    const [program, ...words] = this.#as(this.directory, [process.execPath, join(this.#program, 'bin/bpf2kafka.js')]);
    const { status, stderr } = spawnSync(program as string, [...words, '--version'], { encoding: 'utf8' });
    return status === 0 ? undefined : `another user cannot run this checkout: ${stderr.trim()}`;
  }

  /**
   * The program, for CommandProcess: without any capability and without the means to get one.
   * @param pins of the host
   * @param behind runs it, as that user
   */
  program(pins: string, behind: readonly string[] = []): string[] {
    return this.#as(pins, [...behind, this.#inside(process.execPath), join(this.#program, 'bin/bpf2kafka.js')]);
  }

  #inside(path: string): string {
    return path.startsWith(`${checkout}/`) ? join(this.#program, path.slice(checkout.length)) : path;
  }

  #as(pins: string, command: readonly string[]): string[] {
    const bind = 'mount --bind "$1" "$2" && mount --bind "$3" "$4" && shift 4 && exec "$@"';
    return [
      ...['unshare', '--mount', '--propagation', 'private', 'sh', '-c', bind, 'sh'],
      ...[checkout, this.#program, pins, this.pinPath],
      ...['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'],
      ...['--bounding-set=-all', '--inh-caps=-all', '--no-new-privs'],
      ...command.map((word) => this.#inside(word)),
    ];
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What the kernel says of the rights of a process: its sets of capabilities, and whether it can get more. */
export function rightsOf(pid: number): Record<string, string> {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const names = ['Uid', 'Gid', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp'];
  return Object.fromEntries(
    names.map((name) => [name, new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? '']),
  );
}

/**
 * Attaches, gives every right up, and goes on with what was attached, in one process: the addon is loaded before, as the
 * checkout may lie where only root can read.
 * @returns what that process had, and whether it could read, commit and end an epoch
 */
export function goOnWithoutRights(pinPath: string): unknown {
  const script = `
    import { execFileSync } from 'node:child_process';
    import { readFileSync } from 'node:fs';
    const [, addon, noop, pinPath] = process.argv;
    const { openCapture } = await import(addon);
    const settings = { args: 'full', env: false, excluded: { exes: [], uids: [], cgroups: [] }, exitRingBytes: 1 << 20 };
    const first = openCapture(pinPath, 1 << 20, settings);
    first.giveTo(${user.uid}, ${user.gid});
    first.close();
    execFileSync(noop);
    process.setgroups([]); process.setgid(${user.gid}); process.setuid(${user.uid});
    const second = openCapture(pinPath, 1 << 20, { ...settings, attached: true });
    const { epoch } = await second.advanceEpoch();
    const { records, position } = second.exec.read(Buffer.alloc(1 << 19), 100);
    const none = { undecodable: 0, spooled: 0, spoolId: 0, firstOffset: -1, lastOffset: -1 };
    second.exec.commit(position, { ...none, acknowledged: records });
    console.log(JSON.stringify({
      capEff: /CapEff:\\s*(\\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1],
      resumed: second.status().resumed,
      epochs: second.status().epoch - epoch,
      records: records > 0 && second.exec.status().acknowledged === records,
    }));
    second.close();`;
  // Where bpffs is mounted for root alone, by way of a directory that is bound elsewhere.
  const bind = 'mkdir -p "$1" "$2" && mount --bind "$1" "$2" && shift && pins=$1 && shift && exec "$@" "$pins"';
  const elsewhere = join(tmpdir(), basename(pinPath));
  const words = ['--mount', '--propagation', 'private', 'sh', '-c', bind, 'sh', pinPath, elsewhere, process.execPath];
  try {
    const addon = join(checkout, 'src/kernel/addon.ts');
    const { stdout } = run('unshare', [...words, '--input-type=module', '-e', script, addon, tool('noop')]);
    return JSON.parse(stdout);
  } finally {
    rmSync(elsewhere, { recursive: true, force: true });
  }
}
