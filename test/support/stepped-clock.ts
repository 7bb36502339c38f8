import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tool } from './capture.ts';

/**
 * A wall clock that is set while processes run: only those that are started with its environment see it
 * (test/tools/stepped_clock.c). The kernel's own, and what it counts from the boot, stay as they are.
 */
export class SteppedClock implements AsyncDisposable {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async create(): Promise<SteppedClock> {
    const clock = new SteppedClock(await mkdtemp(join(tmpdir(), 'bpf2kafka-test-clock-')));
    await writeFile(clock.#file, textOf(0));
    return clock;
  }

  get environment(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: tool('stepped_clock.so'), STEPPED_CLOCK: this.#file };
  }

  /** @param seconds from the right time */
  async step(seconds: number): Promise<void> {
    await writeFile(this.#file, textOf(seconds), { flag: 'r+' });
  }

  get #file(): string {
    return join(this.#directory, 'seconds');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Of one length, so that a reader sees the old one or the new one, and never none. */
function textOf(seconds: number): string {
  return `${seconds}`.padEnd(16);
}
