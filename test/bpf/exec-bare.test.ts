import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, type TestContext, test } from 'vitest';
import { detachPinned } from '../../src/kernel/addon.ts';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import {
  acknowledging,
  CaptureReader,
  endEverything,
  newPinPath,
  newToken,
  removePins,
  run,
  startOther,
  storm,
  tool,
  whyNoCapture,
} from '../support/capture.ts';
import { hold } from '../support/held.ts';
import { waitFor } from '../support/wait-for.ts';

/** What is left of an exec whose record finds no room: its bare fact, in a ring of its own. */

const smallest = 64 * 1024;
/** Whose ring of bare records has room for what the rest of the host may execute meanwhile. */
const roomy = 1024 * 1024;

let pinPath: string;
let directory: string;

beforeEach((ctx: TestContext) => {
  const reason = whyNoCapture();
  if (reason !== undefined) return ctx.skip(reason);
  pinPath = newPinPath();
  directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-'));
});

afterEach(async () => {
  if (whyNoCapture() !== undefined) return;
  endEverything();
  await waitFor(
    () => {
      removePins(pinPath);
      return true;
    },
    { what: 'the pins are free' },
  );
  rmSync(directory, { recursive: true, force: true });
});

let programs = 0;

/** A copy of noop whose name, and so comm, no other program has. */
function program(): { readonly path: string; readonly comm: string } {
  const comm = `bare-${process.pid}-${programs++}`.slice(-15);
  const path = join(directory, comm);
  copyFileSync(tool('noop'), path);
  chmodSync(path, 0o755);
  return { path, comm };
}

async function stormOf(path: string, count: number): Promise<void> {
  const words = [path, String(count), '2', newToken()];
  const child = spawn(tool('spawn_storm'), words, { stdio: ['ignore', 'pipe', 'inherit'] });
  expect(await once(child, 'exit')).toEqual([0, null]);
}

const bareOf = (reader: CaptureReader) => reader.records.filter(({ bare }) => bare);
const lostOf = ({ status: { ringFull, ringBusy } }: CaptureReader) => ringFull + ringBusy;

/** Execs, the longest first, until the shortest one finds no room for its whole record. */
function fillWhole(reader: CaptureReader): void {
  for (const bytes of [32_000, 4_000, 1]) {
    const { bare } = reader.status;
    while (reader.status.bare === bare) run(tool('noop'), ['x'.repeat(bytes)]);
  }
}

/** Numbers that were given out and that no record has. */
function holes(events: readonly ExecEvent[], { attachId, nextSeq }: CaptureReader['status']): number {
  return nextSeq - attachId - new Set(events.map(({ seq }) => seq)).size;
}

test('storms over a ring of 64 KiB: every exec is a whole record, a bare one or a counted loss', async () => {
  using reader = new CaptureReader(pinPath, smallest);
  const { path, comm } = program();
  const ours = () => reader.records.filter(({ event }) => event.comm === comm);
  const whole = () => ours().filter(({ event }) => event.args !== null).length;
  const bare = () => ours().filter(({ event }) => event.args === null).length;
  let count = 0;
  // Until there are some of each, whatever room other programs of the host take meanwhile.
  for (let round = 0; whole() === 0 || bare() === 0 || count === whole() + bare(); round += 1) {
    expect(round).toBeLessThan(50);
    await stormOf(path, 500);
    count += 500;
    // With room again there are whole records again.
    reader.read();
    reader.commit();
  }

  expect(ours().every((record) => record.bare === (record.event.args === null))).toBe(true);
  // What is missing of the generator's is lost; losses of other programs are counted there, too.
  const missing = count - whole() - bare();
  expect(missing).toBeGreaterThan(0);
  expect(missing).toBeLessThanOrEqual(lostOf(reader));
  expect(new Set(ours().map(({ event }) => event.exec_id)).size).toBe(ours().length);

  // Exactly, for the whole host, when it stands still.
  reader.capture.detach();
  reader.read();
  const final = reader.status;
  expect(bareOf(reader)).toHaveLength(final.bare);
  expect(reader.records.length + lostOf(reader) + final.fellThrough).toBe(final.entered);
  expect(holes(reader.events, final)).toBe(lostOf(reader));
});

test('a bare record tells who, when and where; the rest is null and named in degraded', async () => {
  using reader = new CaptureReader(pinPath, roomy);
  fillWhole(reader);
  const isIt = (event: ExecEvent, pid: number | undefined) => event.pid === pid && event.comm === 'hold';
  await using held = await hold(reader, ['setpriv', '--reuid=12345', '--clear-groups', tool('hold')], { isIt });
  const { event } = held;
  expect(held.status('Uid')[0]).toBe('12345');
  expect(event).toMatchObject({
    uid: 12_345,
    pid: held.pid,
    tid: held.pid,
    ppid: process.pid,
    comm: 'hold',
    cgroup_id: expect.stringMatching(/^\d+$/) as string,
    filename: '',
    exec_result: 0,
    host_id: 'host',
  });
  // /proc/PID/stat has hundredths of a second.
  const startTicks = Number.parseInt(event.process_id.slice(16, 32), 16) / 10_000_000;
  expect(Math.floor(startTicks)).toBe(held.stat(22));
  const [self = ''] = [readFileSync('/proc/self/stat', 'latin1')].map((text) => text.slice(text.lastIndexOf(')') + 2));
  const ourTicks = Number(self.split(' ')[19]);
  expect(Math.floor(Number.parseInt((event.parent_process_id as string).slice(16, 32), 16) / 10_000_000)).toBe(
    ourTicks,
  );

  const whole = await wholeEvent();
  const unknown = Object.entries(event).filter(([, value]) => value === null || value === '');
  const names = unknown.map(([name]) => name).filter((name) => name !== 'host_name' && name !== 'user_name');
  expect(event.degraded.toSorted()).toEqual(names.toSorted());
  expect(Object.keys(event)).toEqual(Object.keys(whole));
  expect(names).toEqual(expect.arrayContaining(['filename', 'exe', 'args', 'cwd', 'ancestors', 'gid', 'cgroup_path']));

  async function wholeEvent(): Promise<ExecEvent> {
    reader.read();
    reader.commit();
    const { pid } = run(tool('noop'), []);
    return (await reader.find((each) => each.pid === pid && each.args !== null, 'a whole record')).event;
  }
});

test('what was read and not committed is there again, of each ring by itself', async () => {
  const first = new CaptureReader(pinPath, roomy);
  fillWhole(first);
  await storm(newToken(), 30);
  first.read();
  const [whole, bare] = [first.records.filter((record) => !record.bare), bareOf(first)];
  expect(bare.length).toBeGreaterThan(0);
  // Only the ring of whole records is committed.
  first.capture.exec.commit(first.position, acknowledging(whole.length));
  first.close();

  const second = new CaptureReader(pinPath, roomy);
  expect(second.status).toMatchObject({ resumed: true, acknowledged: whole.length });
  expect(second.capture.exec.bare.status().acknowledged).toBe(0);
  second.read();
  expect(bareOf(second).slice(0, bare.length)).toEqual(bare);
  second.commit();
  const total = bareOf(second).length;
  second.close();

  using third = new CaptureReader(pinPath, roomy);
  expect(third.capture.exec.bare.status().acknowledged).toBe(total);
  third.read();
  expect(bareOf(third).filter(({ event }) => bare.some((known) => known.event.seq === event.seq))).toEqual([]);
});

test('a reader that is killed leaves its bare records to the next one', async () => {
  const script = `
    const capture = openCapture(pinPath, 65536);
    const buffer = new Uint8Array(512 * 1024);
    setInterval(() => {
      for (const ring of [capture.exec, capture.exec.bare]) ring.read(buffer, 1000);
      console.log(capture.exec.status().bare > 0 ? 'some' : 'none');
    }, 20);`;
  const other = startOther(script, pinPath);
  await other.printed('none');
  const { path, comm } = program();
  await stormOf(path, 400);
  await other.printed('some');
  other.child.kill('SIGKILL');
  await other.exited;
  using reader = new CaptureReader(pinPath, smallest);
  reader.capture.detach();
  reader.read();
  const { entered, fellThrough, bare } = reader.status;
  expect(bareOf(reader)).toHaveLength(bare);
  expect(reader.records.length + lostOf(reader) + fellThrough).toBe(entered);
  expect(reader.records.filter(({ event }) => event.comm === comm).length).toBeGreaterThan(0);
});

test('a detach counts what both rings had', async () => {
  const reader = new CaptureReader(pinPath, roomy);
  fillWhole(reader);
  await storm(newToken(), 20);
  reader.read();
  const { length } = bareOf(reader);
  expect(length).toBeGreaterThan(0);
  const whole = reader.records.length - length;
  reader.capture.exec.commit(reader.position, { ...acknowledging(whole), firstOffset: 7, lastOffset: 50 });
  reader.capture.exec.bare.commit(reader.barePosition, { ...acknowledging(length), firstOffset: 3, lastOffset: 40 });
  fillWhole(reader);
  reader.capture.detach();
  const { bare, ringFull, entered } = reader.status;
  expect(bare).toBeGreaterThan(length);
  reader.close();
  expect(detachPinned(pinPath, true)?.exec).toMatchObject({
    bare,
    acknowledged: whole + length,
    discarded: entered - ringFull - whole - length,
    firstOffset: 3,
    lastOffset: 50,
  });
});

test('without its pin nothing is captured past it: the start is refused', () => {
  new CaptureReader(pinPath, roomy).close();
  unlinkSync(join(pinPath, 'v1/g1/exec_bare_ring'));
  expect(() => new CaptureReader(pinPath, roomy)).toThrow(/a ring of it is missing/);
  expect(detachPinned(pinPath, true)).toBeDefined();
});

test('each epoch balances over both rings, while they fill, are read and are committed', async () => {
  using reader = new CaptureReader(pinPath, smallest);
  let storming = true;
  const stormed = storm(newToken(), 3_000).finally(() => {
    storming = false;
  });
  let committed: ExecEvent[] = [];
  let rounds = 0;
  while (storming || rounds < 3) {
    const { epoch, exec } = await reader.capture.advanceEpoch();
    const through = committed.filter((event) => event.epoch <= epoch).length;
    const lost = exec.fellThrough + exec.ringFull + exec.ringBusy;
    expect(through + reader.pending(epoch, exec) + lost, `epoch ${epoch}`).toBe(exec.entered);
    if (rounds++ % 3 === 2) {
      reader.read();
      reader.commit();
      committed = reader.events;
    }
  }
  await stormed;
  reader.capture.detach();
  expect(reader.status.bare).toBeGreaterThan(0);
  expect(reader.capture.exec.backlog()).toBe(reader.status.entered - lostOf(reader) - committed.length);
});

test('each bare record wakes the reader of its ring that sleeps', async () => {
  using reader = new CaptureReader(pinPath, roomy);
  fillWhole(reader);
  let woken = 0;
  reader.capture.exec.bare.onWake(() => {
    woken += 1;
  });
  for (let n = 0; n < 5; n += 1) {
    // Nothing of the other ring is read, so that it stays full.
    await waitFor(
      () => {
        reader.capture.exec.bare.read(new Uint8Array(512 * 1024), 1000);
        return reader.capture.exec.bare.arm();
      },
      { what: 'all bare records are read' },
    );
    const before = woken;
    run(tool('noop'), []);
    await waitFor(() => woken > before, { what: `wake-up ${n}`, interval: 1 });
  }
});
