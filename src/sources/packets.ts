import type { Batch, Source } from '../batch.ts';
import type { Clock } from '../clock.ts';
import {
  type Capture,
  type EpochCut,
  type FrozenPackets,
  type InterfaceSlot,
  type PacketCapture,
  packetEntryBytes,
} from '../kernel/addon.ts';
import type { Log } from '../log.ts';
import type { PacketCount } from '../schemas/packet-count.ts';
import { AcknowledgedOffsets } from './acknowledged-offsets.ts';
import type { PacketDecoder } from './packet-decoder.ts';

/** What one batch takes at most; decoding and encoding it keeps the main loop for some 3 ms. */
const recordsAtMost = 500;
/** With a budget that is spent the next epoch waits, but not longer than this (milliseconds). */
const longestInterval = 60_000;
/** Then the epoch ends all the same when this much of the map is taken. */
const fullEnough = 0.75;
/** Reason of an abort that only ends a wait: without one each makes an exception with its stack. */
const wakeUp = 'wake up';

export interface PacketSourceOptions {
  readonly capture: Pick<Capture, 'advanceEpoch'>;
  readonly packets: PacketCapture;
  readonly decoderOf: (frozen: FrozenPackets, table: readonly InterfaceSlot[]) => PacketDecoder;
  readonly clock: Clock;
  readonly log: Log;
  /** Between two epochs, milliseconds. */
  readonly intervalMillis: number;
  /** Records a second, on average. */
  readonly budget: number;
  /** Of what an earlier process had acknowledged at the same destination. */
  readonly offsets?: { readonly firstOffset: number; readonly lastOffset: number } | undefined;
}

/**
 * What the interfaces of this host received, a record a key and epoch. It makes the epochs of all streams: at
 * regular times one ends, its counts stand still and are given out, and only when all of them are committed and
 * cleared the next one ends. While the broker is away none does; the counts grow in the kernel meanwhile.
 */
export class PacketSource implements Source<PacketCount> {
  readonly #options: PacketSourceOptions;
  readonly #buffer = Buffer.alloc(recordsAtMost * packetEntryBytes);
  #newest: EpochCut | undefined;
  /** By slot, packets of the frozen epoch until it is acknowledged; undefined while it is being read. */
  #pending: readonly number[] | undefined = [];
  /** By slot, packets of all epochs that were acknowledged. */
  readonly #acknowledged: number[] = [];
  readonly #offsets: AcknowledgedOffsets;
  /** Who waits for the cut that ends the present epoch, and who for the next one, whenever it comes. */
  #wanted: PromiseWithResolvers<EpochCut>[] = [];
  #awaited: PromiseWithResolvers<EpochCut>[] = [];
  #onCleared: (() => void)[] = [];
  #ending = false;
  /** Nothing will be acknowledged any more. */
  readonly #abandoned = new AbortController();
  /** Aborted, and replaced, to end the current wait. */
  #wait = new AbortController();

  constructor(options: PacketSourceOptions) {
    this.#options = options;
    this.#offsets = new AcknowledgedOffsets(options.log, options.offsets);
    for (const { slot, published } of options.packets.table()) this.#acknowledged[slot] = published;
  }

  /** The newest cut of this process. */
  get newest(): EpochCut | undefined {
    return this.#newest;
  }

  /** Offsets of the first and the last record that was acknowledged at the present destination; -1: none yet. */
  get firstOffset(): number {
    return this.#offsets.first;
  }

  get lastOffset(): number {
    return this.#offsets.last;
  }

  /** Packets in acknowledged records of one slot of the interface table, since the attach; filtered ones left out. */
  acknowledged(slot: number): number {
    return this.#acknowledged[slot] ?? 0;
  }

  /**
   * Packets of one slot that wait for their acknowledgement, of this epoch and before; filtered ones left out.
   * @param _epoch the newest one that has ended: there is no other that waits
   * @returns undefined while its map is still being read
   */
  pending(slot: number, _epoch: number): number | undefined {
    return this.#pending && (this.#pending[slot] ?? 0);
  }

  /** The cut that ends the present epoch, as soon as the packets of the one before are acknowledged. */
  advance(): Promise<EpochCut> {
    const wanted = Promise.withResolvers<EpochCut>();
    this.#wanted.push(wanted);
    this.#wait.abort(wakeUp);
    return wanted.promise;
  }

  /** The next cut that is made anyway. */
  next(): Promise<EpochCut> {
    const awaited = Promise.withResolvers<EpochCut>();
    this.#awaited.push(awaited);
    return awaited.promise;
  }

  /** Resolves when everything that was counted before this call is acknowledged and cleared. */
  async drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    await this.advance();
    this.#onCleared.push(resolve);
    return promise;
  }

  /** Ends the iteration once nothing waits for an acknowledgement; what is counted since stays in the kernel. */
  finish(): void {
    this.#ending = true;
    this.#wait.abort(wakeUp);
  }

  /** Ends the iteration at once; what was not committed stays in the kernel. */
  abandon(): void {
    this.#abandoned.abort(wakeUp);
    this.finish();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch<PacketCount>, void> {
    const { packets, clock } = this.#options;
    // What a process before this one left between its last two steps.
    const { frozenEpoch, ackedEpoch, clearedEpoch } = packets.status();
    let records = 0;
    if (ackedEpoch !== frozenEpoch) records = yield* this.#publishFrozen();
    else if (clearedEpoch !== frozenEpoch) await packets.clearFrozen();
    let begun = clock.elapsedMillis();
    for (;;) {
      await this.#untilDue(begun, records);
      if (this.#abandoned.signal.aborted || (this.#ending && this.#wanted.length === 0)) break;
      begun = clock.elapsedMillis();
      await this.#advance();
      records = yield* this.#publishFrozen();
    }
    const ended = new Error('no epoch ends any more');
    for (const { reject } of [...this.#wanted, ...this.#awaited]) reject(ended);
  }

  async #advance(): Promise<void> {
    const waiting = [...this.#wanted.splice(0), ...this.#awaited.splice(0)];
    try {
      const cut = await this.#options.capture.advanceEpoch();
      // In one turn: whoever is told of the cut finds what is pending of it unknown, and not that of the one before.
      this.#newest = cut;
      this.#pending = undefined;
      for (const { resolve } of waiting) resolve(cut);
    } catch (error) {
      for (const { reject } of waiting) reject(error);
      throw error;
    }
  }

  /** Gives out what the epoch that ended last has counted; returns, when that is acknowledged and cleared, the records. */
  async *#publishFrozen(): AsyncGenerator<Batch<PacketCount>, number> {
    const { packets, decoderOf } = this.#options;
    const frozen = await packets.readFrozen();
    this.#pending = frozen.packets;
    const decoder = decoderOf(frozen, packets.table());
    const records = frozen.keys + frozen.classes.length;
    let uncommitted = records;
    const whole = Promise.withResolvers<void>();
    const acknowledged = () => {
      this.#acknowledge(frozen);
      whole.resolve();
    };
    const batchOf = (events: readonly PacketCount[]): Batch<PacketCount> => ({
      events,
      commit: (acknowledgement) => {
        this.#offsets.note(acknowledgement);
        uncommitted -= events.length;
        if (uncommitted === 0) acknowledged();
      },
    });

    if (records === 0) acknowledged();
    if (frozen.classes.length > 0) yield batchOf(frozen.classes.map((count) => decoder.unkeyed(count)));
    for (let from = 0; from < frozen.keys; ) {
      const taken = packets.take(this.#buffer, from);
      const events: PacketCount[] = [];
      for (let i = 0; i < taken; i += 1) events.push(decoder.keyed(this.#buffer, i * packetEntryBytes));
      yield batchOf(events);
      from += taken;
    }
    this.#abandoned.signal.addEventListener('abort', () => whole.resolve(), { once: true });
    await whole.promise;
    if (this.#abandoned.signal.aborted) return records;
    await packets.clearFrozen();
    for (const resolve of this.#onCleared.splice(0)) resolve();
    return records;
  }

  /** The commit point of the epoch, one store in the kernel. */
  #acknowledge({ packets }: FrozenPackets): void {
    const published: { slot: number; packets: number }[] = [];
    for (const [slot, count] of packets.entries()) {
      if (count === 0) continue;
      published.push({ slot, packets: count });
      this.#acknowledged[slot] = this.acknowledged(slot) + count;
    }
    this.#options.packets.acknowledge({
      firstOffset: this.#offsets.first,
      lastOffset: this.#offsets.last,
      published,
    });
    this.#pending = [];
  }

  /** Waits for the time of the next epoch, which somebody who wants it now, or a map that fills up, brings forward. */
  async #untilDue(begun: number, records: number): Promise<void> {
    const { clock, packets, intervalMillis, budget } = this.#options;
    const due = begun + Math.max(intervalMillis, Math.min(longestInterval, (records / budget) * 1000));
    const { flows } = packets.status();
    while (!this.#ending && this.#wanted.length === 0) {
      const left = due - clock.elapsedMillis();
      if (left <= 0) return;
      if (clock.elapsedMillis() - begun >= intervalMillis && packets.fill() >= fullEnough * flows) return;
      await clock.sleep(Math.min(left, intervalMillis), this.#wait.signal);
      if (this.#wait.signal.aborted) this.#wait = new AbortController();
    }
  }
}
