import { setImmediate } from 'node:timers/promises';
import type { Batch } from '../batch.ts';
import type { Clock } from '../clock.ts';
import { InterruptibleWait } from '../interruptible-wait.ts';
import type { Capture } from '../kernel/addon.ts';
import type { EpochCut } from '../kernel/counts.ts';
import {
  type FrozenPackets,
  type InterfaceSlot,
  type PacketCapture,
  packetEntryBytes,
} from '../kernel/packet-capture.ts';
import type { Log } from '../log.ts';
import type { PacketCount } from '../schemas/packet-count.ts';
import { AcknowledgedOffsets } from './acknowledged-offsets.ts';
import type { PacketDecoder } from './packet-decoder.ts';

/** What one batch takes at most. */
const recordsAtMost = 250;
/**
 * How long decoding a batch may keep the main loop, which also has to encode it, milliseconds: on a slow machine, and before
 * the code is compiled, a batch has fewer records.
 */
const decodingAtMost = 0.5;
const recordsAtFirst = 32;
/** With a budget that is spent the next epoch waits, but not longer than this (milliseconds). */
const longestInterval = 60_000;
/** Then the epoch ends all the same when this much of the map is taken. */
const fullEnough = 0.75;

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
export class PacketSource implements AsyncIterable<Batch<PacketCount>> {
  readonly #options: PacketSourceOptions;
  readonly #buffer = Buffer.alloc(recordsAtMost * packetEntryBytes);
  /** Records of the next batch. */
  #atMost = recordsAtFirst;
  #newest: EpochCut | undefined;
  /** By slot, packets of the frozen epoch until it is acknowledged; undefined until it has been read. */
  #pending: readonly number[] | undefined;
  /** Every record of the frozen epoch is acknowledged, those of filtered packets too. */
  #settled = false;
  /** By slot, packets of all epochs that were acknowledged. */
  readonly #acknowledged: number[] = [];
  readonly #offsets: AcknowledgedOffsets;
  #observer: (counts: readonly PacketCount[]) => void = () => {};
  /** The cut that somebody wants as soon as it can be made, and the one that somebody waits for, whenever it comes. */
  #wanted: PromiseWithResolvers<EpochCut> | undefined;
  #awaited: PromiseWithResolvers<EpochCut> | undefined;
  #onCleared: PromiseWithResolvers<void> | undefined;
  #ending = false;
  #abandoned = false;
  /** Why no epoch ends any more. */
  #ended: unknown;
  /** Ends the wait for the acknowledgement of the frozen epoch. */
  #stopWaiting: () => void = () => {};
  /** For the next epoch. */
  readonly #wait: InterruptibleWait;

  constructor(options: PacketSourceOptions) {
    this.#options = options;
    this.#wait = new InterruptibleWait(options.clock);
    this.#offsets = new AcknowledgedOffsets(options.log, options.offsets);
    for (const { slot, published } of options.packets.table()) this.#acknowledged[slot] = published;
  }

  /** Hears of each batch of counts that is committed from now on; one at a time. */
  observe(observer: (counts: readonly PacketCount[]) => void): void {
    this.#observer = observer;
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

  /** Every record through the newest cut is acknowledged, those of filtered packets too. */
  get settled(): boolean {
    return this.#settled;
  }

  /**
   * The cut that ends the present epoch, as soon as the packets of the one before are acknowledged. Rejects when the
   * iteration ends before that, or has ended; so does `next`.
   */
  advance(): Promise<EpochCut> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    this.#wanted ??= Promise.withResolvers();
    this.#wait.interrupt();
    return this.#wanted.promise;
  }

  /** The next cut that is made anyway. */
  next(): Promise<EpochCut> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    this.#awaited ??= Promise.withResolvers();
    return this.#awaited.promise;
  }

  /** Resolves when everything that was counted before this call is acknowledged and cleared. */
  async drained(): Promise<void> {
    await this.advance();
    this.#onCleared ??= Promise.withResolvers();
    return this.#onCleared.promise;
  }

  /**
   * Ends the iteration once nothing waits for an acknowledgement, nor anybody for `advance`; what is counted since stays
   * in the kernel.
   */
  finish(): void {
    this.#ending = true;
    this.#wait.interrupt();
  }

  /**
   * Ends the iteration, and what waits for an acknowledgement that will not come; what was not committed stays in the
   * kernel. A batch that was given out may still be committed until the iteration has ended.
   */
  abandon(): void {
    this.#abandoned = true;
    this.#stopWaiting();
    this.finish();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch<PacketCount>, void> {
    let reason: unknown = new Error('no epoch ends any more: the source of packets has ended');
    try {
      yield* this.#epochs();
    } catch (error) {
      reason = error;
      throw error;
    } finally {
      this.#ended = reason;
      this.#wanted?.reject(reason);
      this.#awaited?.reject(reason);
    }
  }

  async *#epochs(): AsyncGenerator<Batch<PacketCount>, void> {
    const { packets, clock } = this.#options;
    // What a process before this one left between its last two steps.
    const { frozenEpoch, ackedEpoch, clearedEpoch } = packets.status();
    let records = 0;
    if (ackedEpoch !== frozenEpoch) {
      records = yield* this.#publishFrozen();
    } else {
      this.#pending = [];
      this.#settled = true;
      if (clearedEpoch !== frozenEpoch) await packets.clearFrozen();
    }
    let begun = clock.elapsedMillis();
    for (;;) {
      await this.#untilDue(begun, records);
      if (this.#abandoned || (this.#ending && this.#wanted === undefined)) return;
      begun = clock.elapsedMillis();
      await this.#advance();
      records = yield* this.#publishFrozen();
    }
  }

  async #advance(): Promise<void> {
    const wanted = this.#wanted;
    const awaited = this.#awaited;
    this.#wanted = undefined;
    this.#awaited = undefined;
    try {
      const cut = await this.#options.capture.advanceEpoch();
      // In one turn: whoever is told of the cut finds what is pending of it unknown, and not that of the one before.
      this.#newest = cut;
      this.#pending = undefined;
      this.#settled = false;
      wanted?.resolve(cut);
      awaited?.resolve(cut);
    } catch (error) {
      wanted?.reject(error);
      awaited?.reject(error);
      throw error;
    }
  }

  /** Gives out what the epoch that ended last has counted; returns, when that is acknowledged and cleared, the records. */
  async *#publishFrozen(): AsyncGenerator<Batch<PacketCount>, number> {
    const { packets } = this.#options;
    const frozen = await packets.readFrozen();
    this.#pending = frozen.packets;
    const records = frozen.classes.length + frozen.keys;
    let uncommitted = records;
    const waiting = Promise.withResolvers<void>();
    this.#stopWaiting = waiting.resolve;
    const batchOf = (events: readonly PacketCount[]): Batch<PacketCount> => ({
      events,
      commit: (acknowledgement) => {
        this.#offsets.note(acknowledgement);
        uncommitted -= events.length;
        if (uncommitted === 0) {
          this.#acknowledge(frozen);
          waiting.resolve();
        }
        this.#observer(events);
      },
    });

    if (records === 0) this.#acknowledge(frozen);
    for (const events of this.#inPieces(this.#eventsOf(frozen))) {
      if (this.#abandoned) return records;
      yield batchOf(events);
      // The batch before is sent in this turn of the loop, the next one is decoded in another.
      await setImmediate();
    }
    if (uncommitted > 0) await waiting.promise;
    if (this.#abandoned) return records;
    await packets.clearFrozen();
    this.#onCleared?.resolve();
    this.#onCleared = undefined;
    return records;
  }

  *#eventsOf(frozen: FrozenPackets): Generator<PacketCount, void> {
    const { packets, decoderOf } = this.#options;
    const decoder = decoderOf(frozen, packets.table());
    for (const count of frozen.classes) yield decoder.unkeyed(count);
    for (let from = 0; from < frozen.keys; ) {
      const taken = packets.take(this.#buffer, from);
      for (let entry = 0; entry < taken; entry += 1) yield decoder.keyed(this.#buffer, entry * packetEntryBytes);
      from += taken;
    }
  }

  /** As many as `decodingAtMost` allows, by what the piece before took. */
  *#inPieces(counts: Iterable<PacketCount>): Generator<readonly PacketCount[], void> {
    const { clock } = this.#options;
    let piece: PacketCount[] = [];
    let begun = clock.elapsedMillis();
    for (const count of counts) {
      if (piece.push(count) < this.#atMost) continue;
      const affordable = (this.#atMost * decodingAtMost) / (clock.elapsedMillis() - begun);
      this.#atMost = Math.max(1, Math.floor(Math.min(affordable, 2 * this.#atMost, recordsAtMost)));
      yield piece;
      piece = [];
      begun = clock.elapsedMillis();
    }
    if (piece.length > 0) yield piece;
  }

  /** The commit point of the epoch, one store in the kernel; from then on its counts are no longer pending. */
  #acknowledge({ packets }: FrozenPackets): void {
    const published: { slot: number; packets: number }[] = [];
    for (const [slot, count] of packets.entries()) {
      if (count > 0) published.push({ slot, packets: count });
    }
    this.#options.packets.acknowledge({
      firstOffset: this.#offsets.first,
      lastOffset: this.#offsets.last,
      published,
    });
    for (const { slot, packets: count } of published) this.#acknowledged[slot] = this.acknowledged(slot) + count;
    this.#pending = [];
    this.#settled = true;
  }

  /** Waits for the time of the next epoch, which somebody who wants it now, or a map that fills up, brings forward. */
  async #untilDue(begun: number, records: number): Promise<void> {
    const { clock, packets, intervalMillis, budget } = this.#options;
    const due = begun + Math.max(intervalMillis, Math.min(longestInterval, (records / budget) * 1000));
    const { flows } = packets.status();
    while (!this.#ending && this.#wanted === undefined) {
      const left = due - clock.elapsedMillis();
      if (left <= 0) return;
      if (clock.elapsedMillis() - begun >= intervalMillis && packets.fill() >= fullEnough * flows) return;
      await this.#wait.sleep(Math.min(left, intervalMillis));
    }
  }
}
