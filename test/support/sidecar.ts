import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { detachPinned } from '../../src/kernel/addon.ts';
import { removeLeftovers } from './capture.ts';
import { waitFor } from './wait-for.ts';

/** The Node.js and the program of the checkout. */
const checkout = [process.execPath, join(import.meta.dirname, '../../bin/bpf2kafka.js')];

/** A command of ours as users run it: a process, its lines, its exit code. */
export class CommandProcess implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  /** Behind the last line. */
  readonly #closed: Promise<unknown>;
  #errors = '';

  constructor(
    words: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    program: readonly string[] = checkout,
  ) {
    // Ends with the tests, however they end.
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', ...program, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.#closed = once(this.#child, 'close');
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => this.lines.push(line));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get errors(): string {
    return this.#errors;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async ready(): Promise<void> {
    await waitFor(() => this.lines.some((line) => line.startsWith('ready')) || this.ended, {
      what: 'the command prints ready',
      timeout: 60_000,
    });
    if (this.ended) throw new Error(`the command ended with ${this.#child.exitCode}: ${this.#errors}`);
  }

  /** Waits for a line of standard output. */
  async line(containing: string): Promise<string> {
    try {
      return await waitFor(() => this.lines.find((line) => line.includes(containing)), {
        timeout: 30_000,
        what: `the command prints ${containing}`,
      });
    } catch (error) {
      throw new Error(
        `${(error as Error).message}; its last lines: ${this.lines.slice(-3).join(' | ')}; its log: ${this.#errors}`,
      );
    }
  }

  /** @returns exit code, or the signal that ended it */
  async exit(): Promise<number | string> {
    await this.#closed;
    return this.#child.exitCode ?? (this.#child.signalCode as string);
  }

  async end(signal: NodeJS.Signals): Promise<number | string> {
    this.#child.kill(signal);
    return this.exit();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.ended) await this.end('SIGKILL');
  }
}

/** Directories of one sidecar, which outlive its processes; both are removed at the end. */
export class SidecarPlace implements AsyncDisposable {
  readonly pinPath: string;
  readonly stateDir: string;

  readonly #interfaces: readonly string[];
  readonly #environment: Readonly<Record<string, string>>;

  private constructor(
    stateDir: string,
    pinPath: string,
    interfaces: readonly string[],
    environment: Readonly<Record<string, string>>,
  ) {
    this.stateDir = stateDir;
    this.pinPath = pinPath;
    this.#interfaces = interfaces;
    this.#environment = environment;
  }

  /**
   * @param interfaces those of the test; without any no packets are counted: the others belong to the machine
   * @param environment of its processes, besides ours
   */
  static async create(
    name: string,
    interfaces: readonly string[] = [],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<SidecarPlace> {
    removeLeftovers();
    const stateDir = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-state-'));
    const pinPath = `/sys/fs/bpf/bpf2kafka-test-${process.pid}-${name}`;
    return new SidecarPlace(stateDir, pinPath, interfaces, environment);
  }

  /** Where everything is, for any command. */
  get paths(): string[] {
    return ['--pin-path', this.pinPath, '--state-dir', this.stateDir];
  }

  /** What `run` and `start` need besides. */
  get flags(): string[] {
    const interfaces = this.#interfaces.flatMap((name) => ['--interface', name]);
    return [...this.paths, ...(interfaces.length > 0 ? interfaces : ['--no-packets'])];
  }

  /** Starts `bpf2kafka run` and waits until it captures and the broker has answered. */
  async run(brokers: string, ...flags: string[]): Promise<CommandProcess> {
    // A test that is about the end being in time says so; for all others a busy machine may take longer than the default.
    const words = ['run', '--brokers', brokers, '--drain-timeout', '60s', ...this.flags, ...flags];
    const command = new CommandProcess(words, this.#environment);
    try {
      await command.ready();
    } catch (error) {
      await command[Symbol.asyncDispose]();
      throw error;
    }
    return command;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    detachPinned(this.pinPath, true);
    await rm(this.stateDir, { recursive: true, force: true });
  }
}
