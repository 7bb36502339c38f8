import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, type TestContext } from 'vitest';
import { endEverything, newPinPath, removePins, whyNoCapture } from './capture.ts';

/** Gives each test of a file pins and a directory of its own, which every user may enter, and leaves neither behind. */
export function eachWithPinsAndDirectory(): { readonly pinPath: string; readonly directory: string } {
  const place = { pinPath: '', directory: '' };
  beforeEach((ctx: TestContext) => {
    const reason = whyNoCapture();
    if (reason !== undefined) return ctx.skip(reason);
    place.pinPath = newPinPath();
    place.directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-'));
    chmodSync(place.directory, 0o755);
  });
  afterEach(() => {
    if (whyNoCapture() !== undefined) return;
    endEverything();
    removePins(place.pinPath);
    rmSync(place.directory, { recursive: true, force: true });
  });
  return place;
}
