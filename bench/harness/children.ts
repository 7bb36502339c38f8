import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { atEnd } from './cleanup.ts';

export interface ChildOptions {
  readonly stdin?: 'pipe' | 'ignore';
  readonly stdout?: 'pipe' | 'ignore' | number;
  readonly stderr?: 'pipe' | 'ignore' | number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A process of the bench; it ends with the bench at the latest. */
export class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly #safety: Disposable;
  readonly #spawned: Promise<unknown>;
  #output = '';
  #errors = '';

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    const { stdin = 'ignore', stdout = 'pipe', stderr = 'pipe', env = {} } = options;
    this.process = spawn(command, args, { stdio: [stdin, stdout, stderr], env: { ...process.env, ...env } });
    this.#safety = atEnd(() => this.process.kill('SIGKILL'));
    this.#spawned = once(this.process, 'spawn');
    this.#spawned.catch(() => {});
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-10_000);
    });
  }

  get pid(): number {
    return this.process.pid as number;
  }

  get output(): string {
    return this.#output;
  }

  get errors(): string {
    return this.#errors;
  }

  get ended(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** Resolves with the exit code, or the signal, once all output is there. */
  async exit(): Promise<number | string> {
    await this.#spawned;
    if (!this.ended) await once(this.process, 'close');
    return this.process.exitCode ?? (this.process.signalCode as string);
  }

  async succeed(): Promise<string> {
    const code = await this.exit();
    if (code !== 0)
      throw new Error(`${this.process.spawnargs.slice(0, 3).join(' ')} ended with ${code}: ${this.#errors}`);
    return this.#output;
  }

  async end(signal: NodeJS.Signals): Promise<number | string> {
    this.process.kill(signal);
    return this.exit();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.ended && this.process.pid !== undefined) await this.end('SIGKILL');
    this.#safety[Symbol.dispose]();
  }
}
