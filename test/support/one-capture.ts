import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, type TestContext } from 'vitest';
import { CaptureReader, newPinPath, removeLeftovers, removePins, tool, whyNoCapture } from './capture.ts';

/** One capture for all tests of a file, and a directory that every user can reach, unlike the checkout perhaps. */
export class OneCapture {
  reader!: CaptureReader;
  pinPath!: string;
  directory!: string;

  /** Registers what begins before the file's tests and ends behind them. Without what a capture needs they are skipped. */
  constructor() {
    beforeAll(() => {
      if (whyNoCapture() !== undefined) return;
      removeLeftovers();
      this.pinPath = newPinPath();
      this.reader = new CaptureReader(this.pinPath);
      this.directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-'));
      chmodSync(this.directory, 0o755);
    });
    beforeEach((ctx: TestContext) => {
      const reason = whyNoCapture();
      if (reason !== undefined) return ctx.skip(reason);
      this.reader.read();
      this.reader.commit();
      // A pid may come again after others have used up the numbers: a test looks only at its own time.
      this.reader.records.length = 0;
    });
    afterAll(() => {
      if (this.reader === undefined) return;
      this.reader.close();
      removePins(this.pinPath);
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  /** The path of a copy of a test tool in the directory, or below it. */
  copy(name: 'noop' | 'hold', as: string = name): string {
    const path = join(this.directory, as);
    copyFileSync(tool(name), path);
    chmodSync(path, 0o755);
    return path;
  }
}
