import { existsSync, readdirSync, unlinkSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest';
import { detachPinned, hasPinnedExits } from '../../src/kernel/addon.ts';
import type { ExitEvent } from '../../src/schemas/exit-event.ts';
import {
  CaptureReader,
  endEverything,
  newPinPath,
  newToken,
  pokeWord,
  type RingReader,
  removeLeftovers,
  removePins,
  run,
  startOther,
  storm,
  tool,
  whyNoCapture,
  words,
} from '../support/capture.ts';
import { startStorm } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

/** The ring of exits beside that of execs: each with its own numbers, counters and commits, under one owner and epoch. */

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

let pinPath: string;

beforeAll(() => {
  if (whyNoCapture() === undefined) removeLeftovers();
});

beforeEach((ctx: TestContext) => {
  const reason = whyNoCapture();
  if (reason !== undefined) return ctx.skip(reason);
  pinPath = newPinPath();
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
});

const withExits = (exitRingBytes = 4 * mebibyte) => new CaptureReader(pinPath, 4 * mebibyte, { exitRingBytes });

const statusOf = ({ capture }: CaptureReader) => {
  if (capture.exit === undefined) throw new Error('exits are not captured');
  return capture.exit.status();
};

/** Process ids of the execs with this token. */
const pidsOf = (reader: CaptureReader, token: string) =>
  reader.events.filter(({ args }) => args?.[1]?.startsWith(`${token}-`)).map(({ exec_id }) => exec_id);

/** Those of the exec ids whose process has not one exit record. */
const unmatched = (ids: readonly string[], exits: RingReader<ExitEvent>) => {
  const times = new Map<string, number>();
  for (const { exec_id } of exits.events) times.set(exec_id, (times.get(exec_id) ?? 0) + 1);
  return ids.filter((id) => times.get(id) !== 1);
};

function holes(events: readonly { readonly seq: number }[], from: number, end: number): number {
  const seen = new Set(events.map(({ seq }) => seq));
  let missing = 0;
  for (let seq = from; seq < end; seq += 1) if (!seen.has(seq)) missing += 1;
  return missing;
}

/** Runs noop and waits for the record of its end. */
async function endOne(exits: RingReader<ExitEvent>) {
  const { pid } = run(tool('noop'), []);
  return exits.find((event) => event.pid === pid, 'the end of noop');
}

test('each exec of a storm has its exit, and nothing is lost', async () => {
  using reader = withExits();
  const exits = reader.exits();
  const token = newToken();
  await storm(token, 1000);
  reader.capture.detach();
  reader.read();
  exits.read();
  const ids = pidsOf(reader, token);
  expect(ids).toHaveLength(1000);
  expect(unmatched(ids, exits)).toEqual([]);
  const { attachId } = reader.status;
  const { entered, nextSeq, fellThrough, ringFull, ringBusy } = statusOf(reader);
  expect({ fellThrough, ringFull, ringBusy }).toEqual({ fellThrough: 0, ringFull: 0, ringBusy: 0 });
  expect(exits.records).toHaveLength(entered);
  expect(nextSeq).toBe(attachId + entered);
  expect(holes(exits.events, attachId, nextSeq)).toBe(0);
});

test('what was read and not committed is there again, byte for byte; what was committed is gone', async () => {
  const first = withExits();
  const exits = first.exits();
  await endOne(exits);
  exits.commit();
  const { acknowledged } = statusOf(first);
  expect(acknowledged).toBe(exits.records.length);
  const before = exits.records.length;
  await endOne(exits);
  const left = exits.records.slice(before);
  first.close();

  using second = withExits();
  expect(statusOf(second)).toMatchObject({ replacedProgram: false, acknowledged, corrupt: 0, unobservedMicros: 0 });
  const again = second.exits();
  again.read();
  expect(again.records.slice(0, left.length)).toEqual(left);
  // The execs have a commit of their own.
  expect(second.status.acknowledged).toBe(0);
});

test('after SIGKILL of the owner the kernel goes on, and the next one has everything', async () => {
  const other = startOther(
    'openCapture(pinPath, 4 << 20, { args: "full", env: false, excluded: { exes: [], uids: [], cgroups: [] }, exitRingBytes: 4 << 20 }); console.log("own"); setInterval(() => {}, 1000)',
    pinPath,
  );
  await other.printed('own');
  other.child.kill('SIGKILL');
  await other.exited;
  const token = newToken();
  await storm(token, 200);
  using reader = withExits();
  const exits = reader.exits();
  reader.read();
  exits.read();
  const ids = pidsOf(reader, token);
  expect(ids).toHaveLength(200);
  expect(unmatched(ids, exits)).toEqual([]);
});

test('in a full ring every exit that found no room is a hole, and is counted; execs lose nothing', async () => {
  using reader = withExits(64 * kibibyte);
  const exits = reader.exits();
  await storm(newToken(), 1000);
  reader.capture.detach();
  exits.read();
  const { attachId, ringFull: execsLost } = reader.status;
  const { nextSeq, entered, fellThrough, ringFull, ringBusy } = statusOf(reader);
  expect(ringFull).toBeGreaterThan(0);
  expect(fellThrough).toBe(0);
  expect(execsLost).toBe(0);
  expect(entered).toBe(nextSeq - attachId);
  expect(exits.records).toHaveLength(entered - ringFull - ringBusy);
  expect(holes(exits.events, attachId, nextSeq)).toBe(ringFull + ringBusy);
});

test('an exit wakes a reader that sleeps', async () => {
  using reader = withExits();
  const exits = reader.exits();
  const { exit } = reader.capture;
  let woken = 0;
  exit?.onWake(() => {
    woken += 1;
  });
  for (let n = 0; n < 20; n += 1) {
    await waitFor(
      () => {
        exits.read();
        return exit?.arm();
      },
      { what: 'there is nothing to read' },
    );
    const before = woken;
    run(tool('noop'), []);
    await waitFor(() => woken > before, { what: `wake-up ${n}`, interval: 1 });
  }
});

test('the end of an epoch is the same cut of both streams, exactly, while processes come and go', async () => {
  using reader = withExits();
  const exits = reader.exits();
  let storming = true;
  const stormed = storm(newToken(), 1000).finally(() => {
    storming = false;
  });
  const cuts = [];
  while (storming) {
    const { epoch, exec, exit } = await reader.capture.advanceEpoch();
    if (exit === undefined || reader.capture.exit === undefined) throw new Error('the cut has no exits');
    cuts.push({ epoch, exec, exit, pending: reader.capture.exit.pending(epoch, exit.producerPosition) });
    await setImmediate();
  }
  await stormed;
  reader.capture.detach();
  reader.read();
  exits.read();
  expect(cuts.length).toBeGreaterThan(3);
  for (const { epoch, exec, exit, pending } of cuts) {
    const ended = exits.events.filter((event) => event.epoch <= epoch);
    expect(ended).toHaveLength(exit.entered - exit.fellThrough - exit.ringFull - exit.ringBusy);
    expect(pending).toBe(ended.length);
    expect(exits.events.filter(({ seq }) => seq < exit.seq).every((event) => event.epoch <= epoch)).toBe(true);
    expect(reader.events.filter((event) => event.epoch <= epoch)).toHaveLength(exec.entered);
  }
});

describe('a capture without exits that goes on with them', () => {
  /** As an earlier version left it, which knew of no exits. */
  const pinWithout = () => new CaptureReader(pinPath).close();

  test('loses no exec; exits are captured from then on, and the time before is not observed', async () => {
    pinWithout();
    expect(existsSync(`${pinPath}/v1/exit_link`)).toBe(false);
    // Slow enough to go on while the exits are begun.
    const { tokens, ended } = startStorm({ count: 1500, rate: 500 });
    using reader = withExits();
    expect(reader.status.resumed).toBe(true);
    await ended;
    const later = newToken();
    await storm(later, 100);
    const exits = reader.exits();
    reader.capture.detach();
    reader.read();
    exits.read();
    const { attachId, nextSeq, ringFull, ringBusy } = reader.status;
    expect({ ringFull, ringBusy }).toEqual({ ringFull: 0, ringBusy: 0 });
    const ofStorm = reader.events.filter(({ args }) => tokens.has(args?.[1] ?? ''));
    expect(ofStorm).toHaveLength(tokens.size);
    expect(holes(reader.events, attachId, nextSeq)).toBe(0);
    expect(unmatched(pidsOf(reader, later), exits)).toEqual([]);
    const status = statusOf(reader);
    expect(status.nextSeq).toBe(attachId + exits.records.length);
    const [firstExit] = exits.events;
    const begun = firstExit?.boot_micros ?? 0;
    expect(ofStorm.filter(({ boot_micros }) => boot_micros < begun).length).toBeGreaterThan(0);
    expect(ofStorm.filter(({ boot_micros }) => boot_micros > begun).length).toBeGreaterThan(0);
    expect(status.unobservedMicros).toBeGreaterThan(0);
    expect(status.unobservedMicros).toBeLessThanOrEqual(begun - attachId);
    expect(reader.status.unobservedMicros).toBe(0);
  });

  test('its exits begin anew where a start was killed before all of them were pinned', async () => {
    pinWithout();
    withExits().close();
    for (const name of ['exit_link', 'exit_dispatcher']) unlinkSync(`${pinPath}/v1/${name}`);
    pokeWord(`${pinPath}/v1/g1/exit_ring_control`, words.ringControl.layoutHash, 0);
    using reader = withExits();
    const exits = reader.exits();
    await endOne(exits);
    exits.read();
    expect(holes(exits.events, reader.status.attachId, statusOf(reader).nextSeq)).toBe(0);
  });
});

describe('what is pinned', () => {
  test('is told, also to who captures no exits, and goes with the rest', () => {
    const without = new CaptureReader(pinPath);
    expect(hasPinnedExits(without.capture)).toBe(false);
    expect(without.capture.exit).toBeUndefined();
    without.close();
    withExits().close();
    expect(
      readdirSync(`${pinPath}/v1`)
        .filter((name) => name.startsWith('exit_'))
        .sort(),
    ).toEqual(['exit_dispatcher', 'exit_handoff', 'exit_link', 'exit_programs', 'exit_stream']);
    expect(readdirSync(`${pinPath}/v1/g1`).sort()).toEqual([
      'exec_bare_ring',
      'exec_bare_ring_control',
      'exec_layout',
      'exec_ring',
      'exec_ring_control',
      'exit_layout',
      'exit_ring',
      'exit_ring_control',
    ]);
    const again = new CaptureReader(pinPath);
    expect(hasPinnedExits(again.capture)).toBe(true);
    again.close();
    detachPinned(pinPath, true);
    expect(existsSync(pinPath)).toBe(false);
  });

  test('records that wait are not thrown away without a word, and are counted with it', async () => {
    const reader = withExits();
    const exits = reader.exits();
    await endOne(exits);
    reader.capture.detach();
    reader.read();
    reader.commit();
    exits.read();
    const waiting = exits.records.length;
    reader.close();
    let refused: unknown;
    try {
      detachPinned(pinPath, false);
    } catch (error) {
      refused = error;
    }
    expect(refused).toMatchObject({ code: 'ERR_BACKLOG', message: expect.stringContaining(`${waiting} records`) });
    expect(detachPinned(pinPath, true)).toMatchObject({
      exec: { discarded: 0 },
      exit: { entered: waiting, acknowledged: 0, discarded: waiting },
    });
  });

  test('detached and kept, it is attached again by the next owner, and the time between is not observed', async () => {
    const first = withExits();
    first.capture.detach();
    first.close();
    using second = withExits();
    await endOne(second.exits());
    expect(statusOf(second).unobservedMicros).toBeGreaterThan(0);
  });

  test('a layout of exits that this version does not know: refused, and left alone', () => {
    withExits().close();
    pokeWord(`${pinPath}/v1/g1/exit_ring_control`, words.ringControl.layoutHash, 1);
    expect(() => withExits()).toThrow(expect.objectContaining({ code: 'ERR_PIN_LAYOUT' }));
    expect(existsSync(`${pinPath}/v1/exit_link`)).toBe(true);
  });

  test('a ring of a size that is none is refused', () => {
    expect(() => withExits(65_537)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
    expect(existsSync(pinPath)).toBe(false);
  });
});
