import { rmSync } from 'node:fs';
import { type Capture, openCapture } from '../../src/kernel/addon.ts';
import { newPinPath } from '../../test/support/capture.ts';
import { atEnd } from './cleanup.ts';

const ringBytes = 1024 * 1024;

/** A capture by the bench itself; nothing of it stays pinned. */
export class OwnCapture implements Disposable {
  readonly pinPath = newPinPath();
  readonly capture: Capture;
  readonly #safety: Disposable;

  constructor() {
    this.capture = openCapture(this.pinPath, ringBytes);
    this.#safety = atEnd(() => {
      this.capture.close();
      // Without owning it: when the bench is interrupted, a thread may still work for the capture, and so own it.
      rmSync(this.pinPath, { recursive: true, force: true });
    });
  }

  [Symbol.dispose](): void {
    this.#safety[Symbol.dispose]();
  }
}
