import { existsSync, linkSync, mkdirSync, readdirSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeAll, beforeEach, describe, expect, type TestContext, test } from 'vitest';
import { detachPinned, openCapture } from '../../src/kernel/addon.ts';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import {
  acknowledging,
  bootId,
  CaptureReader,
  endEverything,
  failureOf,
  newPinPath,
  newToken,
  pokeConsumer,
  pokeWord,
  removeLeftovers,
  removePins,
  run,
  startOther,
  storm,
  tool,
  whyNoCapture,
  words,
} from '../support/capture.ts';
import { waitFor } from '../support/wait-for.ts';

/** The ring as a write-ahead log: what stays, what goes, and who may say so. */

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
  // A test that failed may have left one open, and a process takes a moment to die.
  await waitFor(
    () => {
      removePins(pinPath);
      return true;
    },
    { what: 'the pins are free' },
  );
});

const tokensOf = (events: readonly ExecEvent[], token: string) =>
  events.map((e) => e.args?.[1] ?? '').filter((argument) => argument.startsWith(`${token}-`));

const expectedTokens = (token: string, count: number) =>
  Array.from({ length: count }, (_, n) => `${token}-${n}`).sort();

/** The numbers between the first and the last that none has. */
function holes(events: readonly ExecEvent[], from: number, end: number): number {
  const seen = new Set(events.map((e) => e.seq));
  let missing = 0;
  for (let seq = from; seq < end; seq += 1) if (!seen.has(seq)) missing += 1;
  return missing;
}

/** Runs noop and waits for its record. */
async function captureOne(reader: CaptureReader, token: string) {
  run(tool('noop'), [token]);
  return reader.find((e) => e.args?.[1] === token, token);
}

/** Reads until the reader may sleep, and has said that it does. */
async function sleeping(reader: CaptureReader): Promise<void> {
  await waitFor(
    () => {
      reader.read();
      return reader.capture.exec.arm();
    },
    { what: 'there is nothing to read' },
  );
}

/** Counts from now on. What waited already is not a wake-up, but epoll tells of it once when it begins to watch. */
function countWakeUps(reader: CaptureReader): { times: number } {
  for (;;) {
    const woken = { times: 0 };
    reader.read();
    reader.commit();
    reader.capture.exec.onWake(() => {
      woken.times += 1;
    });
    if (reader.status.waitingBytes === 0) return woken;
  }
}

const failure = (call: () => unknown): { code?: string; message?: string } => {
  try {
    call();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
};

describe('read and commit', () => {
  test('what was read and not committed is there again, byte for byte', async () => {
    const token = newToken();
    const first = new CaptureReader(pinPath);
    for (let n = 0; n < 10; n += 1) await captureOne(first, `${token}-${n}`);
    expect(first.status.resumed).toBe(false);
    first.close();

    using second = new CaptureReader(pinPath);
    expect(second.status).toMatchObject({
      resumed: true,
      replacedProgram: false,
      attachId: first.records[0]?.event.attach_id,
    });
    second.read();
    const again = second.records.slice(0, first.records.length);
    expect(again.map(({ bytes }) => bytes)).toEqual(first.records.map(({ bytes }) => bytes));
    expect(again.map(({ event }) => event)).toEqual(first.events);
    expect(tokensOf(second.events, token)).toEqual(expectedTokens(token, 10));
  });

  test('what was committed is gone, and the total survives', async () => {
    const token = newToken();
    const first = new CaptureReader(pinPath);
    for (let n = 0; n < 5; n += 1) await captureOne(first, `${token}-${n}`);
    first.commit();
    const { acknowledged } = first.status;
    expect(acknowledged).toBe(first.records.length);
    await captureOne(first, `${token}-5`);
    first.close();

    using second = new CaptureReader(pinPath);
    expect(second.status.acknowledged).toBe(acknowledged);
    second.read();
    expect(tokensOf(second.events, token)).toEqual([`${token}-5`]);
    second.commit();
    expect(second.status.acknowledged).toBe(acknowledged + second.records.length);
  });

  test('a commit in the middle of what was read gives back exactly the part before it', async () => {
    const token = newToken();
    const first = new CaptureReader(pinPath);
    for (let n = 0; n < 4; n += 1) await captureOne(first, `${token}-${n}`);
    const middle = first.position;
    const before = first.records.length;
    for (let n = 4; n < 8; n += 1) await captureOne(first, `${token}-${n}`);
    first.capture.exec.commit(middle, acknowledging(before));
    first.close();
    using second = new CaptureReader(pinPath);
    second.read();
    expect(tokensOf(second.events, token)).toEqual([4, 5, 6, 7].map((n) => `${token}-${n}`));
  });

  test('a position that was not read is refused and changes nothing', async () => {
    using reader = new CaptureReader(pinPath);
    const token = newToken();
    await captureOne(reader, `${token}-0`);
    reader.commit();
    await captureOne(reader, `${token}-1`);
    const { acknowledged, waitingBytes } = reader.status;
    for (const position of [reader.position + 8, reader.position + mebibyte, 0]) {
      expect(failure(() => reader.capture.exec.commit(position, acknowledging(1))).message).toMatch(/not read/);
      expect(reader.status.acknowledged).toBe(acknowledged);
      expect(reader.status.waitingBytes).toBeGreaterThanOrEqual(waitingBytes);
    }
    reader.commit();
    expect(reader.status.acknowledged).toBe(reader.records.length);
  });

  test('a read takes no more records than asked for, and none twice', async () => {
    using reader = new CaptureReader(pinPath);
    await storm(newToken(), 10);
    const buffer = Buffer.alloc(64 * kibibyte);
    const positions = [];
    for (let n = 0; n < 5; n += 1) {
      const { records, position } = reader.capture.exec.read(buffer, 2);
      expect(records).toBe(2);
      positions.push(position);
    }
    expect(new Set(positions).size).toBe(5);
    expect(positions).toEqual(positions.toSorted((a, b) => a - b));
  });

  test('a buffer that is too small for the next record is an error, not a loss', async () => {
    using reader = new CaptureReader(pinPath);
    const token = newToken();
    run(tool('noop'), [token]);
    expect(failure(() => reader.capture.exec.read(Buffer.alloc(64), 10)).code).toBe('ERR_ADDON');
    await reader.find((e) => e.args?.[1] === token, token);
  });
});

describe('one owner', () => {
  test('SIGKILL of the owner leaves the programs capturing, and everything readable', async () => {
    const token = newToken();
    const other = startOther(
      'const c = openCapture(pinPath, 4 << 20).exec; c.read(Buffer.alloc(1 << 19), 100); console.log("own"); setInterval(() => c.read(Buffer.alloc(1 << 19), 100), 1)',
      pinPath,
    );
    await other.printed('own');
    const storming = storm(token, 300);
    await waitFor(() => existsSync(`${pinPath}/v1/exec_link`), { what: 'the dispatcher is attached' });
    other.child.kill('SIGKILL');
    await other.exited;
    await storming;
    await storm(`${token}-later`, 50);
    using reader = new CaptureReader(pinPath);
    reader.read();
    expect(reader.status).toMatchObject({ resumed: true, ringFull: 0, ringBusy: 0 });
    expect(
      tokensOf(reader.events, token)
        .filter((t) => !t.includes('later'))
        .sort(),
    ).toEqual(expectedTokens(token, 300));
    expect(tokensOf(reader.events, `${token}-later`).sort()).toEqual(expectedTokens(`${token}-later`, 50));
    const { attachId, nextSeq } = reader.status;
    reader.read();
    expect(holes(reader.events, attachId, nextSeq)).toBe(0);
  });

  test('a second owner is refused and told the pid of the first', async () => {
    using reader = new CaptureReader(pinPath);
    const { code, message, exitCode } = await failureOf('openCapture(pinPath, 1 << 20)', pinPath);
    expect({ code, exitCode }).toEqual({ code: 'ERR_OWNED', exitCode: 3 });
    expect(message).toContain(`process ${process.pid} owns them`);
    expect((await failureOf('detachPinned(pinPath, true)', pinPath)).code).toBe('ERR_OWNED');
    expect(failure(() => openCapture(pinPath, mebibyte)).code).toBe('ERR_OWNED');
    await captureOne(reader, newToken());
  });

  test('close gives the ownership up; twice is once; afterwards every call is an error', () => {
    const capture = openCapture(pinPath, mebibyte);
    capture.exec.onWake(() => {});
    capture.close();
    capture.close();
    const calls: (() => unknown)[] = [
      () => capture.exec.read(Buffer.alloc(1024), 1),
      () => capture.exec.bare.read(Buffer.alloc(1024), 1),
      () => capture.exec.commit(0, acknowledging(0)),
      () => capture.exec.arm(),
      () => capture.exec.onWake(() => {}),
      () => capture.exec.status(),
      () => capture.exec.layout(),
      () => capture.status(),
      () => capture.clockOffsets(),
      () => capture.syncClock(),
      () => capture.detach(),
      () => capture.unpin(),
    ];
    for (const call of calls)
      expect(failure(call)).toMatchObject({ code: 'ERR_ADDON', message: expect.stringMatching(/closed/) });
    capture.close();
    openCapture(pinPath, mebibyte).close();
  });

  test('a worker thread that is terminated with an open capture lets go of it', { timeout: 60_000 }, async () => {
    // In a process of its own: a crash is that process' end.
    const addon = new URL('../../src/kernel/addon.ts', import.meta.url).href;
    const inWorker = `
      import(${JSON.stringify(addon)}).then(({ openCapture }) => {
        const capture = openCapture(${JSON.stringify(pinPath)}, 1 << 20);
        const buffer = Buffer.alloc(1 << 19);
        capture.exec.onWake(() => { capture.exec.read(buffer, 500); capture.exec.arm(); });
        capture.exec.arm();
        setInterval(() => { capture.exec.read(buffer, 500); capture.exec.arm(); }, 1);
        process.getBuiltinModule('node:worker_threads').parentPort.postMessage('open');
      });`;
    const other = startOther(
      `const { Worker } = await import('node:worker_threads');
       for (let n = 0; n < 15; n += 1) {
         const worker = new Worker(${JSON.stringify(inWorker)}, { eval: true, execArgv: [] });
         await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
         await worker.terminate();
       }
       openCapture(pinPath, 1 << 20).close();
       console.log('all released');`,
      pinPath,
    );
    // Wake-ups must be under way while the worker ends.
    let going = true;
    const storms = (async () => {
      while (going) await storm(newToken(), 50);
    })();
    const stuck = setTimeout(() => other.child.kill('SIGKILL'), 30_000);
    const [code, signal] = await other.exited;
    clearTimeout(stuck);
    going = false;
    await storms;
    expect({ code, signal, stdout: other.stdout, stderr: other.stderr }).toMatchObject({
      code: 0,
      signal: null,
      stdout: 'all released\n',
    });
  });

  test('a worker thread of this process is another owner', async () => {
    using _reader = new CaptureReader(pinPath);
    const addon = new URL('../../src/kernel/addon.ts', import.meta.url).href;
    const worker = new Worker(
      `import(${JSON.stringify(addon)}).then(({ openCapture }) => {
        try { openCapture(${JSON.stringify(pinPath)}, 1 << 20) } catch (error) {
          process.getBuiltinModule('node:worker_threads').parentPort.postMessage(error.code);
        }
      });`,
      { eval: true, execArgv: [] },
    );
    expect(await new Promise((resolve) => worker.once('message', resolve).once('error', resolve))).toBe('ERR_OWNED');
    await worker.terminate();
  });
});

describe('rights', () => {
  test('the whole life of a capture takes four capabilities, and not CAP_SYS_ADMIN', async () => {
    // One that was pinned before, so that it is taken over as well.
    openCapture(pinPath, mebibyte).close();
    const four = 'bpf,+perfmon,+net_admin,+sys_ptrace';
    const life = startOther(
      `const capture = openCapture(pinPath, 1 << 20);
       await capture.advanceEpoch();
       capture.detach();
       capture.close();
       detachPinned(pinPath, true);
       console.log('done')`,
      pinPath,
      ['setpriv', `--bounding-set=-all,+${four}`, `--inh-caps=-all,+${four}`, process.execPath],
    );
    await life.exited;
    expect(life.stdout + life.stderr).toBe('done\n');
    expect(existsSync(pinPath)).toBe(false);
  });
});

describe('detach', () => {
  test('nothing pinned is nothing to do', () => {
    expect(detachPinned(pinPath, false)).toBeUndefined();
    expect(existsSync(pinPath)).toBe(false);
  });

  test('records that wait are not thrown away without a word', async () => {
    const token = newToken();
    new CaptureReader(pinPath).close();
    await storm(token, 10);
    const refused = failure(() => detachPinned(pinPath, false));
    expect(refused.code).toBe('ERR_BACKLOG');
    expect(Number(/(\d+) records/.exec(refused.message ?? '')?.[1])).toBeGreaterThanOrEqual(10);

    await storm(`${token}-after`, 5);
    using reader = new CaptureReader(pinPath);
    reader.read();
    expect(tokensOf(reader.events, token)).toHaveLength(15);
  });

  test('discard says how many, beside the totals of the account', async () => {
    const reader = new CaptureReader(pinPath);
    await storm(newToken(), 10);
    reader.read();
    reader.commit();
    const acknowledged = reader.records.length;
    await storm(newToken(), 20);
    const { attachId } = reader.status;
    // From here on nobody is captured: what is read is what is discarded.
    reader.capture.detach();
    reader.read();
    const entered = reader.records.length;
    expect(reader.status.nextSeq).toBe(attachId + entered);
    reader.close();
    expect(entered - acknowledged).toBeGreaterThanOrEqual(20);
    const lost = { fellThrough: 0, ringFull: 0, ringBusy: 0, undecodable: 0 };
    expect(detachPinned(pinPath, true)).toMatchObject({
      attachId,
      exec: { entered, acknowledged, discarded: entered - acknowledged, ...lost },
    });
    expect(existsSync(pinPath)).toBe(false);
  });

  test('after the end of capturing everything is still readable, and nothing more comes', async () => {
    using reader = new CaptureReader(pinPath);
    const token = newToken();
    await storm(token, 20);
    reader.capture.detach();
    const { entered } = reader.status;
    run(tool('noop'), [`${token}-after`]);
    reader.read();
    expect(tokensOf(reader.events, token).sort()).toEqual(expectedTokens(token, 20));
    expect(reader.status.entered).toBe(entered);
    expect(reader.records).toHaveLength(entered);
    reader.capture.unpin();
    expect(existsSync(pinPath)).toBe(false);
  });

  test('a capture that was detached and kept is attached again by the next owner', async () => {
    const token = newToken();
    const first = new CaptureReader(pinPath);
    await captureOne(first, `${token}-0`);
    first.capture.detach();
    first.close();
    using second = new CaptureReader(pinPath);
    expect(second.status.resumed).toBe(true);
    await captureOne(second, `${token}-1`);
    expect(tokensOf(second.events, token)).toEqual([`${token}-0`, `${token}-1`]);
  });

  test('a dispatcher that the kernel keeps attached captures nothing after the end, and nothing twice later', async () => {
    const token = newToken();
    const heldLink = join(dirname(pinPath), `${basename(pinPath)}-held`);
    const first = new CaptureReader(pinPath);
    linkSync(join(pinPath, 'v1/exec_link'), heldLink);
    try {
      first.capture.detach();
      const { entered } = first.status;
      run(tool('noop'), [`${token}-between`]);
      first.read();
      expect(first.status.entered).toBe(entered);
      first.close();

      using second = new CaptureReader(pinPath);
      await captureOne(second, `${token}-again`);
      second.read();
      expect(tokensOf(second.events, token)).toEqual([`${token}-again`]);
    } finally {
      unlinkSync(heldLink);
    }
  });

  test('attached again in the same boot, no (boot_id, seq) comes twice', async () => {
    const seen = new Set<string>();
    let records = 0;
    for (let round = 0; round < 3; round += 1) {
      const reader = new CaptureReader(pinPath);
      await storm(newToken(), 50);
      reader.capture.detach();
      reader.read();
      records += reader.records.length;
      for (const { seq } of reader.events) seen.add(`${bootId}:${seq}`);
      reader.capture.unpin();
      reader.close();
    }
    expect(records).toBeGreaterThanOrEqual(150);
    expect(seen.size).toBe(records);
  });
});

describe('a full ring', () => {
  test('every record that found no room is a hole, and is counted', { timeout: 60_000 }, async () => {
    using reader = new CaptureReader(pinPath, 64 * kibibyte);
    const token = newToken();
    const spawned = 1000;
    await storm(token, spawned);
    reader.capture.detach();
    const { attachId, nextSeq, entered, fellThrough, ringFull, ringBusy } = reader.status;
    reader.read();
    expect(ringFull).toBeGreaterThan(0);
    expect(fellThrough).toBe(0);
    expect(entered).toBe(nextSeq - attachId);
    // Others on the host may exec too.
    expect(entered).toBeGreaterThanOrEqual(spawned);
    expect(reader.records).toHaveLength(entered - ringFull - ringBusy);
    expect(holes(reader.events, attachId, nextSeq)).toBe(ringFull + ringBusy);
  });

  test('room that was given back is used again', async () => {
    // Large enough for what others on the host exec meanwhile, and written round three times by ours.
    const ringBytes = 256 * kibibyte;
    using reader = new CaptureReader(pinPath, ringBytes);
    for (let round = 0; round < 30; round += 1) {
      await storm(newToken(), 100);
      reader.read();
      reader.commit();
    }
    reader.capture.detach();
    reader.read();
    const { attachId, nextSeq, ringFull, ringBusy, entered } = reader.status;
    expect(ringFull + ringBusy).toBe(0);
    expect(entered).toBeGreaterThanOrEqual(3000);
    expect(reader.position).toBeGreaterThan(3 * ringBytes);
    expect(holes(reader.events, attachId, nextSeq)).toBe(0);
  });

  test('the last byte: a record that fits but for the byte that stays free is full, not busy', {
    timeout: 60_000,
  }, async () => {
    // The kernel lets the producer be at most ring size - 1 ahead (kernel/bpf/ringbuf.c, __bpf_ringbuf_reserve).
    using reader = new CaptureReader(pinPath, 64 * kibibyte);
    const header = 8;
    const noop = tool('noop');
    // The ring of bare records stays full: what finds no room in the other one is lost.
    while (reader.status.ringFull === 0) await storm(newToken(), 100);
    const commitWhole = () => {
      reader.read();
      reader.capture.exec.commit(reader.position, acknowledging(0));
    };
    for (let attempt = 0; ; attempt += 1) {
      if (attempt === 50) throw new Error('other execs came between, 50 times');
      commitWhole();
      const token = newToken();
      const { bytes } = await captureOne(reader, token);
      // What a record takes beside its second argument.
      const fixed = bytes.length - token.length;
      commitWhole();
      const before = reader.status;
      const room = before.ringBytes - before.waitingBytes;
      // Two records that together take all the room: each a multiple of 8.
      const first = 32 * kibibyte;
      run(noop, ['x'.repeat(first - header - fixed)]);
      run(noop, ['x'.repeat(room - first - header - fixed)]);
      const after = reader.status;
      if (after.entered - before.entered !== 2) continue;
      expect({ full: after.ringFull - before.ringFull, busy: after.ringBusy - before.ringBusy }).toEqual({
        full: 1,
        busy: 0,
      });
      return;
    }
  });
});

describe('the end of an epoch', () => {
  test('what was counted through it is what was recorded through it, exactly, while execs go on', async () => {
    using reader = new CaptureReader(pinPath);
    const { attachId } = reader.status;
    let storming = true;
    const stormed = storm(newToken(), 1500).finally(() => {
      storming = false;
    });
    const cuts = [];
    while (storming) {
      const cut = await reader.capture.advanceEpoch();
      // In one turn with the cut, as nothing is committed in between.
      const { exec, ...rest } = cut;
      cuts.push({ ...rest, ...exec, pending: reader.capture.exec.pending(cut.epoch, exec.producerPosition) });
      await setImmediate();
    }
    await stormed;
    reader.capture.detach();
    reader.read();

    expect(cuts.length).toBeGreaterThan(3);
    expect(cuts.map(({ epoch }) => epoch)).toEqual(cuts.map((_, n) => attachId + n));
    for (const [n, { epoch, entered, fellThrough, ringFull, ringBusy, seq, pending, ...cut }] of cuts.entries()) {
      const through = reader.events.filter((e) => e.epoch <= epoch);
      expect(through).toHaveLength(entered - fellThrough - ringFull - ringBusy);
      expect(pending).toBe(through.length);
      expect(reader.events.filter((e) => e.seq < seq).every((e) => e.epoch <= epoch)).toBe(true);
      expect(cut.beginBootMicros).toBeLessThan(cut.endBootMicros);
      expect(cut.beginBootMicros).toBe(cuts[n - 1]?.endBootMicros ?? cut.beginBootMicros);
    }
    expect(new Set(reader.events.map((e) => e.epoch)).size).toBeGreaterThan(3);
  });

  test('what is committed is pending no more', async () => {
    using reader = new CaptureReader(pinPath);
    const token = newToken();
    for (let n = 0; n < 3; n += 1) await captureOne(reader, `${token}-${n}`);
    const cut = await reader.capture.advanceEpoch();
    reader.read();
    const through = reader.events.filter((e) => e.epoch <= cut.epoch).length;
    expect(reader.capture.exec.pending(cut.epoch, cut.exec.producerPosition)).toBe(through);
    expect(through).toBeGreaterThanOrEqual(3);
    await captureOne(reader, `${token}-later`);
    expect(reader.capture.exec.pending(cut.epoch, cut.exec.producerPosition)).toBe(through);
    reader.commit();
    expect(reader.capture.exec.pending(cut.epoch, cut.exec.producerPosition)).toBe(0);
  });

  test('a capture that is closed meanwhile is let go of afterwards', async () => {
    const capture = openCapture(pinPath, mebibyte);
    const { epoch } = capture.status();
    const advancing = capture.advanceEpoch();
    capture.close();
    expect((await advancing).epoch).toBe(epoch);
    const again = await waitFor(() => openCapture(pinPath, mebibyte), { what: 'the ownership is free' });
    expect(again.status().epoch).toBe(epoch + 1);
    again.close();
  });
});

describe('the wake-up', () => {
  test('each of 100 execs wakes a reader that sleeps', { timeout: 60_000 }, async () => {
    using reader = new CaptureReader(pinPath);
    const woken = countWakeUps(reader);
    for (let n = 0; n < 100; n += 1) {
      // Nothing is committed: a consumer position that lags must not matter.
      await sleeping(reader);
      const before = woken.times;
      const token = newToken();
      run(tool('noop'), [token]);
      await waitFor(() => woken.times > before, { what: `wake-up ${n}`, interval: 1 });
      await reader.find((e) => e.args?.[1] === token, token);
    }
    // One for each arming: others' execs may take some of them, but none comes without one.
    expect(woken.times).toBe(100);
  });

  test('a reader that is not armed is left alone', async () => {
    using reader = new CaptureReader(pinPath);
    const woken = countWakeUps(reader);
    await storm(newToken(), 100);
    // An armed exec behind them: had one of the hundred woken us, it would have done so before this one does.
    reader.read();
    await sleeping(reader);
    const before = woken.times;
    run(tool('noop'), []);
    await waitFor(() => woken.times > before, { what: 'the wake-up', interval: 1 });
    expect(woken.times).toBe(1);
  });

  test('arm is refused while there is something to read', async () => {
    using reader = new CaptureReader(pinPath);
    run(tool('noop'), []);
    expect(reader.capture.exec.arm()).toBe(false);
    expect(reader.capture.exec.arm()).toBe(false);
    reader.read();
    await sleeping(reader);
  });
});

describe('states that no correct reader leaves', () => {
  const forged: Record<string, (position: { consumer: number; record: number; producer: number }) => number> = {
    unaligned: ({ record }) => record + 3,
    'past the producer': ({ producer }) => producer + 4096,
    'far past the producer': ({ producer }) => producer + 16 * mebibyte,
    'in the middle of a record': ({ record }) => record + 16,
    'where a record begins that was never committed': ({ record }) => record,
    'more than the ring behind': () => 8,
  };

  test.for(Object.entries(forged))(
    'a consumer position %s: a counted loss, then capture goes on',
    { timeout: 60_000 },
    async ([name, forge]) => {
      const first = new CaptureReader(pinPath, 64 * kibibyte);
      const token = newToken();
      if (name.startsWith('more than')) {
        for (let round = 0; round < 4; round += 1) {
          await storm(newToken(), 100);
          first.read();
          first.commit();
        }
      }
      await captureOne(first, `${token}-0`);
      first.commit();
      const consumer = first.position;
      await captureOne(first, `${token}-1`);
      const record = first.position;
      for (let n = 2; n < 6; n += 1) await captureOne(first, `${token}-${n}`);
      const { acknowledged } = first.status;
      const producer = consumer + first.status.waitingBytes;
      first.close();
      pokeConsumer(pinPath, forge({ consumer, record, producer }));

      {
        using second = new CaptureReader(pinPath);
        expect(second.status).toMatchObject({ resumed: true, corrupt: 1, acknowledged });
        // Nothing that was skipped is left as a backlog.
        expect(second.status.waitingBytes).toBeLessThan(64 * kibibyte);
        await storm(`${token}-new`, 20);
        await waitFor(
          () => {
            second.read();
            return tokensOf(second.events, `${token}-new`).length === 20;
          },
          { what: 'new execs are captured' },
        );
        second.commit();
      }
      // It is counted once, also for the next owner.
      using third = new CaptureReader(pinPath);
      expect(third.status.corrupt).toBe(1);
      await captureOne(third, `${token}-third`);
      expect(tokensOf(third.events, `${token}-new`)).toEqual([]);
    },
  );

  test.for([0, 1])(
    'a commit slot that was written before a crash, without its position, does not count (%i)',
    async (commits) => {
      const token = newToken();
      const first = new CaptureReader(pinPath);
      for (let n = 0; n <= commits; n += 1) {
        await captureOne(first, `${token}-${n}`);
        first.commit();
      }
      const { acknowledged } = first.status;
      await captureOne(first, `${token}-uncommitted`);
      const next = first.position;
      first.close();
      // The first commit went to slot 1, the next one to slot 0: the idle one is the other.
      const idle = words.ringControl.commits[commits === 0 ? 0 : 1] as number;
      pokeWord(`${pinPath}/v1/g1/exec_ring_control`, idle, next);
      pokeWord(`${pinPath}/v1/g1/exec_ring_control`, idle + 8, 1_000_000);

      using second = new CaptureReader(pinPath);
      expect(second.status).toMatchObject({ acknowledged, corrupt: 0 });
      second.read();
      expect(tokensOf(second.events, token)).toEqual([`${token}-uncommitted`]);
      second.commit();
      expect(second.status.acknowledged).toBe(acknowledged + second.records.length);
    },
  );

  test('the program of another version is replaced in the middle of a storm without a hole or a double', {
    timeout: 60_000,
  }, async () => {
    const token = newToken();
    const count = 3000;
    const readers: CaptureReader[] = [];
    const first = new CaptureReader(pinPath, 8 * mebibyte);
    first.close();
    pokeWord(`${pinPath}/v1/g1/exec_ring_control`, words.ringControl.programHash, 1);

    let storming = true;
    const stormed = storm(token, count).finally(() => {
      storming = false;
    });
    let replaced = 0;
    while (storming) {
      const reader = new CaptureReader(pinPath);
      if (reader.status.replacedProgram) replaced += 1;
      readers.push(reader);
      reader.read();
      reader.commit();
      reader.close();
      pokeWord(`${pinPath}/v1/g1/exec_ring_control`, words.ringControl.programHash, 1);
      await setImmediate();
    }
    await stormed;
    const last = new CaptureReader(pinPath);
    last.capture.detach();
    last.read();
    readers.push(last);
    const events = readers.flatMap((reader) => reader.events);
    const { attachId, nextSeq, entered, fellThrough, ringFull, ringBusy } = last.status;
    last.close();

    expect(replaced).toBeGreaterThan(1);
    expect({ fellThrough, ringFull, ringBusy }).toEqual({ fellThrough: 0, ringFull: 0, ringBusy: 0 });
    expect(events).toHaveLength(entered);
    expect(new Set(events.map((e) => e.seq)).size).toBe(entered);
    expect(holes(events, attachId, nextSeq)).toBe(0);
    expect(tokensOf(events, token).sort()).toEqual(expectedTokens(token, count));
  });

  test('a layout that this version does not know: refused, and left alone', async () => {
    const token = newToken();
    const first = new CaptureReader(pinPath);
    const { layoutHash } = words.ringControl;
    await captureOne(first, `${token}-0`);
    first.close();
    const control = `${pinPath}/v1/g1/exec_ring_control`;
    pokeWord(control, layoutHash, 1);
    expect(failure(() => openCapture(pinPath, mebibyte)).code).toBe('ERR_PIN_LAYOUT');
    expect(failure(() => openCapture(pinPath, mebibyte)).code).toBe('ERR_PIN_LAYOUT');
    expect(readdirSync(`${pinPath}/v1`).sort()).toEqual([
      'exec_dispatcher',
      'exec_fork_link',
      'exec_handoff',
      'exec_link',
      'exec_marks',
      'exec_programs',
      'exec_rules',
      'exec_stream',
      'g1',
      'host',
    ]);
    // It still captures for the version that knows it.
    run(tool('noop'), [`${token}-1`]);
    const refused = failure(() => detachPinned(pinPath, false));
    expect(refused.code).toBe('ERR_BACKLOG');
    expect(Number(/(\d+) records/.exec(refused.message ?? '')?.[1])).toBeGreaterThanOrEqual(2);
  });

  test('the pins of a start that was killed before its end are begun anew', async () => {
    const first = new CaptureReader(pinPath);
    const { attachId } = first.status;
    first.close();
    pokeWord(`${pinPath}/v1/host`, words.host.complete, 0);
    using second = new CaptureReader(pinPath);
    expect(second.status).toMatchObject({ resumed: false, acknowledged: 0 });
    expect(second.status.attachId).toBeGreaterThan(attachId);
    await captureOne(second, newToken());
    // The dispatcher of the first is gone: each exec comes once.
    const { attachId: from, nextSeq } = second.status;
    second.read();
    expect(second.records.length).toBe(new Set(second.events.map((e) => e.exec_id)).size);
    expect(holes(second.events, from, nextSeq)).toBe(0);
  });

  test('pins of another version beside ours: refused, and left alone', () => {
    mkdirSync(`${pinPath}/v9`, { recursive: true });
    expect(failure(() => openCapture(pinPath, mebibyte))).toMatchObject({
      code: 'ERR_PIN_LAYOUT',
      message: expect.stringContaining('v9'),
    });
    expect(failure(() => detachPinned(pinPath, true)).code).toBe('ERR_PIN_LAYOUT');
    expect(readdirSync(pinPath)).toEqual(['v9']);
  });
});

describe('what is asked for', () => {
  test.for([0, 1, 65_535, 65_537, 32 * kibibyte, 2 ** 32, Number.NaN, -65_536])(
    'a ring of %d bytes is refused',
    (bytes) => {
      expect(failure(() => openCapture(pinPath, bytes)).code).toBe('ERR_CONFIG');
      expect(existsSync(pinPath)).toBe(false);
    },
  );

  test('the longest record fits the smallest ring', async () => {
    using reader = new CaptureReader(pinPath, 64 * kibibyte);
    reader.read();
    reader.commit();
    const { pid } = run(tool('exec_with'), [tool('noop'), '--long', '100000']);
    const { event } = await reader.find((e) => e.pid === pid && e.args_bytes === 100_001, 'the longest record');
    expect(event.args_captured_bytes).toBe(32 * kibibyte);
  });

  test('an existing ring keeps its size', () => {
    openCapture(pinPath, 128 * kibibyte).close();
    using reader = new CaptureReader(pinPath, mebibyte);
    expect(reader.status.ringBytes).toBe(128 * kibibyte);
  });
});
