import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, type TestContext, test } from 'vitest';
import { reasonOf } from '../../../src/errors.ts';
import { SpoolStore } from '../../../src/spool/spool-store.ts';
import { Life, mebibyte, value } from './life.ts';

let place: string;
let disk: string;
let mounted = false;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-disk-'));
  disk = join(place, 'disk');
  mkdirSync(disk);
});
afterEach(() => {
  unmount();
  rmSync(place, { recursive: true });
});

/** Skips the test where it cannot be done. */
function mount({ skip }: TestContext, ...words: readonly string[]): void {
  try {
    execFileSync('mount', [...words, disk], { stdio: 'pipe' });
    mounted = true;
  } catch (error) {
    skip(`a disk cannot be mounted here: ${reasonOf(error)}`);
  }
}

function unmount(): void {
  if (mounted) execFileSync('umount', [disk]);
  mounted = false;
}

test('a full disk is a state: the ring goes on holding, nothing is lost, and it goes on when there is room', async (context) => {
  mount(context, '-t', 'tmpfs', '-o', 'size=6m', 'tmpfs');
  const small = new Life(disk);
  try {
    await small.start();
    while (await small.enter({ bytes: value })) if (small.entered > 1_000) throw new Error('the disk has no end');
    expect(small.spool.state).toMatchObject({ state: 'no_space', records: small.entered * 3 });
    expect(small.lines.some(({ message }) => message?.includes('no_space'))).toBe(true);
    expect(await small.enter({ bytes: value })).toBe(false); // not asked again at once
    // To take one out needs room, too, which is set apart.
    const before = small.entered;
    for (let i = 0; i < 4; i += 1) await small.send();
    await small.clock.advance(2_000);
    expect(await small.enter({ bytes: value })).toBe(true);
    expect(small.spool.state.state).toBe('holding');
    await small.die();
    await small.start();
    while (!small.spool.isEmpty) await small.send();
    expect(small.acknowledged).toEqual(Array.from({ length: before + 1 }, (_, n) => n));
    expect(small.ring.held).toBe(0);
  } finally {
    await small.die();
  }
});

/** Of the batches in it. */
async function ordersIn(directory: string): Promise<number[]> {
  const store = await SpoolStore.open(directory, mebibyte);
  const orders = [...(store?.entries() ?? [])].map(({ key }) => key.order);
  await store?.close();
  return orders;
}

test('a loss of power at any moment leaves each batch that was entered, and none that had left', async (context) => {
  const image = join(place, 'image');
  writeFileSync(image, '');
  truncateSync(image, 32 * mebibyte);
  try {
    execFileSync('mkfs.ext4', ['-q', image], { stdio: 'pipe' });
  } catch (error) {
    context.skip(`a file system cannot be made here: ${reasonOf(error)}`);
  }
  mount(context, '-o', 'loop', image);
  // What the disk has at this moment: the file system holds the rest in memory.
  const lossesOfPower: { readonly image: string; readonly orders: readonly number[] }[] = [];
  const losePower = (...orders: number[]) => {
    const left = `${image}-${lossesOfPower.length}`;
    copyFileSync(image, left);
    lossesOfPower.push({ image: left, orders });
  };
  const one = new Life(join(disk, 'state'));
  await one.start();
  for (const orders of [[0], [0, 1], [0, 1, 2]]) {
    await one.enter();
    losePower(...orders);
  }
  await one.send();
  losePower(1, 2);
  await one.enter();
  losePower(1, 2, 3);
  await one.die();
  unmount();

  for (const { image, orders } of lossesOfPower) {
    mount(context, '-o', 'loop', image);
    expect(await ordersIn(one.directory)).toEqual(orders);
    unmount();
  }
});
