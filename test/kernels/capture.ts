import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  CaptureReader,
  copyProgram,
  endEverything,
  newPinPath,
  newToken,
  pokeWord,
  removePins,
  run,
  storm,
  tool,
  words,
} from '../support/capture.ts';
import { goOnWithoutRights } from '../support/unprivileged.ts';
import { patience, waitFor } from '../support/wait-for.ts';

/**
 * What the ring, its counters and its pins owe to the kernel; test/bpf has the same at length. A kernel that preempts
 * inside tracing programs skips an exec on a CPU whose program has not ended (7.3: one of 300, sometimes): it is counted.
 */

const kibibyte = 1024;

let pinPath: string;

beforeEach(() => {
  pinPath = newPinPath();
});

afterEach(() => {
  endEverything();
  removePins(pinPath);
});

/** Runs a storm; ends the rounds of `during` when it does. */
async function whileStorming(token: string, count: number, during: () => Promise<void>): Promise<void> {
  let storming = true;
  const stormed = storm(token, count).finally(() => {
    storming = false;
  });
  while (storming) {
    await during();
    await setImmediate();
  }
  await stormed;
}

const seqsOf = (readers: readonly CaptureReader[]) =>
  readers.flatMap(({ events }) => events.map(({ seq }) => seq)).sort((a, b) => a - b);

test('what was committed is gone, what was not is there for the next owner, and detached, nothing stays', async () => {
  const token = newToken();
  const first = new CaptureReader(pinPath);
  run(tool('noop'), [`${token}-0`]);
  await first.find((e) => e.args?.[1] === `${token}-0`, 'the first');
  first.commit();
  first.close();
  run(tool('noop'), [`${token}-1`]);

  using second = new CaptureReader(pinPath);
  expect(second.status).toMatchObject({ resumed: true, acknowledged: first.records.length, corrupt: 0 });
  await second.find((e) => e.args?.[1] === `${token}-1`, 'the second');
  expect(second.events.some((e) => e.args?.[1] === `${token}-0`)).toBe(false);
  second.capture.detach();
  second.capture.unpin();
  expect(existsSync(pinPath)).toBe(false);
});

test('each of 10 execs wakes a reader that sleeps', async () => {
  using reader = new CaptureReader(pinPath);
  let woken = 0;
  reader.capture.exec.onWake(() => {
    woken += 1;
  });
  for (let n = 0; n < 10; n += 1) {
    await waitFor(
      () => {
        reader.read();
        return reader.capture.exec.arm();
      },
      { what: 'there is nothing to read' },
    );
    const before = woken;
    run(tool('noop'), []);
    await waitFor(() => woken > before, { what: `wake-up ${n}`, interval: 1 });
  }
});

test('every record that found no room is bare, or is a hole and is counted', async () => {
  using reader = new CaptureReader(pinPath, 64 * kibibyte);
  const spawned = 250;
  await storm(newToken(), spawned);
  const { skipped } = (await reader.capture.advanceEpoch()).exec;
  reader.capture.detach();
  reader.read();
  const { attachId, nextSeq, entered, fellThrough, ringFull, ringBusy, bare } = reader.status;
  expect(ringFull).toBeGreaterThan(0);
  expect(bare).toBeGreaterThan(0);
  expect(reader.records.filter((record) => record.bare)).toHaveLength(bare);
  expect(fellThrough).toBe(0);
  expect(entered).toBe(nextSeq - attachId);
  expect(entered + skipped).toBeGreaterThanOrEqual(spawned);
  expect(reader.records).toHaveLength(entered - ringFull - ringBusy);
});

test('what was counted through the end of an epoch is what was recorded through it, while execs go on', async () => {
  using reader = new CaptureReader(pinPath);
  const cuts: { epoch: number; entered: number; lost: number; pending: number }[] = [];
  await whileStorming(newToken(), 100, async () => {
    const { epoch, exec } = await reader.capture.advanceEpoch();
    const { entered, fellThrough, ringFull, ringBusy } = exec;
    cuts.push({ epoch, entered, lost: fellThrough + ringFull + ringBusy, pending: reader.pending(epoch, exec) });
  });
  reader.capture.detach();
  reader.read();
  expect(cuts.length).toBeGreaterThan(2);
  for (const { epoch, entered, lost, pending } of cuts) {
    const through = reader.events.filter((e) => e.epoch <= epoch).length;
    expect({ recorded: through, pending }).toEqual({ recorded: entered - lost, pending: through });
  }
});

test('the program is replaced in the middle of a storm without a hole or a double', async () => {
  const token = newToken();
  const count = 100;
  const readers: CaptureReader[] = [];
  const next = () => {
    const reader = new CaptureReader(pinPath);
    readers.push(reader);
    reader.read();
    reader.commit();
    return reader;
  };
  const closeAsAnother = (reader: CaptureReader) => {
    reader.close();
    pokeWord(`${pinPath}/v1/g1/exec_ring_control`, words.ringControl.programHash, 1);
  };
  closeAsAnother(next());
  let replaced = 0;
  await whileStorming(token, count, async () => {
    const reader = next();
    if (reader.status.replacedProgram) replaced += 1;
    closeAsAnother(reader);
  });
  const last = next();
  const { skipped } = (await last.capture.advanceEpoch()).exec;
  last.capture.detach();
  last.read();
  const { attachId, entered, fellThrough, ringFull, ringBusy } = last.status;
  expect(replaced).toBeGreaterThan(0);
  expect({ fellThrough, ringFull, ringBusy }).toEqual({ fellThrough: 0, ringFull: 0, ringBusy: 0 });
  expect(seqsOf(readers)).toEqual(Array.from({ length: entered }, (_, n) => attachId + n));
  expect(entered + skipped).toBeGreaterThanOrEqual(count);
});

test('what an excluded exec leaves behind is kept out at its exit: the process, and those it forked', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-'));
  try {
    const shell = copyProgram(realpathSync('/bin/sh'), join(directory, 'sh'));
    using reader = new CaptureReader(pinPath, undefined, {
      excluded: { exes: [shell] },
      exitRingBytes: 1024 * kibibyte,
    });
    run(shell, ['-c', '(:); ( (:); : ); exit 0']);
    const { exec, exit } = await reader.capture.advanceEpoch();
    if (exit === undefined) throw new Error('exits are not captured');
    const kept = exit.filtered[`exclude_exe:${shell}`] ?? 0;
    expect(exec.filtered).toEqual({ [`exclude_exe:${shell}`]: 1 });
    expect(kept).toBeLessThanOrEqual(4);
    expect(kept + exit.skipped).toBeGreaterThanOrEqual(4);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('an exec that fails is recorded on request, with what it was given', async () => {
  using reader = new CaptureReader(pinPath, undefined, { failed: true });
  const { pid, status } = spawnSync(tool('exec_with'), ['/absent/program', Buffer.from('zero').toString('hex')]);
  expect(status).toBe(1);
  const { event } = await reader.find((e) => e.pid === pid && e.exec_result !== 0, 'the failure');
  expect(event).toMatchObject({
    exec_result: -constants.errno.ENOENT,
    filename: '/absent/program',
    args: ['zero'],
    comm: 'exec_with',
    exe: null,
    degraded: [],
  });
});

test('what nobody reads stops, and goes on with the next heartbeat', async () => {
  // Long enough for an exec behind the heartbeat, on a machine that is emulated and waits for its turn too.
  using reader = new CaptureReader(pinPath, undefined, { orphanAfterMillis: 600 * patience });
  const { exec } = reader.capture;
  await waitFor(
    () => {
      const before = exec.status().entered;
      run(tool('noop'), []);
      return exec.status().entered === before;
    },
    // Each look is an exec, which an emulated machine takes long for.
    { what: 'the programs have stopped', interval: 200 * patience },
  );
  const { attachId, nextSeq, entered } = reader.status;
  expect(nextSeq - attachId).toBe(entered);
  reader.capture.heartbeat();
  expect(exec.status().unobservedMicros).toBeGreaterThan(0);
  const token = newToken();
  run(tool('noop'), [token]);
  await reader.find((e) => e.args?.[1] === token, 'an exec behind the heartbeat');
});

test('a user without any capability goes on with what was attached', () => {
  expect(goOnWithoutRights(pinPath)).toEqual({ capEff: '0000000000000000', resumed: true, epochs: 1, records: true });
});
