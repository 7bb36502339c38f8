import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { atEnd } from './cleanup.ts';

/** A memory cgroup of its own: what the kernel holds for a process, maps and ring included (BPF memory is charged). */
export class MemoryGroup implements Disposable {
  readonly #directory: string;
  readonly #file: string;
  readonly #safety: Disposable;

  private constructor(directory: string, file: string) {
    this.#directory = directory;
    this.#file = file;
    mkdirSync(directory);
    this.#safety = atEnd(() => rmdirSync(directory));
  }

  /** The group, or why there can be none. */
  static create(): MemoryGroup | string {
    const name = `bpf2kafka-bench-${process.pid}`;
    const first = '/sys/fs/cgroup/memory';
    try {
      if (existsSync(join(first, 'memory.usage_in_bytes')))
        return new MemoryGroup(join(first, name), 'memory.usage_in_bytes');
      const second = '/sys/fs/cgroup';
      const controllers = readFileSync(join(second, 'cgroup.subtree_control'), 'utf8');
      if (!controllers.split(/\s+/).includes('memory')) return 'the memory controller is not enabled for new cgroups';
      return new MemoryGroup(join(second, name), 'memory.current');
    } catch (error) {
      return `no cgroup could be made: ${(error as Error).message}`;
    }
  }

  /** Words that start a program inside it, so that its first page is charged here. */
  get before(): readonly string[] {
    return ['/bin/sh', '-c', `echo 0 >${this.#directory}/cgroup.procs && exec "$@"`, 'sh'];
  }

  get bytes(): number {
    return Number(readFileSync(join(this.#directory, this.#file), 'utf8'));
  }

  /** Call it when no process is left in it. */
  [Symbol.dispose](): void {
    this.#safety[Symbol.dispose]();
  }
}
