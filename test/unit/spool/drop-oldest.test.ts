import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import type { OutgoingBatch } from '../../../src/batch.ts';
import type { PartitionSend } from '../../../src/kafka/kafka-client.ts';
import { Delivery } from '../../../src/producers/delivery.ts';
import { packRecords } from '../../../src/records/record-packer.ts';
import { openSpool } from '../../../src/spool/open-spool.ts';
import type { Spool } from '../../../src/spool/spool.ts';
import { SpooledDelivery } from '../../../src/spool/spooled-delivery.ts';
import { waitFor } from '../../support/wait-for.ts';
import {
  acknowledge,
  destination,
  FakeClient,
  fail,
  fakeLog,
  HastyClock,
  hostId,
  recordOf,
  settle,
} from '../producers/fakes.ts';
import { room, value } from './life.ts';
import { identity, ModelRing } from './model-ring.ts';

/*
 * With `--spool-full drop-oldest`, the whole way from the ring to the broker: what is dropped counts as lost, so neither
 * the topic nor the dead letters may have it.
 */

const batchBytes = 100;

/** One record, with its number; each has an epoch of its own, which is that number. */
function batchOf(number: number): OutgoingBatch {
  const start = number * batchBytes;
  const span = { start, end: start + batchBytes, undecodable: 0, epochs: () => [[number, 1]] as const };
  const bytes = Buffer.alloc(value);
  bytes.writeUInt32LE(number);
  return { topic: 'exec-events', records: packRecords([recordOf(bytes, { timestamp: 5 })]), span };
}

/** What the broker does with a request. `lost`: it writes the records, and nobody hears of that. */
type Broker = 'ok' | 'away' | 'lost' | 'refuses';

/** A ring that is full and a disk with room for four batches, which outlive the processes that publish from them. */
class Host {
  broker: Broker = 'ok';
  /** Batches that the topic takes at no time. */
  isPoison: (number: number) => boolean = () => false;
  /** Dead letters are acknowledged. */
  takesLetters = true;
  readonly dropped = new Set<number>();
  readonly written = new Set<number>();
  readonly dead = new Set<number>();
  readonly ring = new ModelRing();
  readonly stateDir: string;
  /** Batches that the kernel has made. */
  made = 0;
  #process: Process | undefined;

  constructor(stateDir: string) {
    this.stateDir = stateDir;
    this.ring.waitingBytes = this.ring.ringBytes;
  }

  get consumed(): number {
    return this.ring.consumerPosition / batchBytes;
  }

  get spool(): Spool {
    if (this.#process === undefined) throw new Error('nothing runs');
    return this.#process.spool;
  }

  async start(): Promise<void> {
    this.#process = await Process.start(this);
  }

  /** As by kill -9: the ring is told nothing any more. */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** Time goes by, for the disk as well. */
  async tick(times = 1): Promise<void> {
    for (let n = 0; n < times; n += 1) {
      await this.#process?.clock.advance(20);
      await sleep(1);
    }
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    await waitFor(
      async () => {
        await this.tick();
        return condition();
      },
      { what, interval: 1 },
    );
  }

  /** Whatever was wrong is over; each batch must be in one place. */
  async judge(): Promise<void> {
    this.broker = 'ok';
    this.isPoison = () => false;
    this.takesLetters = true;
    this.ring.waitingBytes = 0;
    await this.until(() => this.consumed === this.made && this.spool.isEmpty, 'everything is published');
    await this.kill();
    const published = new Set([...this.written, ...this.dead]);
    expect([...this.dropped, ...published].toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: this.made }, (_, number) => number),
    );
  }

  async answer(send: PartitionSend) {
    await settle();
    const numbers = Array.from(send.records, ({ value }) => value.readUInt32LE());
    if (this.broker === 'away') return fail('away')(send);
    if (this.broker === 'refuses' || numbers.some(this.isPoison)) return fail('refused', 'INVALID_RECORD')(send);
    for (const number of numbers) this.written.add(number);
    return this.broker === 'lost' ? fail('no answer')(send) : acknowledge()(send);
  }

  async takeLetter(number: number, signal: AbortSignal): Promise<void> {
    while (!this.takesLetters) {
      signal.throwIfAborted();
      await sleep(1);
    }
    this.dead.add(number);
  }
}

class Process {
  readonly clock: HastyClock;
  readonly spool: Spool;
  readonly #host: Host;
  readonly #delivery: Delivery;
  readonly #way: SpooledDelivery;
  readonly #stop = new AbortController();
  readonly #work: Promise<unknown>;

  static async start(host: Host): Promise<Process> {
    const clock = new HastyClock();
    const { stateDir, ring: capture } = host;
    const settings = { stateDir, bytes: room, full: 'drop-oldest' } as const;
    return new Process(host, clock, await openSpool({ settings, identity, capture, clock, log: fakeLog().log }));
  }

  private constructor(host: Host, clock: HastyClock, spool: Spool) {
    this.#host = host;
    this.clock = clock;
    this.spool = spool;
    const { ring } = host;
    const { log } = fakeLog();
    const client = new FakeClient();
    client.reply = (send) => host.answer(send);
    this.#delivery = new Delivery({
      client,
      destinations: new Map([['exec-events', destination]]),
      clock,
      log,
      random: () => 0,
      deadLetters: { take: ({ record }, signal) => host.takeLetter(record.value.readUInt32LE(), signal) },
    });
    const schema = { type: 'record', name: 'Event', fields: [] };
    const frames = { schema, frame: Buffer.alloc(0), frameOf: () => Promise.reject(new Error('another schema')) };
    const delivery = this.#delivery;
    this.#way = new SpooledDelivery({ spool, delivery, topic: 'exec-events', key: hostId, frames, ring, clock, log });
    spool.onLeave(({ kind, epochs, tally }) => {
      if (kind === 'evicted') for (const [number] of epochs) host.dropped.add(number);
      ring.noteSpool({ ...ring.totals, ...tally, spoolId: 0 });
    });
    this.#work = Promise.allSettled([this.#publish(), this.#way.drain(this.#stop.signal)]);
  }

  /** As `publish` in sidecar.ts, out of this ring. */
  async #publish(): Promise<void> {
    const { signal } = this.#stop;
    let previous = Promise.resolve();
    for (let number = this.#host.consumed; !signal.aborted; ) {
      if (number >= this.#host.made) {
        await sleep(1);
        continue;
      }
      const batch = batchOf(number);
      this.#way.announce(batch);
      await previous;
      if (signal.aborted) return;
      previous = this.#accept(batch);
      previous.catch(() => {}); // thrown in the next turn
      number += 1;
    }
    await previous;
  }

  async #accept(batch: OutgoingBatch): Promise<void> {
    const kept = await this.#way.accept(batch, this.#stop.signal);
    if (this.#stop.signal.aborted) return; // died before the commit
    const isSpooled = 'spoolId' in kept;
    this.#host.ring.commit(batch.span?.end as number, {
      acknowledged: isSpooled ? 0 : 1,
      undecodable: 0,
      spooled: isSpooled ? 1 : 0,
      spoolId: isSpooled ? kept.spoolId : 0,
      firstOffset: -1,
      lastOffset: -1,
    });
    if (isSpooled) kept.committed();
  }

  async kill(): Promise<void> {
    this.#stop.abort('killed');
    await this.#delivery.close();
    await this.clock.advance(2_000);
    await this.#work;
    await this.spool.close();
  }
}

function newStateDir(): string {
  const stateDir = mkdtempSync(join(tmpdir(), 'bpf2kafka-test-spool-'));
  onTestFinished(() => rmSync(stateDir, { recursive: true, force: true }));
  return stateDir;
}

/** Batches go to the spool. */
async function spool(host: Host, made: number): Promise<void> {
  host.broker = 'away';
  host.made = made;
  await host.until(() => host.consumed === made, `${made} are in the spool`);
}

test.each<{ when: string; sendAhead: (host: Host) => Promise<void> }>([
  {
    when: 'while it is in the ring',
    sendAhead: async (host) => {
      await spool(host, 3);
      host.ring.waitingBytes = 0;
      host.broker = 'ok';
      host.made = 4;
      await host.until(() => host.written.has(3), 'the one in the ring was sent');
    },
  },
  {
    when: 'while it is in the spool',
    sendAhead: async (host) => {
      await spool(host, 4);
      host.broker = 'ok';
      await host.tick(10);
    },
  },
])('a batch of which a record is sent ahead of its turn, $when, is not dropped', async ({ sendAhead }) => {
  const host = new Host(newStateDir());
  // The first record that a process has is refused, and its dead letter waits: others show whether the topic takes any.
  host.isPoison = (number) => number === 0;
  host.takesLetters = false;
  await host.start();
  await sendAhead(host);
  host.ring.waitingBytes = host.ring.ringBytes;
  host.made = 12;
  await host.until(() => host.dropped.size > 4, 'the spool has dropped some');
  await host.judge();
});

test('whatever happens, a batch is published or dropped, and never both', { timeout: 120_000 }, async () => {
  const stateDir = newStateDir();
  const steps = {
    execs: (host: Host) => {
      host.made += 6;
    },
    time: (host: Host) => host.tick(10),
    'poison next': (host: Host) => {
      const { consumed } = host;
      host.isPoison = (number) => number === consumed || number === consumed + 4;
    },
    'letters change': (host: Host) => {
      host.takesLetters = !host.takesLetters;
    },
    ...Object.fromEntries(
      (['ok', 'away', 'lost', 'refuses'] as const).map((broker) => [
        broker,
        (host: Host) => {
          host.broker = broker;
        },
      ]),
    ),
  };
  const step = fc.constantFrom(
    ...Object.entries(steps),
    ['execs', steps.execs] as const,
    ['time', steps.time] as const,
  );
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), async (history) => {
      const host = new Host(join(stateDir, `run-${runs++}`));
      await host.start();
      for (const [, happen] of history) await happen(host);
      await host.judge();
    }),
    { numRuns: 40 },
  );
});
