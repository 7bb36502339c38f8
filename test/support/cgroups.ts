import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './capture.ts';

/** A hierarchy of cgroups: the unified one (version 2), or one of version 1 by its controller. */
export type HierarchyName = 'unified' | 'pids' | 'memory' | 'devices';

/** Where the root of a hierarchy is mounted; one that is not is mounted for as long as the test wants it. */
export class Hierarchy implements Disposable {
  readonly mount: string;
  readonly #ours: boolean;

  private constructor(mount: string, ours: boolean) {
    this.mount = mount;
    this.#ours = ours;
  }

  /** The reason when the kernel does not have it as it would have to be. */
  static open(name: HierarchyName): Hierarchy | { readonly whyNot: string } {
    const there = mountPoint(name);
    if (there !== undefined) {
      // Inode 1 is the root of the hierarchy (fs/kernfs); below another one the path's beginning is not to be seen.
      if (statSync(there).ino !== 1) return { whyNot: `the root of the hierarchy ${name} is not mounted` };
      return new Hierarchy(there, false);
    }
    const mount = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-cgroup-'));
    const type = name === 'unified' ? ['cgroup2'] : ['cgroup', '-o', name];
    const { status, stderr } = spawnSync('mount', ['-t', ...type, 'none', mount], { encoding: 'utf8' });
    if (status === 0) return new Hierarchy(mount, true);
    rmdirSync(mount);
    return { whyNot: `the hierarchy ${name} cannot be mounted: ${stderr.trim()}` };
  }

  [Symbol.dispose](): void {
    if (!this.#ours) return;
    run('umount', [this.mount]);
    rmdirSync(this.mount);
  }
}

function mountPoint(name: HierarchyName): string | undefined {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n')) {
    const [mount = [], [type, , options = ''] = []] = line.split(' - ').map((half) => half.split(' '));
    const fits = name === 'unified' ? type === 'cgroup2' : type === 'cgroup' && options.split(',').includes(name);
    if (fits) return mount[4];
  }
  return undefined;
}

/** A cgroup made by hand, with those above it that were missing; all of them are removed at the end. */
export class HandMadeCgroup implements Disposable {
  readonly directory: string;
  readonly #made: string[] = [];

  /** @param path below the mount, beginning with / */
  constructor({ mount }: Hierarchy, path: string) {
    this.directory = join(mount, path);
    try {
      let directory = mount;
      for (const name of path.split('/')) {
        directory = join(directory, name);
        if (existsSync(directory)) continue;
        mkdirSync(directory);
        this.#made.push(directory);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** As the kernel has it: the number of the directory's inode. */
  get id(): string {
    return String(statSync(this.directory, { bigint: true }).ino);
  }

  [Symbol.dispose](): void {
    for (const directory of this.#made.reverse()) rmdirSync(directory);
  }
}

/** Runs a program to its end, in each of these cgroups, which are of different hierarchies. */
export function runIn(cgroups: readonly HandMadeCgroup[], program: string, args: readonly string[]): void {
  const joined = cgroups.map(({ directory }) => `echo $$ >'${directory}/cgroup.procs'`);
  run('sh', ['-c', [...joined, 'exec "$0" "$@"'].join(' && '), program, ...args]);
}
