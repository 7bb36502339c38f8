import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newPinPath, removePins, whyNoCapture } from '../../test/support/capture.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { Child } from './children.ts';
import { atEnd } from './cleanup.ts';
import { Unmeasurable } from './row.ts';

const program = join(import.meta.dirname, '../../bin/bpf2kafka.js');

export function needCapture(): void {
  const reason = whyNoCapture();
  if (reason !== undefined) throw new Unmeasurable(reason);
}

/** Pins and state of one sidecar, removed at the end. */
export class Place implements AsyncDisposable {
  readonly #interfaces: readonly string[];
  readonly pinPath = newPinPath();
  readonly stateDir = mkdtempSync(join(tmpdir(), 'bpf2kafka-bench-state-'));
  readonly #safety = atEnd(() => this.#remove());

  /** @param interfaces those of the bench; without any no packets are counted: the others belong to the machine */
  constructor(interfaces: readonly string[] = []) {
    this.#interfaces = interfaces;
  }

  get flags(): string[] {
    const interfaces = this.#interfaces.flatMap((name) => ['--interface', name]);
    const packets = interfaces.length > 0 ? interfaces : ['--no-packets'];
    return ['--pin-path', this.pinPath, '--state-dir', this.stateDir, '--log-level', 'warn', ...packets];
  }

  #remove(): void {
    rmSync(this.stateDir, { recursive: true, force: true });
    // A process that was just killed owns them for a moment more.
    for (let attempt = 0; ; attempt += 1) {
      try {
        removePins(this.pinPath);
        return;
      } catch (error) {
        if (attempt === 100) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#safety[Symbol.dispose]();
  }
}

/** `bpf2kafka run` as users start it. */
export class Sidecar extends Child {
  /** @param before words before the program: another way to start it */
  constructor(place: Place, brokers: string, flags: readonly string[] = [], before: readonly string[] = []) {
    const [command, ...args] = [
      ...before,
      process.execPath,
      program,
      'run',
      '--brokers',
      brokers,
      ...place.flags,
      ...flags,
    ];
    super(command as string, args);
  }

  async ready(): Promise<void> {
    await waitFor(() => this.output.includes('ready') || this.ended, {
      what: 'the sidecar prints ready',
      timeout: 60_000,
      interval: 5,
    });
    if (this.ended) throw new Error(`the sidecar ended: ${this.errors}`);
  }

  /** Ends in order, with everything published. */
  async finish(): Promise<void> {
    const code = await this.end('SIGTERM');
    if (code !== 0) throw new Error(`the sidecar ended with ${code}: ${this.errors}`);
  }
}
