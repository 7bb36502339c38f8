import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LastEntries, refuseOtherHostId } from '../../../src/ledger/last-entries.ts';
import type { LedgerEntry } from '../../../src/schemas/ledger-entry.ts';

function entryOf(stream: string, more: Partial<LedgerEntry> = {}): LedgerEntry {
  const ids = { host_id: 'host', boot_id: 'boot', attach_id: 1_000, stream_name: stream, epoch: 1_007 };
  return { ...ids, state: 'capturing', closed: true, ...more } as LedgerEntry;
}

describe('the newest entry of each stream', () => {
  let stateDir: string;
  beforeEach(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-state-'));
  });
  afterEach(() => rm(stateDir, { recursive: true }));

  /** What another process reads. */
  const kept = async () => (await LastEntries.read(stateDir)).kept;

  test('is nothing at first', async () => {
    expect(await kept()).toEqual([]);
  });

  test('is what was written last of it; other streams keep theirs', async () => {
    const entries = await LastEntries.read(stateDir);
    await entries.write([entryOf('exec'), entryOf('packets:eth0')], { published: true });
    const newer = entryOf('exec', { epoch: 1_008 });
    await entries.write([newer], { published: false });
    expect(await kept()).toEqual([
      { entry: entryOf('packets:eth0'), published: true },
      { entry: newer, published: false },
    ]);
    expect(entries.kept).toEqual(await kept());
    expect(await readdir(stateDir)).toEqual(['ledger.json']);
  });

  test('of an attach before is forgotten when it has ended and said so, not earlier', async () => {
    const entries = await LastEntries.read(stateDir);
    const end = (stream: string) => entryOf(stream, { state: 'closing' });
    await entries.write([end('exec'), end('packets:eth0')], { published: true });
    await entries.write([end('packets:eth1')], { published: false });
    await entries.write([entryOf('packets:eth2')], { published: true });
    await entries.write([entryOf('exec', { attach_id: 2_000 })], { published: true });
    expect((await kept()).map(({ entry }) => [entry.stream_name, entry.attach_id])).toEqual([
      ['packets:eth1', 1_000],
      ['packets:eth2', 1_000],
      ['exec', 2_000],
    ]);
  });

  test('is not written when there is none', async () => {
    await (await LastEntries.read(stateDir)).write([], { published: false });
    expect(await readdir(stateDir)).toEqual([]);
  });

  test('is refused, with the file, when it cannot be read', async () => {
    await writeFile(join(stateDir, 'ledger.json'), '[{');
    await expect(LastEntries.read(stateDir)).rejects.toThrow(/ledger\.json/);
  });
});

test('another host id over a capture that goes on is refused, and only there', () => {
  const old = { entry: entryOf('exec', { attach_id: 900, host_id: 'before' }), published: true };
  const kept = [old, { entry: entryOf('packets:eth0'), published: true }];
  const here = { hostId: 'host', bootId: 'boot', attachId: 1_000 };
  expect(() => refuseOtherHostId(kept, { ...here, hostId: 'renamed' })).toThrow(/begun as host.*--on-exit detach/);
  expect(() => refuseOtherHostId(kept, here)).not.toThrow();
  expect(() => refuseOtherHostId(kept, { ...here, hostId: 'renamed', attachId: 2_000 })).not.toThrow();
  expect(() => refuseOtherHostId([], here)).not.toThrow();
});
