import { isUtf8 } from 'node:buffer';
import { readFileSync, readlinkSync } from 'node:fs';
import { readdir } from 'node:fs/promises';

/** A process, as its child's record names it. */
export interface ProcessIdentity {
  /** In the host's pid namespace. */
  readonly pid: number;
  /** Start, in 10 ms since boot: what /proc has of it. */
  readonly startTicks: number;
}

interface Program extends ProcessIdentity {
  readonly exe: string;
}

/** Processes that are looked at before other work gets its turn; each takes some 20 us. */
const turn = 50;
const mostPrograms = 32_768;

/**
 * What ran when this process started, out of /proc: the programs of parents whose exec happened before the capture.
 *
 * /proc does not tell which of its execs a process is at, so a program is believed only when it is the same before and
 * after the moment in question: read here at the start, and again when a child asks. Arguments are not taken: a process
 * can write over what /proc/PID/cmdline shows, and many do.
 */
export class RunningPrograms {
  readonly #proc: string;
  readonly #programs = new Map<number, Program>();
  /** When all had been read, microseconds since boot. */
  #readAt = Number.POSITIVE_INFINITY;

  constructor({ proc = '/proc' }: { readonly proc?: string } = {}) {
    this.#proc = proc;
  }

  /** Reads every process, giving way to other work in between. */
  async read(): Promise<void> {
    const pids = (await readdir(this.#proc)).filter((name) => /^\d+$/.test(name)).slice(0, mostPrograms);
    for (const [at, pid] of pids.entries()) {
      const program = this.#programOf(Number(pid));
      if (program !== undefined) this.#programs.set(program.pid, program);
      if (at % turn === turn - 1) await new Promise((resolve) => setImmediate(resolve));
    }
    // In hundredths of a second, cut off.
    const uptime = Number(readFileSync(`${this.#proc}/uptime`, 'utf8').split(' ')[0]);
    this.#readAt = (uptime + 0.01) * 1_000_000;
  }

  /**
   * The program that the process was running at `bootMicros`; undefined when that is not certain. Asked once a process:
   * the answer holds for the exec that the asking record names.
   */
  take({ pid, startTicks }: ProcessIdentity, bootMicros: number): string | undefined {
    const program = this.#programs.get(pid);
    if (program === undefined || bootMicros < this.#readAt) return undefined;
    this.#programs.delete(pid);
    const now = this.#programOf(pid);
    const same = now?.exe === program.exe && now.startTicks === startTicks && program.startTicks === startTicks;
    return same ? program.exe : undefined;
  }

  /** The process has made another exec: what was read here is past. */
  forget(pid: number): void {
    this.#programs.delete(pid);
  }

  #programOf(pid: number): Program | undefined {
    const directory = `${this.#proc}/${pid}`;
    try {
      const exe = readlinkSync(`${directory}/exe`, { encoding: 'buffer' });
      // Behind `comm`, which is in parentheses and may hold anything; state is field 3, the start field 22.
      const stat = readFileSync(`${directory}/stat`, 'latin1');
      const startTicks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[22 - 3]);
      // A file that was removed, or one whose name ends like that.
      if (!isUtf8(exe) || exe.toString().endsWith(' (deleted)')) return undefined;
      return { pid, startTicks, exe: exe.toString() };
    } catch {
      // It has ended, is a thread of the kernel, or may not be looked at: then there is nothing to know about it.
      return undefined;
    }
  }
}
