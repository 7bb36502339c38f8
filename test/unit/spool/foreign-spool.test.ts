import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Life } from './life.ts';

let stateDir: string;
let life: Life;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-spool-'));
  life = new Life(stateDir);
});
afterEach(async () => {
  await life.spool?.close();
  rmSync(stateDir, { recursive: true, force: true });
});

describe('a spool that is not what the ring gave its records to', () => {
  async function withThree(): Promise<void> {
    await life.start();
    for (let i = 0; i < 3; i += 1) await life.enter();
    await life.die();
  }

  const aside = () => readdirSync(stateDir).filter((name) => name.startsWith('spool.aside-'));

  test('removed: what it had is missing, counted once', async () => {
    await withThree();
    rmSync(life.directory, { recursive: true });
    await life.start();
    expect(life.ring.totals.missing).toBe(9);
    expect(life.lines.some(({ message }) => message?.includes('spool_missing'))).toBe(true);
    await life.die();
    await life.start();
    expect(life.ring.totals.missing).toBe(9);
    // And another one begins.
    await life.enter();
    await life.send();
    expect(life.ring.totals).toMatchObject({ acknowledged: 3, missing: 9 });
    await life.die();
    await life.start();
    expect(life.ring.totals).toMatchObject({ acknowledged: 3, missing: 9 });
  });

  test.each([
    ['cut off', () => truncateSync(join(life.directory, 'data.mdb'), 3 * 4096)],
    ['overwritten', () => writeFileSync(join(life.directory, 'data.mdb'), 'hello '.repeat(10_000))],
    ['empty', () => writeFileSync(join(life.directory, 'data.mdb'), '')],
  ])('%s: it is set aside, not emptied', async (_, spoil) => {
    await withThree();
    spoil();
    const spoiled = readFileSync(join(life.directory, 'data.mdb'));
    await life.start();
    expect(aside()).toHaveLength(1);
    expect(readFileSync(join(stateDir, aside()[0] as string, 'data.mdb')).equals(spoiled)).toBe(true);
    expect(life.ring.totals.missing).toBe(9);
  });

  test('an older copy of it: set aside, for what has left since would be published as if it were new', async () => {
    await withThree();
    const copy = join(stateDir, 'copy');
    cpSync(life.directory, copy, { recursive: true });
    await life.start();
    await life.enter();
    await life.die();
    rmSync(life.directory, { recursive: true });
    cpSync(copy, life.directory, { recursive: true });
    await life.start();
    expect(aside()).toHaveLength(1);
    expect(life.ring.totals.missing).toBe(12);
  });

  test("another one: another host's, for example", async () => {
    await withThree();
    const other = new Life(mkdtempSync(join(stateDir, 'other-')));
    await other.start();
    for (let i = 0; i < 3; i += 1) await other.enter();
    await other.die();
    rmSync(life.directory, { recursive: true });
    cpSync(other.directory, life.directory, { recursive: true });
    await life.start();
    expect(aside()).toHaveLength(1);
    expect(life.ring.totals.missing).toBe(9);
  });
});
