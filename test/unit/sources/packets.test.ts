import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Batch } from '../../../src/batch.ts';
import type { EpochCut } from '../../../src/kernel/counts.ts';
import type { PacketCount } from '../../../src/schemas/packet-count.ts';
import { PacketSource, type PacketSourceOptions } from '../../../src/sources/packets.ts';
import { FakeClock, fakeLog, settle } from '../producers/fakes.ts';
import { classNames, modelDecoderOf, PacketKernel, PacketProcess } from './packet-kernel.ts';

const identityOf = ({ epoch, interface_index, source_port, traffic_class }: PacketCount) =>
  [epoch, interface_index, traffic_class, source_port].join(' ');

/** The records of the topic; one that is written again has to be the same. */
class Topic {
  readonly records = new Map<string, PacketCount>();
  repeats = 0;
  offset = 1000;

  append(events: readonly PacketCount[]): { firstOffset: number; lastOffset: number } {
    const firstOffset = this.offset;
    for (const event of events) {
      const before = this.records.get(identityOf(event));
      if (before !== undefined) {
        this.repeats += 1;
        expect(event).toEqual(before);
      }
      this.records.set(identityOf(event), event);
      this.offset += 1;
    }
    return { firstOffset, lastOffset: this.offset - 1 };
  }

  /** Packets of one interface in distinct records, of the epochs up to this one. */
  packets(index: number, { isFiltered = false, through = Number.POSITIVE_INFINITY } = {}): number {
    let sum = 0;
    for (const { epoch, interface_index, traffic_class, packets } of this.records.values()) {
      if (epoch > through || interface_index !== index || (traffic_class === 'filtered') !== isFiltered) continue;
      sum += packets;
    }
    return sum;
  }
}

type Timing = Partial<Pick<PacketSourceOptions, 'clock' | 'intervalMillis' | 'budget' | 'offsets'>>;

function sourceOf({ capture, packets }: PacketProcess, timing: Timing = {}): PacketSource {
  return new PacketSource({
    capture,
    packets,
    decoderOf: modelDecoderOf,
    clock: new FakeClock(),
    log: fakeLog().log,
    intervalMillis: 1000,
    budget: 5000,
    ...timing,
  });
}

/** One process that publishes: its batches wait in `batches` until they are acknowledged. */
class Run {
  readonly process: PacketProcess;
  readonly clock = new FakeClock();
  readonly source: PacketSource;
  readonly batches: { readonly batch: Batch<PacketCount>; written: boolean }[] = [];
  readonly given: PacketCount[][] = [];
  readonly epochs: number[] = [];
  state: 'runs' | 'ended' | 'failed' = 'runs';
  failure: unknown;
  readonly #topic: Topic;
  /** How many promises of cuts have not been settled, and what is wrong with those that have. */
  unsettled = 0;
  readonly wrongCuts: string[] = [];

  constructor(kernel: PacketKernel, topic: Topic, { manual = false, ...timing }: Timing & { manual?: boolean } = {}) {
    this.#topic = topic;
    this.process = new PacketProcess(kernel, { manual });
    this.source = sourceOf(this.process, { clock: this.clock, ...timing });
    void this.#consume();
  }

  async #consume(): Promise<void> {
    try {
      for await (const batch of this.source) {
        this.batches.push({ batch, written: false });
        this.given.push([...batch.events]);
        for (const { epoch } of batch.events) if (this.epochs.at(-1) !== epoch) this.epochs.push(epoch);
      }
      this.state = 'ended';
    } catch (error) {
      this.state = 'failed';
      this.failure = error;
    }
  }

  /** The broker writes the oldest batch, and its answer may get lost. */
  write(): void {
    const [oldest] = this.batches;
    if (oldest === undefined) return;
    this.#topic.append(oldest.batch.events);
    oldest.written = true;
  }

  acknowledge(): void {
    const oldest = this.batches.shift();
    if (oldest === undefined) return;
    const { events } = oldest.batch;
    const offsets = this.#topic.append(events);
    oldest.batch.commit({ topic: 'packet-counts', partition: 0, records: events.length, ...offsets });
  }

  /** Time passes, the broker answers at once, and other threads come to their end. */
  async pass(millis: number): Promise<void> {
    await this.clock.advance(millis);
    await settle();
    while (this.process.isBusy || this.batches.length > 0) {
      if (!this.process.step()) this.acknowledge();
      await settle();
    }
  }

  /** @param counted by slot, what has to be in the cut */
  ask(which: 'advance' | 'next', counted: readonly number[] = []): void {
    this.unsettled += 1;
    this.source[which]().then(
      (cut) => {
        this.unsettled -= 1;
        if (this.source.newest !== cut) this.wrongCuts.push('it is not the newest');
        if (this.source.pending(0, cut.epoch) !== undefined) this.wrongCuts.push('pending is known too early');
        for (const [slot, atLeast] of counted.entries())
          if ((cut.packets[slot]?.seen ?? 0) < atLeast) this.wrongCuts.push('it ended before the call');
      },
      () => {
        this.unsettled -= 1;
      },
    );
  }
}

const seenOf = (kernel: PacketKernel) => kernel.counted.map(({ seen }) => seen.packets);

describe('whatever happens in whatever order', () => {
  type Command =
    | { readonly do: 'count'; readonly slot: number; readonly key: number | (typeof classNames)[number] }
    | { readonly do: 'burst'; readonly slot: number; readonly from: number }
    | { readonly do: 'pass'; readonly millis: number }
    | { readonly do: 'step' | 'write' | 'acknowledge' | 'advance' | 'next' | 'kill' | 'finish' | 'abandon' | 'look' };

  const slot = fc.integer({ min: 0, max: 1 });
  const commands: fc.Arbitrary<Command> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('count' as const), slot, key: fc.integer({ min: 0, max: 9 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('count' as const), slot, key: fc.constantFrom(...classNames) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('burst' as const), slot, from: fc.constantFrom(0, 300, 600) }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('pass' as const), millis: fc.constantFrom(10, 500, 1000, 3000) }),
    },
    { weight: 16, arbitrary: fc.record({ do: fc.constant('step' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('write' as const) }) },
    { weight: 8, arbitrary: fc.record({ do: fc.constant('acknowledge' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('advance' as const, 'next' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constantFrom('kill' as const, 'finish' as const, 'abandon' as const) }),
    },
  );

  async function obey(run: Run, command: Command, kernel: PacketKernel): Promise<void> {
    switch (command.do) {
      case 'count':
        return kernel.count(command.slot, command.key, 1 + (kernel.epoch % 3));
      case 'burst':
        for (let key = 0; key < 600; key += 1) kernel.count(command.slot, command.from + key);
        return;
      case 'pass':
        return run.clock.advance(command.millis);
      case 'step':
        return void run.process.step();
      case 'write':
        return run.write();
      case 'acknowledge':
        return run.acknowledge();
      case 'advance':
        return run.ask('advance', seenOf(kernel));
      case 'next':
        return run.ask('next');
      case 'kill':
        return run.process.kill();
      case 'finish':
        return run.source.finish();
      case 'abandon':
        return run.source.abandon();
    }
  }

  function check(run: Run, kernel: PacketKernel, topic: Topic): void {
    if (run.state === 'failed') throw run.failure;
    const { newest } = run.source;
    for (const { slot, index } of kernel.slots) {
      const { seen, filtered } = kernel.counted[slot] as PacketKernel['counted'][number];
      const published = kernel.published[slot] as number;
      expect(topic.packets(index, { through: kernel.acked })).toBe(published);
      expect(published + kernel.unacknowledged(slot) + filtered.packets).toBe(seen.packets);
      expect(run.source.acknowledged(slot)).toBe(published);
      if (newest === undefined) continue;
      const pending = run.source.pending(slot, newest.epoch);
      if (pending === undefined) continue;
      const cut = newest.packets[slot] as EpochCut['packets'][number];
      expect(published + pending).toBe(cut.seen - cut.filtered);
    }
    expect(run.wrongCuts).toEqual([]);
  }

  test('every packet is published, under one identity, with one count, and the account balances in every turn', async () => {
    let repeats = 0;
    const kills = { any: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(commands, { minLength: 20, maxLength: 150, size: 'max' }), async (list) => {
        const kernel = new PacketKernel({ flows: 700 });
        const topic = new Topic();
        let run = new Run(kernel, topic, { manual: true });
        for (const command of list) {
          await obey(run, command, kernel);
          if (command.do !== 'kill') await settle();
          if (command.do !== 'kill') check(run, kernel, topic);
          if (command.do === 'kill') kills.any += 1;
          if (command.do !== 'kill' && run.state !== 'ended') continue;
          if (run.state === 'ended') expect(run.unsettled).toBe(0);
          run = new Run(kernel, topic, { manual: true });
          await settle();
        }

        run.source.finish();
        await run.pass(0);
        expect(run).toMatchObject({ state: 'ended', unsettled: 0 });
        const last = new Run(kernel, topic);
        last.ask('advance', seenOf(kernel));
        await last.pass(0);
        check(last, kernel, topic);
        last.source.finish();
        await last.pass(0);
        expect(last).toMatchObject({ state: 'ended', unsettled: 0 });
        for (const { slot, index } of kernel.slots) {
          const { seen, filtered } = kernel.counted[slot] as PacketKernel['counted'][number];
          expect(topic.packets(index)).toBe(seen.packets - filtered.packets);
          expect(topic.packets(index, { isFiltered: true })).toBe(filtered.packets);
        }
        repeats += topic.repeats;
      }),
      { numRuns: 60 },
    );
    // It was worth the while.
    expect(repeats).toBeGreaterThan(100);
    expect(kills.any).toBeGreaterThan(20);
  });
});

test.each(Array.from({ length: 27 }, (_, steps) => ({ steps })))(
  'killed after $steps steps: what was written is written again alike, and nothing is missing',
  async ({ steps }) => {
    const kernel = new PacketKernel();
    const topic = new Topic();
    const first = new Run(kernel, topic, { manual: true });
    const count = () => {
      for (let key = 0; key < 600; key += 1) kernel.count(key % 2, key, 2);
      kernel.count(0, 'non_ip', 5);
      kernel.count(1, 'filtered', 7);
    };
    // Each step is one part of ending, reading and clearing an epoch, or the broker's answer to one batch.
    for (let step = 0; step < steps; step += 1) {
      if (step % 13 === 0) {
        count();
        await first.clock.advance(1000);
      }
      if (first.batches.length > 0 && step % 2 === 0) first.write();
      if (!first.process.step()) first.acknowledge();
      await settle();
    }
    expect(first.state).toBe('runs');
    first.process.kill();

    count();
    const second = new Run(kernel, topic);
    second.ask('advance');
    await second.pass(0);
    second.source.finish();
    await second.pass(0);
    expect(second).toMatchObject({ state: 'ended', unsettled: 0 });
    const [one, other] = kernel.counted;
    expect(topic.packets(10)).toBe(one?.seen.packets);
    expect(topic.packets(11)).toBe((other?.seen.packets ?? 0) - (other?.filtered.packets ?? 0));
    expect(topic.packets(11, { isFiltered: true })).toBe(other?.filtered.packets);
  },
);

function setUp({ flows, manual, ...timing }: Timing & { flows?: number; manual?: boolean } = {}) {
  const kernel = new PacketKernel(flows === undefined ? {} : { flows });
  const topic = new Topic();
  const run = new Run(kernel, topic, { ...timing, ...(manual === undefined ? {} : { manual }) });
  const countKeys = (keys: number, from = 0) => {
    for (let key = from; key < from + keys; key += 1) kernel.count(0, key);
  };
  /** Epochs that have ended. */
  const ended = () => kernel.epoch - 101;
  return { kernel, topic, run, countKeys, ended };
}

describe('batches', () => {
  test('have 250 records at most, those without a key before the others', async () => {
    const { kernel, run, countKeys } = setUp();
    countKeys(1100);
    kernel.count(0, 'filtered');
    kernel.count(1, 'malformed');
    await run.pass(1000);
    expect(run.given.map(({ length }) => length)).toEqual([32, 64, 128, 250, 250, 250, 128]);
    expect(run.given[0]?.slice(0, 3).map((event) => event.traffic_class)).toEqual(['filtered', 'malformed', 'keyed']);
    expect(new Set(run.given.flat().map(identityOf)).size).toBe(1102);
    // Fewer at first, while the code is not compiled yet.
    countKeys(600);
    await run.pass(1000);
    expect(run.given.slice(7).map(({ length }) => length)).toEqual([250, 250, 100]);
  });

  test('the epoch is acknowledged with the last of them, and then cleared', async () => {
    const { kernel, run, countKeys } = setUp();
    countKeys(400);
    await run.clock.advance(1000);
    await settle();
    expect(run.batches).toHaveLength(4);
    for (let batch = 0; batch < 3; batch += 1) run.acknowledge();
    await settle();
    expect(run.process.calls).toEqual(['advance 101']);
    expect([run.source.pending(0, 101), run.source.acknowledged(0), run.source.settled]).toEqual([400, 0, false]);
    run.acknowledge();
    await settle();
    expect(run.process.calls).toEqual(['advance 101', 'acknowledge 101', 'clear 101']);
    expect([run.source.pending(0, 101), run.source.acknowledged(0), run.source.settled]).toEqual([0, 400, true]);
    expect(kernel).toMatchObject({ firstOffset: 1000, lastOffset: 1399, published: [400, 0] });
    expect(run.source).toMatchObject({ firstOffset: 1000, lastOffset: 1399 });
  });

  test('an epoch in which nothing came in publishes nothing, and is acknowledged all the same', async () => {
    const { kernel, run } = setUp({ offsets: { firstOffset: 7, lastOffset: 9 } });
    await run.pass(3000);
    expect(run.given).toEqual([]);
    expect(kernel).toMatchObject({ acked: kernel.frozen, cleared: kernel.frozen, firstOffset: 7, lastOffset: 9 });
    expect(kernel.frozen).toBeGreaterThan(101);
  });

  test('filtered packets are published, and are neither pending nor acknowledged', async () => {
    const { kernel, topic, run } = setUp();
    kernel.count(0, 'filtered', 5);
    kernel.count(0, 'non_ip', 3);
    await run.clock.advance(1000);
    await settle();
    expect(run.source.pending(0, 101)).toBe(3);
    await run.pass(0);
    expect([run.source.acknowledged(0), kernel.published[0]]).toEqual([3, 3]);
    expect(topic.packets(10, { isFiltered: true })).toBe(5);
  });

  test('an acknowledgement that the kernel does not take leaves the packets pending', async () => {
    const { run, countKeys } = setUp();
    countKeys(3);
    await run.clock.advance(1000);
    await settle();
    run.process.failures.set('acknowledge', new Error('refused'));
    expect(() => run.acknowledge()).toThrow('refused');
    expect([run.source.pending(0, 101), run.source.acknowledged(0)]).toEqual([3, 0]);
  });
});

describe('an epoch ends', () => {
  test('each interval, counted from the end of the one before', async () => {
    const { run, ended } = setUp({ intervalMillis: 2000 });
    await run.pass(1999);
    expect(ended()).toBe(0);
    await run.pass(1);
    expect(ended()).toBe(1);
    await run.pass(1999);
    expect(ended()).toBe(1);
    await run.pass(1);
    expect(ended()).toBe(2);
  });

  test('later when it had more records than the budget allows in an interval', async () => {
    const { run, ended, countKeys } = setUp({ budget: 100 });
    countKeys(700);
    await run.pass(1000);
    expect(ended()).toBe(1);
    countKeys(50);
    await run.pass(6999);
    expect(ended()).toBe(1);
    await run.pass(1);
    expect(ended()).toBe(2);
    // 50 records are within it.
    await run.pass(1000);
    expect(ended()).toBe(3);
  });

  test('after 60 s at the latest, whatever the budget', async () => {
    const { run, ended, countKeys } = setUp({ budget: 1 });
    countKeys(700);
    await run.pass(1000);
    await run.pass(59_999);
    expect(ended()).toBe(1);
    await run.pass(1);
    expect(ended()).toBe(2);
  });

  test('not before an interval that is longer than that', async () => {
    const { run, ended } = setUp({ intervalMillis: 90_000 });
    await run.pass(89_999);
    expect(ended()).toBe(0);
    await run.pass(1);
    expect(ended()).toBe(1);
  });

  test('before the budget allows it when the map is three quarters full, but not before the interval', async () => {
    const { run, ended, countKeys } = setUp({ budget: 10, flows: 1000 });
    countKeys(300);
    await run.pass(1000);
    countKeys(749);
    await run.pass(5000);
    expect(ended()).toBe(1);
    countKeys(1, 749);
    await run.pass(1000);
    expect(ended()).toBe(2);
  });

  test('not at once because the map filled up before the epoch before was acknowledged', async () => {
    const { run, ended, countKeys } = setUp({ budget: 10, flows: 1000 });
    countKeys(300);
    await run.clock.advance(1000);
    await settle();
    countKeys(1000);
    await run.pass(0);
    await run.pass(999);
    expect(ended()).toBe(1);
    await run.pass(1);
    expect(ended()).toBe(2);
  });

  test('at once when somebody wants the cut, and the interval begins anew', async () => {
    const { run, ended } = setUp();
    await run.pass(400);
    run.ask('advance');
    await run.pass(0);
    expect([ended(), run.unsettled]).toEqual([1, 0]);
    await run.pass(999);
    expect(ended()).toBe(1);
    await run.pass(1);
    expect(ended()).toBe(2);
  });

  test('not for somebody who waits for the next one', async () => {
    const { run, ended } = setUp();
    run.ask('next');
    run.ask('next');
    await run.pass(999);
    expect([ended(), run.unsettled]).toEqual([0, 2]);
    await run.pass(1);
    expect([ended(), run.unsettled, run.wrongCuts]).toEqual([1, 0, []]);
  });

  test('when the packets before it are acknowledged, though somebody wants it earlier', async () => {
    const { kernel, run, ended, countKeys } = setUp();
    countKeys(600);
    await run.clock.advance(1000);
    await settle();
    kernel.count(1, 1, 9);
    run.ask('advance', [600, 9]);
    run.acknowledge();
    await run.clock.advance(5000);
    expect([ended(), run.unsettled]).toEqual([1, 1]);
    await run.pass(0);
    expect([ended(), run.unsettled, run.wrongCuts]).toEqual([2, 0, []]);
  });

  test('once for all who want it then, and once more for who comes while it ends', async () => {
    const { kernel, run, ended } = setUp({ manual: true });
    await settle();
    run.ask('advance');
    run.ask('advance');
    run.ask('next');
    await settle();
    run.process.step();
    await settle();
    expect(ended()).toBe(1);
    kernel.count(0, 1, 4);
    run.ask('advance', [4]);
    await run.pass(0);
    expect([ended(), run.unsettled, run.wrongCuts]).toEqual([2, 0, []]);
  });

  test('not while the broker is away; then there is one record a key for all that time', async () => {
    const { kernel, run, ended } = setUp();
    for (let second = 0; second < 15; second += 1) {
      kernel.count(0, 1, 10);
      kernel.count(1, 'non_ip', 1);
      await run.clock.advance(1000);
      await settle();
    }
    expect(ended()).toBe(1);
    expect(run.given).toHaveLength(1);
    await run.pass(0);
    expect(ended()).toBe(2);
    expect(run.given.map((events) => events.map(({ epoch, packets }) => [epoch, packets]))).toEqual([
      [
        [101, 1],
        [101, 10],
      ],
      [
        [102, 14],
        [102, 140],
      ],
    ]);
  });
});

describe('finish', () => {
  test('ends the wait for the next epoch', async () => {
    const { kernel, run, ended } = setUp();
    await run.pass(500);
    kernel.count(0, 1);
    run.source.finish();
    await run.pass(0);
    expect([run.state, ended(), kernel.unacknowledged(0)]).toEqual(['ended', 0, 1]);
  });

  test('before the iteration begins', async () => {
    const { run, ended } = setUp();
    run.source.finish();
    await run.pass(0);
    expect([run.state, ended()]).toEqual(['ended', 0]);
  });

  test('waits for the acknowledgement of the epoch, and clears it', async () => {
    const { run, countKeys } = setUp();
    countKeys(400);
    await run.clock.advance(1000);
    await settle();
    run.source.finish();
    for (let batch = 0; batch < 3; batch += 1) run.acknowledge();
    await run.clock.advance(10_000);
    expect(run.state).toBe('runs');
    run.acknowledge();
    await settle();
    await settle();
    expect(run.state).toBe('ended');
    expect(run.process.calls.at(-1)).toBe('clear 101');
  });

  test('waits for the cut that somebody wants, and for its packets', async () => {
    const { kernel, topic, run, countKeys } = setUp();
    countKeys(3);
    run.ask('advance', [3]);
    run.source.finish();
    await run.pass(0);
    expect([run.state, run.unsettled, run.wrongCuts]).toEqual(['ended', 0, []]);
    expect([topic.packets(10), kernel.cleared]).toEqual([3, 101]);
  });

  test.each(Array.from({ length: 12 }, (_, steps) => ({ steps })))(
    'after $steps steps of an epoch: what has ended is published and cleared',
    async ({ steps }) => {
      const { kernel, run, countKeys } = setUp({ manual: true });
      countKeys(3);
      await run.clock.advance(1000);
      await settle();
      for (let step = 0; step < steps; step += 1) {
        if (!run.process.step()) run.acknowledge();
        await settle();
      }
      run.source.finish();
      run.ask('next');
      await run.pass(0);
      expect([run.state, run.unsettled]).toEqual(['ended', 0]);
      expect(kernel).toMatchObject({ epoch: 102, acked: 101, cleared: 101, published: [3, 0] });
    },
  );
});

describe('abandon', () => {
  test.each(Array.from({ length: 12 }, (_, steps) => ({ steps })))(
    'after $steps steps of an epoch: it ends without a further acknowledgement, and nothing is lost',
    async ({ steps }) => {
      const { kernel, topic, run, countKeys } = setUp({ manual: true });
      countKeys(3);
      await run.clock.advance(1000);
      await settle();
      for (let step = 0; step < steps; step += 1) {
        if (!run.process.step()) run.acknowledge();
        await settle();
      }
      run.ask('next');
      run.ask('advance');
      run.source.abandon();
      await settle();
      while (run.process.step()) await settle();
      expect([run.state, run.unsettled]).toEqual(['ended', 0]);

      const next = new Run(kernel, topic);
      next.ask('advance');
      await next.pass(0);
      expect(topic.packets(10)).toBe(3);
    },
  );

  test('while the consumer is busy with a batch: no other one is given out', async () => {
    const kernel = new PacketKernel();
    for (let key = 0; key < 1200; key += 1) kernel.count(0, key);
    const source = sourceOf(new PacketProcess(kernel));
    const batches = source[Symbol.asyncIterator]();
    void source.advance();
    const first = await batches.next();
    expect(first.value?.events).toHaveLength(32);
    source.abandon();
    expect(await batches.next()).toEqual({ done: true, value: undefined });
  });

  test('a batch that was on its way is still committed', async () => {
    const { kernel, run, countKeys } = setUp();
    countKeys(3);
    await run.clock.advance(1000);
    await settle();
    run.source.abandon();
    run.acknowledge();
    await settle();
    expect(run.state).toBe('ended');
    expect(kernel).toMatchObject({ acked: 101, published: [3, 0] });
  });
});

describe('when it cannot go on', () => {
  test.each(['advanceEpoch', 'readFrozen', 'clearFrozen'] as const)(
    '%s fails: so does the iteration, and whoever waits for a cut is told why',
    async (name) => {
      const { run, countKeys } = setUp();
      await run.pass(500);
      countKeys(3);
      const reasons: unknown[] = [];
      const ask = (which: 'advance' | 'next') => run.source[which]().catch((error) => void reasons.push(error));
      const failure = new Error('the kernel refuses');
      run.process.failures.set(name, failure);
      // Before the epoch ends: they get the cut, unless it fails.
      void ask('advance');
      void ask('next');
      await run.pass(0);
      expect([run.state, run.failure]).toEqual(['failed', failure]);
      expect(reasons).toHaveLength(name === 'advanceEpoch' ? 2 : 0);
      void ask('advance');
      void ask('next');
      await settle();
      expect(reasons).toEqual(Array.from({ length: name === 'advanceEpoch' ? 4 : 2 }, () => failure));
    },
  );

  test('a consumer that fails: whoever waits for a cut is told that none comes', async () => {
    const kernel = new PacketKernel();
    kernel.count(0, 1);
    const source = sourceOf(new PacketProcess(kernel));
    const told: string[] = [];
    const tell = (error: Error) => void told.push(error.message);
    const consume = async () => {
      await Promise.all([
        source.advance().then(() => {
          source.advance().catch(tell);
          source.next().catch(tell);
        }),
        (async () => {
          for await (const _ of source) throw new Error('cannot encode');
        })(),
      ]);
    };
    await expect(consume()).rejects.toThrow('cannot encode');
    await settle();
    expect(told).toEqual(Array.from({ length: 2 }, () => expect.stringContaining('no epoch ends any more')));
  });

  test('after the end nobody waits for ever', async () => {
    const { run } = setUp();
    run.source.finish();
    await run.pass(0);
    await expect(run.source.advance()).rejects.toThrow('no epoch ends any more');
    await expect(run.source.next()).rejects.toThrow('no epoch ends any more');
  });
});

describe('what an earlier process left', () => {
  async function leave({ steps }: { steps: number }) {
    const { kernel, topic, run, countKeys } = setUp({ manual: true });
    countKeys(3);
    await run.clock.advance(1000);
    await settle();
    for (let step = 0; step < steps; step += 1) {
      if (!run.process.step()) run.acknowledge();
      await settle();
    }
    run.process.kill();
    return { kernel, topic };
  }

  test('an epoch that was not acknowledged is given out first; until it is read, what is pending is unknown', async () => {
    const { kernel, topic } = await leave({ steps: 5 });
    kernel.count(0, 1, 7);
    const run = new Run(kernel, topic, { manual: true });
    expect([run.source.newest, run.source.pending(0, 101)]).toEqual([undefined, undefined]);
    run.ask('advance');
    await run.pass(0);
    expect(run.given.map((events) => events.map(({ epoch, packets }) => [epoch, packets]))).toEqual([
      [
        [101, 1],
        [101, 1],
        [101, 1],
      ],
      [[102, 7]],
    ]);
    expect(run.source.acknowledged(0)).toBe(10);
  });

  test('one that was acknowledged is only cleared', async () => {
    const { kernel, topic } = await leave({ steps: 6 });
    expect(kernel).toMatchObject({ acked: 101, cleared: 100 });
    const run = new Run(kernel, topic);
    await run.pass(0);
    expect([run.given, run.process.calls, run.source.acknowledged(0)]).toEqual([[], ['clear 101'], 3]);
    expect(run.source.pending(0, 101)).toBe(0);
  });
});
