import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { firstClosed } from '../../../src/commands/attach.ts';

const { uid, gid } = statSync(tmpdir());
const stranger = { uid: uid + 12_345, gid: gid + 12_345 };

test('the uppermost directory that a user may not pass is named, by the mode that holds for that user', () => {
  const top = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-way-'));
  try {
    const path = join(top, 'a', 'b');
    mkdirSync(path, { recursive: true });
    const own = statSync(top);
    chmodSync(top, 0o711);
    for (const [mode, user, closed] of [
      [0o755, stranger, undefined],
      [0o701, stranger, undefined],
      [0o770, stranger, join(top, 'a')],
      [0o710, { ...stranger, gid: own.gid }, undefined],
      [0o701, { ...stranger, gid: own.gid }, join(top, 'a')],
      [0o000, { uid: 0, gid: 0 }, undefined],
    ] as const) {
      chmodSync(join(top, 'a'), mode);
      chmodSync(path, mode);
      expect(firstClosed(path, user), mode.toString(8)).toBe(closed);
    }
  } finally {
    chmodSync(join(top, 'a'), 0o700);
    rmSync(top, { recursive: true });
  }
});
