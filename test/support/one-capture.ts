import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, type TestContext } from 'vitest';
import { CaptureReader, newPinPath, removeLeftovers, removePins, tool, whyNoCapture } from './capture.ts';

/** Of this process: loading the programs takes an emulated machine, which runs many files in one process, seconds. */
let shared: CaptureReader | undefined;
/** Those that have not ended yet. */
let users = 0;

/** The one capture of all files of a process, and for each a directory that every user can reach, unlike the checkout perhaps. */
export class OneCapture {
  directory!: string;

  /** Registers what begins before the file's tests and ends behind them. Without what a capture needs they are skipped. */
  constructor() {
    users += 1;
    beforeAll(() => {
      if (whyNoCapture() !== undefined) return;
      if (shared === undefined) {
        removeLeftovers();
        shared = new CaptureReader(newPinPath());
      }
      this.directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-'));
      chmodSync(this.directory, 0o755);
    });
    beforeEach((ctx: TestContext) => {
      const reason = whyNoCapture();
      if (reason !== undefined) return ctx.skip(reason);
      this.forget();
    });
    afterAll(() => {
      users -= 1;
      if (this.directory !== undefined) rmSync(this.directory, { recursive: true, force: true });
      if (users > 0 || shared === undefined) return;
      shared.close();
      removePins(shared.pinPath);
      shared = undefined;
    });
  }

  get reader(): CaptureReader {
    if (shared === undefined) throw new Error('the capture has not begun');
    return shared;
  }

  /**
   * Gives up what was captured, so that there is room for what comes, beside what the rest of the host executes. A pid may
   * come again after others have used up the numbers: a test looks only at its own time.
   */
  forget(): void {
    this.reader.read();
    this.reader.commit();
    this.reader.records.length = 0;
  }

  /** The path of a copy of a test tool in the directory, or below it. */
  copy(name: 'noop' | 'hold', as: string = name): string {
    const path = join(this.directory, as);
    copyFileSync(tool(name), path);
    chmodSync(path, 0o755);
    return path;
  }
}
