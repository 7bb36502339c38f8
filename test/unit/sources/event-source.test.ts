import { describe, expect, test } from 'vitest';
import type { Acknowledgement } from '../../../src/batch.ts';
import type { Committed, ReadResult, SpoolTotals, StreamStatus } from '../../../src/kernel/event-ring.ts';
import { EventSource, type EventSourceOptions, quickPace } from '../../../src/sources/event-source.ts';
import { type RecordReader, viewOf } from '../../../src/sources/kernel-record.ts';
import { FakeClock, settle } from '../producers/fakes.ts';

type Ring = EventSourceOptions['ring'];

/** A ring of numbers: a record is its sequence number and its epoch; one of an odd length is undecodable. */
class FakeRing implements Ring {
  readonly ring: { seq: number; epoch: number; sound: boolean }[] = [];
  /** A record whose writer has not come to its end: nothing behind it can be read, and arming is refused. */
  busy = false;
  /** What each read says to have used of the buffer, at least. */
  usedBytes = 0;
  cursor = 0;
  reads = 0;
  arms = 0;
  armed = false;
  readonly commits: { position: number; committed: Committed }[] = [];
  #wake: () => void = () => {};

  add(count: number, { epoch = 1, sound = true } = {}): void {
    for (let n = 0; n < count; n += 1) this.ring.push({ seq: this.ring.length, epoch, sound });
    if (!this.armed || count === 0) return;
    this.armed = false;
    this.#wake();
  }

  /** The newest epoch that a record can have latched. */
  epoch = 1_000;

  status(): StreamStatus {
    return { consumerPosition: 0, spoolMissing: this.spooled.missing } as StreamStatus;
  }

  read(into: Buffer, maxRecords: number): ReadResult {
    // An endless loop that waits for nothing would hang the test: make it fail.
    if (++this.reads > 10_000) throw new Error('it reads without a pause');
    let records = 0;
    let bytes = 0;
    while (this.cursor < this.ring.length && records < maxRecords) {
      const { seq, epoch, sound } = this.ring[this.cursor] as FakeRing['ring'][number];
      const length = sound ? 16 : 9;
      into.writeUInt32LE(length, bytes);
      into.writeUInt32LE(seq, bytes + 8);
      into.writeUInt32LE(epoch, bytes + 12);
      bytes += 24;
      records += 1;
      this.cursor += 1;
    }
    return { records, bytes: Math.max(bytes, this.usedBytes), position: this.cursor * 100 };
  }

  commit(position: number, committed: Committed): void {
    this.commits.push({ position, committed });
  }

  spooled: SpoolTotals = { spoolId: 0, acknowledged: 0, evicted: 0, missing: 0, firstOffset: -1, lastOffset: -1 };

  noteSpool(totals: SpoolTotals): void {
    this.spooled = totals;
  }

  arm(): boolean {
    this.arms += 1;
    this.armed = !this.busy && this.cursor === this.ring.length;
    return this.armed;
  }

  onWake(callback: () => void): void {
    this.#wake = callback;
  }
}

const reader: RecordReader = {
  recordAt: (buffer, at, bytes) =>
    bytes % 2 === 1
      ? undefined
      : { buffer, view: viewOf(buffer), at, epoch: buffer.readUInt32LE(at + 4), bootMicros: 0, bare: false },
  epochOf: (buffer, at) => buffer.readUInt32LE(at + 4),
};

const acknowledgement = (firstOffset: number, records: number): Acknowledgement => ({
  topic: 'exec-events',
  partition: 0,
  firstOffset,
  lastOffset: firstOffset + records - 1,
  records,
});

/** Wall time that is set, while time goes on. */
class SteppedClock extends FakeClock {
  step = 0;

  override nowMillis(): number {
    return this.now + this.step;
  }
}

function setUp(offsets?: { firstOffset: number; lastOffset: number }, pace = quickPace) {
  const capture = new FakeRing();
  const clock = new SteppedClock();
  const errors: unknown[] = [];
  const log = { debug() {}, info() {}, warn() {}, error: (fields: unknown) => void errors.push(fields) };
  const source = new EventSource({
    ring: capture as Ring,
    presentEpoch: () => capture.epoch,
    reader,
    pace,
    clock,
    log: log as never,
    offsets,
  });
  return { capture, clock, source, errors };
}

/** Takes batches as the pipeline does; what happened is in `batches`. */
function consume(source: EventSource, options: { deliver?: () => Promise<void> } = {}) {
  const state = { batches: [] as number[][], ended: false, failed: undefined as unknown };
  let offset = 1000;
  const done = (async () => {
    for await (const batch of source) {
      state.batches.push(batch.events.map(({ buffer, at }) => buffer.readUInt32LE(at)));
      await options.deliver?.();
      batch.commit(acknowledgement(offset, batch.events.length));
      offset += batch.events.length;
    }
    state.ended = true;
  })().catch((error) => {
    state.failed = error;
  });
  return { state, done };
}

const notSpooled = { spooled: 0, spoolId: 0 };

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, n) => from + n);
const committed = (capture: FakeRing) => capture.commits.reduce((sum, one) => sum + one.committed.acknowledged, 0);

describe('batches', () => {
  test('have what the ring had, in its order, 500 at most, and one position a commit', async () => {
    const { capture, clock, source } = setUp();
    capture.add(1201);
    const { state } = consume(source);
    await clock.advance(100);
    expect(state.batches).toEqual([numbers(0, 500), numbers(500, 500), numbers(1000, 201)]);
    const full = capture.commits.filter(({ committed: { acknowledged } }) => acknowledged > 0);
    expect(full.map(({ position }) => position)).toEqual([50_000, 100_000, 120_100]);
    expect(full.map((one) => one.committed)).toEqual([
      { acknowledged: 500, undecodable: 0, ...notSpooled, firstOffset: 1000, lastOffset: 1499 },
      { acknowledged: 500, undecodable: 0, ...notSpooled, firstOffset: 1000, lastOffset: 1999 },
      { acknowledged: 201, undecodable: 0, ...notSpooled, firstOffset: 1000, lastOffset: 2200 },
    ]);
    source.finish();
  });

  test('nothing is committed before the consumer does, nor read ahead of it', async () => {
    const { capture, clock, source } = setUp();
    capture.add(600);
    const delivered = Promise.withResolvers<void>();
    const { state } = consume(source, { deliver: () => delivered.promise });
    await clock.advance(60_000);
    expect(state.batches).toEqual([numbers(0, 500)]);
    expect(capture).toMatchObject({ commits: [], reads: 1 });
    delivered.resolve();
    await clock.advance(100);
    expect(committed(capture)).toBe(600);
    source.finish();
  });

  test('a consumer that fails leaves its batch uncommitted', async () => {
    const { capture, clock, source } = setUp();
    capture.add(10);
    const { state, done } = consume(source, { deliver: () => Promise.reject(new Error('refused')) });
    await clock.advance(10);
    await done;
    expect(state.failed).toMatchObject({ message: 'refused' });
    expect(capture.commits).toEqual([]);
  });

  test('undecodable records are counted beside the others, and said', async () => {
    const { capture, clock, source, errors } = setUp();
    capture.add(2);
    capture.add(3, { sound: false });
    capture.add(1);
    const { state } = consume(source);
    await clock.advance(100);
    expect(state.batches).toEqual([[0, 1, 5]]);
    expect(capture.commits[0]).toMatchObject({ position: 600, committed: { acknowledged: 3, undecodable: 3 } });
    expect(errors).toEqual([{ records: 3 }]);
    source.finish();
  });

  test('when none of them can be decoded, their room is given back and the next ones are read', async () => {
    const { capture, clock, source } = setUp();
    capture.add(700, { sound: false });
    capture.add(5);
    const { state } = consume(source);
    await clock.advance(500);
    expect(state.batches.flat()).toEqual(numbers(700, 5));
    expect(capture.commits.reduce((sum, one) => sum + one.committed.undecodable, 0)).toBe(700);
    source.finish();
  });
});

describe('offsets in the topic', () => {
  test('the first is that of an earlier process, when there was one', async () => {
    const { capture, clock, source, errors } = setUp({ firstOffset: 40, lastOffset: 999 });
    capture.add(2);
    consume(source);
    await clock.advance(10);
    expect(capture.commits[0]?.committed).toMatchObject({ firstOffset: 40, lastOffset: 1001 });
    expect(errors).toEqual([]);
    source.finish();
  });

  test('one that was given before is said: what had been acknowledged behind it is gone', async () => {
    const { capture, clock, source, errors } = setUp({ firstOffset: 40, lastOffset: 1000 });
    capture.add(2);
    consume(source);
    await clock.advance(10);
    expect(errors).toEqual([{ offset: 1000, before: 1000 }]);
    source.finish();
  });

  test('nothing acknowledged, nothing said: the last ones stay', async () => {
    const { capture, clock, source } = setUp({ firstOffset: 40, lastOffset: 999 });
    capture.add(2, { sound: false });
    consume(source);
    await clock.advance(10);
    expect(capture.commits[0]?.committed).toEqual({
      acknowledged: 0,
      undecodable: 2,
      ...notSpooled,
      firstOffset: 40,
      lastOffset: 999,
    });
    source.finish();
  });
});

describe('pace and sleep', () => {
  test('while events come it reads at its pace, counted from the last read', async () => {
    const { capture, clock, source } = setUp();
    capture.add(1);
    const { state } = consume(source, { deliver: () => clock.sleep(10) });
    await clock.advance(quickPace - 5);
    capture.add(1);
    await clock.advance(4);
    expect(state.batches).toHaveLength(1);
    await clock.advance(1);
    expect(state.batches).toHaveLength(2);
    source.finish();
  });

  test('or as often as it is told', async () => {
    const { capture, clock, source } = setUp(undefined, 100);
    const { state } = consume(source);
    await clock.advance(10);
    capture.add(1); // wakes it
    await clock.advance(99);
    expect(state.batches).toEqual([]);
    await clock.advance(1);
    capture.add(1);
    await clock.advance(99);
    expect(state.batches).toEqual([[0]]);
    await clock.advance(1);
    expect(state.batches).toEqual([[0], [1]]);
    source.finish();
  });

  test('a full batch is followed at once', async () => {
    const { capture, clock, source } = setUp();
    capture.add(1500);
    const { state } = consume(source);
    await clock.advance(0);
    expect(state.batches).toHaveLength(3);
    source.finish();
  });

  test('a batch that filled the buffer is followed at once, however few its records are', async () => {
    const { capture, clock, source } = setUp();
    capture.usedBytes = 500 * 1024;
    capture.add(3);
    const { state } = consume(source, {
      deliver: async () => {
        if (capture.ring.length < 5) capture.add(1);
      },
    });
    await clock.advance(0);
    expect(state.batches).toEqual([[0, 1, 2], [3], [4]]);
    source.finish();
  });

  test('it arms when a read finds nothing, not before, and then sleeps', async () => {
    const { capture, clock, source } = setUp();
    capture.add(1);
    consume(source);
    await clock.advance(quickPace - 1);
    expect(capture.arms).toBe(0);
    await clock.advance(1);
    expect(capture).toMatchObject({ arms: 1, armed: true });
    const { reads } = capture;
    await clock.advance(900);
    expect(capture.reads).toBe(reads);
    source.finish();
  });

  test('a wake-up ends the sleep, and what comes until its pace is over is read with what came first', async () => {
    const { capture, clock, source } = setUp();
    const { state } = consume(source);
    await clock.advance(10);
    expect(capture.armed).toBe(true);
    capture.add(1);
    await clock.advance(quickPace - 1);
    expect(state.batches).toEqual([]);
    capture.add(1);
    await clock.advance(1);
    expect(state.batches).toEqual([[0, 1]]);
    source.finish();
  });

  test('without a wake-up it looks after five seconds', async () => {
    const { capture, clock, source } = setUp();
    const { state } = consume(source);
    await clock.advance(10);
    capture.armed = false;
    capture.add(1);
    await clock.advance(4980);
    expect(state.batches).toEqual([]);
    await clock.advance(20);
    expect(state.batches).toEqual([[0]]);
    source.finish();
  });

  test('a wake-up while a batch is delivered is not lost', async () => {
    const { capture, clock, source } = setUp();
    const delivered = Promise.withResolvers<void>();
    consume(source, { deliver: () => delivered.promise });
    await clock.advance(10);
    capture.add(1);
    await clock.advance(500);
    capture.add(1);
    delivered.resolve();
    await clock.advance(15);
    expect(committed(capture)).toBe(2);
    source.finish();
  });

  test('a record that is not complete is waited for, not spun on', async () => {
    const { capture, clock, source } = setUp();
    capture.busy = true;
    const { state } = consume(source);
    await clock.advance(50);
    expect(state.failed).toBeUndefined();
    expect(capture.reads).toBeLessThan(100);
    capture.busy = false;
    capture.add(1);
    await clock.advance(50);
    expect(state.batches).toEqual([[0]]);
    source.finish();
  });

  test('a wall clock that is set back does not make it sleep', async () => {
    const { capture, clock, source } = setUp();
    const delivered = Promise.withResolvers<void>();
    capture.add(1);
    const { state } = consume(source, { deliver: () => delivered.promise });
    await settle();
    clock.step = -5 * 3_600_000;
    delivered.resolve();
    await settle();
    capture.add(1);
    await clock.advance(1100);
    expect(state.batches).toEqual([[0], [1]]);
    source.finish();
  });
});

describe('the end', () => {
  test('finish: what is in the ring still comes, then it ends', async () => {
    const { capture, clock, source } = setUp();
    capture.add(1300);
    const { state, done } = consume(source);
    source.finish();
    await clock.advance(0);
    await done;
    expect(state).toMatchObject({ ended: true });
    expect(state.batches.flat()).toEqual(numbers(0, 1300));
    expect(committed(capture)).toBe(1300);
  });

  test('finish ends a sleep', async () => {
    const { clock, source } = setUp();
    const { state } = consume(source);
    await clock.advance(10);
    source.finish();
    await settle();
    expect(state.ended).toBe(true);
  });

  test('finish: undecodable records do not hide what is behind them', async () => {
    const { capture, source } = setUp();
    capture.add(500, { sound: false });
    capture.add(5);
    source.finish();
    const { state, done } = consume(source);
    await done;
    expect(state.batches.flat()).toEqual(numbers(500, 5));
  });

  test('drained: resolves when everything that was there has been committed, and goes on', async () => {
    const { capture, clock, source } = setUp();
    capture.add(800);
    let release = Promise.withResolvers<void>();
    const { state } = consume(source, { deliver: () => release.promise });
    await clock.advance(0);
    let drained = false;
    void source.drained().then(() => {
      drained = true;
    });
    await clock.advance(1000);
    expect(drained).toBe(false);
    release.resolve();
    await clock.advance(0);
    expect(drained).toBe(true);
    expect(committed(capture)).toBe(800);

    release = Promise.withResolvers();
    release.resolve();
    capture.add(1);
    await clock.advance(1100);
    expect(committed(capture)).toBe(801);
    expect(state.ended).toBe(false);
    source.finish();
  });

  test('drained: undecodable records do not hide what is behind them', async () => {
    const { capture, clock, source } = setUp();
    capture.add(500, { sound: false });
    capture.add(5);
    const release = Promise.withResolvers<void>();
    let drained = false;
    void source.drained().then(() => {
      drained = true;
    });
    consume(source, { deliver: () => release.promise });
    await clock.advance(10);
    expect(drained).toBe(false);
    release.resolve();
    await clock.advance(100);
    expect(drained).toBe(true);
    source.finish();
  });

  test('drained ends a sleep', async () => {
    const { clock, source } = setUp();
    consume(source);
    await clock.advance(10);
    let drained = false;
    void source.drained().then(() => {
      drained = true;
    });
    await settle();
    expect(drained).toBe(true);
    source.finish();
  });
});

test('of what was committed, it tells what belongs to a later epoch', async () => {
  const { capture, clock, source } = setUp();
  capture.add(3, { epoch: 7 });
  capture.add(2, { epoch: 8 });
  capture.add(1, { epoch: 8, sound: false });
  capture.add(1, { epoch: 7 });
  consume(source);
  await clock.advance(10);
  expect(source.committedAfter(7)).toMatchObject({ acknowledged: 2, undecodable: 1 });
  expect(source.committedAfter(8)).toMatchObject({ acknowledged: 0, undecodable: 0 });
  source.finish();
});

describe('a batch that goes to the spool', () => {
  test('says where it stood, with all that lies between it and the one before', async () => {
    const { capture, clock, source } = setUp();
    const spans: unknown[] = [];
    void (async () => {
      for await (const batch of source) {
        const { start, end, undecodable } = batch.span ?? {};
        spans.push([start, end, undecodable, batch.span?.epochs()]);
        await clock.sleep(1_000); // meanwhile one that makes no sense is read, and has to wait for the next commit
        batch.commit(acknowledgement(0, batch.events.length));
      }
    })();
    capture.add(2, { epoch: 7 });
    capture.add(1, { epoch: 8 });
    await clock.advance(1_010);
    capture.add(1, { sound: false });
    capture.add(2, { epoch: 8 });
    await clock.advance(2_000);
    expect(spans).toEqual([
      [
        0,
        300,
        0,
        [
          [7, 2],
          [8, 1],
        ],
      ],
      [300, 600, 1, [[8, 2]]],
    ]);
    source.finish();
  });

  test('is committed as spooled, and counts as acknowledged when it has left', async () => {
    const { capture, clock, source } = setUp();
    const order: string[] = [];
    void (async () => {
      for await (const batch of source)
        batch.commit({ spoolId: 77, committed: () => void order.push(`${capture.commits.length} commits`) });
    })();
    capture.add(2, { epoch: 7 });
    capture.add(1, { epoch: 8 });
    await clock.advance(quickPace);
    expect(capture.commits.at(-1)?.committed).toMatchObject({ acknowledged: 0, spooled: 3, spoolId: 77 });
    // The spool is told in the same turn, when the ring has been.
    expect(order).toEqual([`${capture.commits.length} commits`]);
    expect(source.committedAfter(6)).toMatchObject({ acknowledged: 0, evicted: 0 });
    const epochs = [
      [7, 2],
      [8, 1],
    ] as const;
    const tally = { acknowledged: 3, evicted: 0 };
    source.leftSpool({ kind: 'acknowledged', epochs, acknowledgement: acknowledgement(40, 3), tally });
    expect(capture.spooled).toEqual({
      spoolId: 0,
      acknowledged: 3,
      evicted: 0,
      missing: 0,
      firstOffset: 40,
      lastOffset: 42,
    });
    expect(source.committedAfter(7)).toMatchObject({ acknowledged: 1 });
    source.finish();
  });

  test.each(['evicted', 'missing'] as const)('counts as %s when it was', async (kind) => {
    const { capture, source } = setUp();
    const tally = { acknowledged: 0, evicted: kind === 'evicted' ? 5 : 0 };
    source.leftSpool({ kind, epochs: [[7, 5]], acknowledgement: undefined, tally });
    expect(capture.spooled).toMatchObject({ acknowledged: 0, evicted: 0, missing: 0, [kind]: 5 });
    expect(source.committedAfter(6)).toMatchObject({ acknowledged: 0, evicted: 0, missing: 0, [kind]: 5 });
    source.finish();
  });
});
