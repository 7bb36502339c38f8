import { expect, test } from 'vitest';
import type { Capture, EpochCut } from '../../../src/kernel/addon.ts';
import { WallClock } from '../../../src/kernel/wall-clock.ts';
import { ExecLedger } from '../../../src/ledger/exec-ledger.ts';
import type { LedgerEntry } from '../../../src/schemas/ledger-entry.ts';
import { FakeClock, fakeLog, settle } from '../producers/fakes.ts';

function setUp() {
  const clock = new FakeClock();
  let epoch = 1_000;
  const cut = (): EpochCut => ({
    epoch: epoch++,
    beginBootMicros: 0,
    endBootMicros: 0,
    entered: 5,
    fellThrough: 0,
    ringFull: 0,
    ringBusy: 0,
    skipped: 0,
    seq: 1_005,
    producerPosition: 0,
    packets: [],
  });
  const capture = {
    advanceEpoch: async () => cut(),
    pending: () => 0,
    status: () => ({ acknowledged: 5, undecodable: 0, fellThrough: 0, ringFull: 0, ringBusy: 0 }),
  } as unknown as Capture;
  const entries: LedgerEntry[] = [];
  const ledger = new ExecLedger({
    capture,
    reader: { committedAfter: () => ({ acknowledged: 0, undecodable: 0 }) },
    identity: { hostId: 'host', hostName: null, bootId: 'boot', attachId: 1_000 },
    wallClock: new WallClock([{ fromBootMicros: 0, realtimeMinusBootMicros: 0 }]),
    clock,
    log: fakeLog().log,
    intervalMillis: 10_000,
    publish: async (entry) => void entries.push(entry),
    deliveryState: () => 'capturing',
    destination: { cluster_id: 'c', topic: 't', partition: 0, replication_factor: 1, min_insync_replicas: 1 },
  });
  return { clock, entries, ledger };
}

test('an entry at the start and at each interval, also when the wall clock is set back', async () => {
  const { clock, entries, ledger } = setUp();
  const stop = new AbortController();
  const running = ledger.run(stop.signal);
  await settle();
  expect(entries.map(({ epoch }) => epoch)).toEqual([1_000]);

  clock.now -= 5 * 3_600_000;
  await clock.advance(9_900);
  expect(entries).toHaveLength(1);
  await clock.advance(200);
  expect(entries.map(({ epoch }) => epoch)).toEqual([1_000, 1_001]);
  expect(entries[1]).toMatchObject({ closed: true, seen: 5, published: 5, unexplained: 0, low_watermark: 1_005 });
  stop.abort();
  await running;
});
