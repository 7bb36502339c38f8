import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSpool } from '../../../src/spool/open-spool.ts';
import { storedBytes } from '../../../src/spool/spool-store.ts';
import { fakeLog } from '../producers/fakes.ts';
import { Life, mebibyte, never, room, value } from './life.ts';
import { acknowledgementOf, identity } from './model-ring.ts';

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

describe('whatever is done and wherever a process dies', () => {
  const steps = [
    'enter',
    'enter',
    'enter',
    'send',
    'send',
    'die',
    'die before the commit',
    'die while sending',
    'upgrade',
    'upgrade before the commit',
  ] as const;

  test.each(['keep', 'drop-oldest'] as const)(
    'order, counts and bounds hold: %s',
    { timeout: 120_000 },
    async (full) => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.constantFrom(...steps), { minLength: 5, maxLength: 25 }), async (history) => {
          const directory = mkdtempSync(join(stateDir, 'run-'));
          const one = new Life(directory);
          await one.start({ bytes: room, full });
          for (const step of history) {
            if (step === 'send') await one.send();
            else if (step === 'die while sending') {
              if (!one.spool.isEmpty) await one.spool.next(never);
              await one.die();
              await one.start({ bytes: room, full });
            } else {
              const commit = step === 'enter';
              const enters = commit || step.endsWith('before the commit');
              const entered = enters && (await one.enter({ bytes: value, commit }));
              if (!entered && enters && full === 'drop-oldest') throw new Error('it has to make room');
              if (step !== 'enter') {
                await one.die();
                if (step.startsWith('upgrade')) one.upgrade();
                await one.start({ bytes: room, full });
              }
            }
            one.check(room);
          }
          while (!one.spool.isEmpty) await one.send();
          // First in, first out; what was dropped is missing in front of something newer, and counted.
          expect(one.acknowledged).toEqual(one.acknowledged.toSorted((a, b) => a - b));
          expect(new Set(one.acknowledged).size).toBe(one.acknowledged.length);
          const { acknowledged, evicted, missing } = one.ring.totals;
          expect({ acknowledged, evicted: evicted + acknowledged, missing }).toEqual({
            acknowledged: one.acknowledged.length * 3,
            evicted: one.entered * 3,
            missing: 0,
          });
          if (full === 'keep') expect(evicted).toBe(0);
          if (existsSync(one.directory))
            expect(statSync(join(one.directory, 'data.mdb')).size).toBeLessThan(2 * room + 8 * mebibyte);
          await one.die();
        }),
        { numRuns: 25 },
      );
      await life.start();
    },
  );
});

describe('a batch', () => {
  test('is on disk before its ring is told, and once the ring is told it is accounted for', async () => {
    await life.start();
    await life.enter({ commit: false });
    expect(life.spool.state.records).toBe(0);
    expect(life.ring.spooled).toBe(0);
    await life.die();
    await life.start();
    expect(life.ring.spooled).toBe(3);
    expect(life.spool.state.records).toBe(3);
    expect(life.ring.consumerPosition).toBe(300);
  });

  test('that is on its way to the broker is not dropped for a newer one', async () => {
    await life.start({ bytes: room, full: 'drop-oldest' });
    for (let i = 0; i < 4; i += 1) await life.enter({ bytes: value });
    const first = await life.spool.next(never);
    await life.enter({ bytes: value });
    expect(life.leaves).toMatchObject([{ kind: 'evicted' }]);
    if (first === undefined) throw new Error('it is empty');
    await life.spool.leave(first, acknowledgementOf(3), never);
    await life.send();
    // The second was dropped, not the first.
    expect(life.acknowledged).toEqual([2]);
    expect(life.spool.tallyOf(identity)).toMatchObject({ entered: 15, acknowledged: 6, evicted: 3 });
  });

  test('that an earlier process has sent is not dropped either', async () => {
    const drop = { bytes: room, full: 'drop-oldest' } as const;
    await life.start(drop);
    await life.enter({ bytes: value });
    await life.enter({ bytes: value, tried: true });
    for (let i = 0; i < 2; i += 1) await life.enter({ bytes: value });
    await life.spool.next(never);
    await life.die();
    await life.start(drop);
    await life.enter({ bytes: value });
    while (!life.spool.isEmpty) await life.send();
    expect(life.acknowledged).toEqual([0, 1, 3, 4]);
  });

  test('for which only batches on their way would have to go waits in the ring', async () => {
    await life.start({ bytes: storedBytes(Buffer.alloc(value)), full: 'drop-oldest' });
    await life.enter({ bytes: value });
    await life.spool.next(never);
    expect(await life.enter({ bytes: value })).toBe(false);
    expect(life.spool.state.state).toBe('full');
  });

  test('that is not as it was written is given up, kept in a file and counted; the others are published', async () => {
    await life.start();
    for (let i = 0; i < 3; i += 1) await life.enter({ bytes: 20_000 });
    await life.die();
    const file = join(life.directory, 'data.mdb');
    const bytes = readFileSync(file);
    const at = bytes.indexOf(Buffer.alloc(5_000, 1));
    bytes[at] = 99;
    writeFileSync(file, bytes);
    await life.start();
    await life.send();
    const second = await life.spool.next(never);
    if (second === undefined) throw new Error('it is empty');
    expect(() => life.spool.read(second)).toThrow('not as it was written');
    await life.spool.giveUp(second, 'broken', never);
    await life.send();
    expect(life.acknowledged).toEqual([0, 2]);
    expect(life.ring.totals).toMatchObject({ acknowledged: 6, missing: 3 });
    expect(readdirSync(life.directory).filter((name) => name.startsWith('damaged-'))).toHaveLength(1);
    await life.die();
    await life.start();
    expect(life.ring.totals).toMatchObject({ acknowledged: 6, missing: 3 });
  });
});

describe('batches of an attach that is over', () => {
  test('go first, and are counted apart up to the epoch of its last entry', async () => {
    await life.start();
    await life.enter({ epoch: 5 });
    await life.enter({ epoch: 6 });
    await life.die();
    const later = new Life(stateDir);
    const { log } = fakeLog();
    const present = { ...identity, bootId: 'boot-2' };
    const open = () =>
      openSpool({
        settings: { stateDir, bytes: mebibyte, full: 'keep' },
        identity: present,
        capture: later.ring,
        clock: later.clock,
        log,
      });
    let spool = await open();
    expect(spool.recordsThrough(9)).toBe(0); // of the present attach
    expect((await spool.beginLate(identity, 5)).late).toMatchObject({ epoch: 5, records: 3, acknowledged: 0 });
    const first = await spool.next(never);
    if (first === undefined) throw new Error('it is empty');
    await spool.leave(first, acknowledgementOf(3, 40), never);
    await spool.close();
    // In the middle of it another process goes on with the same counts.
    spool = await open();
    expect((await spool.beginLate(identity, 6)).late).toMatchObject({ epoch: 5, records: 3, acknowledged: 3 });
    const second = await spool.next(never);
    if (second === undefined) throw new Error('it is empty');
    await spool.leave(second, acknowledgementOf(3, 43), never);
    await spool.emptiedOf(identity, never);
    expect(spool.tallyOf(identity)).toMatchObject({ acknowledged: 6, lastOffset: 45, late: { acknowledged: 3 } });
    expect(later.ring.totals.acknowledged).toBe(0);
    await spool.forget(identity);
    expect(spool.hasTally(identity)).toBe(false);
    await spool.close();
    await life.start();
  });
});

test('who waits for a batch is told of an abort that comes before the waiting has begun', async () => {
  await life.start();
  const stop = new AbortController();
  const batch = life.spool.next(stop.signal);
  stop.abort('stopped');
  expect(await batch).toBeUndefined();
});

test('with 0 bytes it takes nothing, and what is there is still published', async () => {
  await life.start();
  await life.enter();
  await life.die();
  await life.start({ bytes: 0, full: 'drop-oldest' });
  expect(await life.enter()).toBe(false);
  expect(life.spool.state).toMatchObject({ state: 'holding', records: 3 });
  await life.send();
  expect(life.acknowledged).toEqual([0]);
});

test('nobody else may read it', async () => {
  await life.start();
  await life.enter();
  expect(statSync(life.directory).mode & 0o777).toBe(0o700);
  expect(statSync(join(life.directory, 'data.mdb')).mode & 0o777).toBe(0o600);
});
