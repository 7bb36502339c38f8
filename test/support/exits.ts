import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { ExitEvent } from '../../src/schemas/exit-event.ts';
import { type RingReader, run, tool } from './capture.ts';

/** What the kernel told the parent of a process that ended; times in microseconds. */
export interface Waited {
  readonly pid: number;
  /** As wait4 has it. */
  readonly status: number;
  readonly userMicros: number;
  readonly systemMicros: number;
  readonly maxRssBytes: number;
  /** As in /proc/PID/stat, hundredths of a second since boot. */
  readonly startTicks: number;
  /** Since boot, around the life of the process. */
  readonly before: number;
  readonly after: number;
}

function parse(line: string): Waited {
  const [pid, status, userMicros, systemMicros, maxRssKib, startTicks, before, after] = line.split(' ').map(Number);
  return {
    pid: pid as number,
    status: status as number,
    userMicros: userMicros as number,
    systemMicros: systemMicros as number,
    maxRssBytes: (maxRssKib as number) * 1024,
    startTicks: startTicks as number,
    before: before as number,
    after: after as number,
  };
}

/** Has a process end as test/tools/exit_with.c says; answers with what its parent was told. */
export function end(action: readonly string[], options: { readonly cwd?: string } = {}): Waited {
  return parse(run(tool('exit_with'), action, options).stdout);
}

/** The same, and the record. */
export async function endWith(
  exits: RingReader<ExitEvent>,
  action: readonly string[],
  options: { readonly cwd?: string } = {},
): Promise<{ readonly event: ExitEvent; readonly waited: Waited }> {
  const waited = end(action, options);
  const { event } = await exits.find(({ pid }) => pid === waited.pid, `the end of ${action.join(' ')}`);
  return { event, waited };
}

/** A process that has ended, and that its parent waits for only at the end. */
export class Zombie implements AsyncDisposable {
  readonly pid: number;
  readonly #parent: ChildProcess;

  private constructor(pid: number, parent: ChildProcess) {
    this.pid = pid;
    this.#parent = parent;
  }

  static async make(action: readonly string[]): Promise<Zombie> {
    const parent = spawn(tool('exit_with'), ['--zombie', ...action], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = await once(createInterface({ input: parent.stdout }), 'line');
    return new Zombie(Number(line), parent);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#parent, 'exit');
    this.#parent.stdin?.end();
    await ended;
  }
}
