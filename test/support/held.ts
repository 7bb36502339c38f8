import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import { type CaptureReader, newToken } from './capture.ts';

/** A program that was captured and stays until it is let go, so that the kernel can be asked about it. */
export class Held implements AsyncDisposable {
  readonly event: ExecEvent;
  readonly #child: ChildProcess;

  constructor(event: ExecEvent, child: ChildProcess) {
    this.event = event;
    this.#child = child;
  }

  get pid(): number {
    return this.event.pid;
  }

  /** The text of a file in /proc/PID. */
  file(name: string): string {
    return readFileSync(`/proc/${this.pid}/${name}`, 'latin1');
  }

  /** What a link in /proc/PID says. */
  link(name: string): string {
    return readlinkSync(`/proc/${this.pid}/${name}`);
  }

  /** A line of /proc/PID/status, its values apart. */
  status(name: string): string[] {
    const line = this.file('status')
      .split('\n')
      .find((each) => each.startsWith(`${name}:`));
    if (line === undefined) throw new Error(`/proc/PID/status has no ${name}`);
    return line
      .slice(name.length + 1)
      .trim()
      .split(/\s+/);
  }

  /** The fields of /proc/PID/stat behind the name, by their number there (proc(5)). */
  stat(number: number): number {
    const text = this.file('stat');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[number - 3]);
  }

  /** The inode number of a namespace, as in /proc/PID/ns. */
  namespace(name: string): number {
    return Number(/\[(\d+)\]$/.exec(this.link(`ns/${name}`))?.[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = this.#child.exitCode === null && this.#child.signalCode === null ? once(this.#child, 'exit') : null;
    this.#child.stdin?.end();
    await ended;
  }
}

/**
 * Starts a command line that in the end execs `hold`, or a copy of that name, and waits for the record of that exec. A
 * token is added to the command line, which by then must be hold's last argument.
 */
export async function hold(
  reader: CaptureReader,
  command: readonly string[],
  options: {
    cwd?: string;
    env?: NodeJS.ProcessEnv;
    /** Instead of a token, where none can be passed on. */
    isIt?: (event: ExecEvent, pid: number | undefined) => boolean;
  } = {},
): Promise<Held> {
  const token = newToken();
  const { isIt, ...spawning } = options;
  const fits = isIt ?? ((event: ExecEvent) => event.comm === 'hold' && event.args?.at(-1) === token);
  const [program, ...args] = isIt === undefined ? [...command, token] : command;
  const child = spawn(program as string, args, { ...spawning, stdio: ['pipe', 'ignore', 'pipe'] });
  let errors = '';
  child.once('error', (error) => {
    errors += error.message;
  });
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  try {
    const { event } = await reader.find((each) => fits(each, child.pid), `${command.join(' ')} (${errors})`);
    return new Held(event, child);
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`${command.join(' ')} printed: ${errors}`, { cause: error });
  }
}
