import type { Acknowledgement, EpochCount, RingSpan, Spooled } from '../batch.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { Availability, askAgainAfter, type SpoolTrouble } from './availability.ts';
import { Changes } from './changes.ts';
import { type Held, HeldBatches, recordsOf, type SpoolEntry } from './held-batches.ts';
import { SerialWork } from './serial-work.ts';
import {
  Damaged,
  loadLibrary,
  type SpoolChange,
  type SpoolSchema,
  SpoolStore,
  type SpoolTally,
  setAside,
  storedBytes,
} from './spool-store.ts';
import { type Fate, type RingIdentity, Tallies } from './tallies.ts';

export interface SpoolSettings {
  /** Its file is in it, and nothing else. */
  readonly directory: string;
  /** That the batches may take; 0: none is taken, but what is there is published. */
  readonly bytes: number;
  /** What happens when they do: the ring goes on holding, or the oldest batches are dropped and counted. */
  readonly full: 'keep' | 'drop-oldest';
}

export interface SpoolState {
  readonly state: 'empty' | 'holding' | SpoolTrouble['state'];
  readonly directory: string;
  readonly batches: number;
  readonly records: number;
  readonly bytes: number;
  /** Why it takes nothing. */
  readonly reason?: string;
}

/** Records of the present attach that have left. */
export interface Leave extends Fate {
  readonly epochs: readonly EpochCount[];
  /** Of the attach, with them; what is missing is not in it. */
  readonly tally: Pick<SpoolTally, 'acknowledged' | 'evicted'>;
}

export interface SpoolOptions {
  readonly settings: SpoolSettings;
  readonly identity: RingIdentity;
  readonly clock: Clock;
  readonly log: Log;
}

/** A batch on its way to the disk. */
export interface Entering {
  readonly value: Buffer;
  readonly span: RingSpan;
  readonly schema: SpoolSchema;
  /** Some of it was sent already, so that it must not be dropped. */
  readonly tried: boolean;
}

/**
 * The second line behind the ring: batches on disk, first in, first out, over crashes and boots. What is in it was
 * committed in the ring; what has left it was acknowledged, or dropped and counted.
 */
export class Spool implements AsyncDisposable {
  readonly #settings: SpoolSettings;
  readonly #identity: RingIdentity;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #availability: Availability;
  readonly #work = new SerialWork();
  readonly #held = new HeldBatches();
  readonly #tallies = new Tallies();
  #store: SpoolStore | undefined;
  readonly #changes = new Changes();
  #finishing = false;
  #onLeave: (leave: Leave) => void = () => {};

  private constructor({ settings, identity, clock, log }: SpoolOptions) {
    this.#settings = settings;
    this.#identity = identity;
    this.#clock = clock;
    this.#log = log;
    this.#availability = new Availability(settings.directory, clock, log);
  }

  /** What cannot be read is moved aside, never emptied. @throws an error of the file system */
  static async open(options: SpoolOptions): Promise<Spool> {
    const spool = new Spool(options);
    await spool.#open();
    return spool;
  }

  async #open(): Promise<void> {
    const { directory, bytes } = this.#settings;
    try {
      this.#store = await SpoolStore.open(directory, bytes);
      if (this.#store === undefined) return;
      for (const tally of this.#store.tallies()) this.#tallies.set(tally);
      for (const { key, index } of this.#store.entries()) {
        if (key.ring !== this.#identity.ring) continue;
        // The oldest one may have been on its way when the process before this one ended.
        const tried = this.#held.isEmpty || index.tried === true;
        this.#held.add({ key, index, sent: undefined, tried });
      }
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      await this.setAside(error.message);
    }
  }

  /** Of the file; undefined before there is one. */
  get id(): number | undefined {
    return this.#store?.id;
  }

  get isEmpty(): boolean {
    return this.#held.isEmpty;
  }

  get state(): SpoolState {
    const trouble = this.#availability.trouble ?? { state: this.isEmpty ? 'empty' : 'holding' };
    return {
      ...trouble,
      directory: this.#settings.directory,
      ...this.#held.totals,
    };
  }

  /** Calls back for everything of the present attach that leaves, in the turn of the loop in which it has left. */
  onLeave(callback: (leave: Leave) => void): void {
    this.#onLeave = callback;
  }

  hasTally(identity: RingIdentity): boolean {
    return this.#tallies.has(identity);
  }

  tallyOf(identity: RingIdentity): SpoolTally {
    return this.#tallies.of(identity);
  }

  /** Makes the counts of the present attach begin where the ring's are. */
  adopt(tally: SpoolTally): void {
    this.#tallies.set(tally);
  }

  /** Batches of one attach, oldest first. */
  heldOf(attach: RingIdentity): readonly SpoolEntry[] {
    return this.#held.of(attach);
  }

  /** Records of one attach that latched the epoch or an earlier one. */
  recordsThrough(epoch: number, attach: RingIdentity = this.#identity): number {
    return this.#held.recordsThrough(epoch, attach);
  }

  /** Makes the next `enter` fast: loads what it needs. */
  prepare(): void {
    if (this.#settings.bytes > 0) loadLibrary();
  }

  /**
   * Puts a batch of the present attach on disk, where it is when this resolves.
   * @param sent its acknowledgement, when it is on its way already
   * @returns undefined when there is no room now: the ring has to go on holding
   */
  enter(batch: Entering, sent?: Promise<Acknowledgement>): Promise<Spooled | undefined> {
    return this.#work.run(() => this.#enter(batch, sent));
  }

  async #enter(
    { value, span, schema, tried }: Entering,
    sent?: Promise<Acknowledgement>,
  ): Promise<Spooled | undefined> {
    if (this.#settings.bytes === 0 || this.#availability.isResting) return undefined;
    const epochs = span.epochs();
    const bytes = storedBytes(value);
    const evicted = this.#roomFor(bytes);
    if (evicted === undefined) {
      this.#availability.full();
      return undefined;
    }
    const records = epochs.reduce((total, [, count]) => total + count, 0);
    const { ring, bootId, attachId } = this.#identity;
    const key = { ring, order: this.#held.nextOrder, bootId, attachId, start: span.start, end: span.end };
    const index = { records, undecodable: span.undecodable, bytes, epochs, tried };
    const change = {
      put: { key, index, value },
      ...(this.schema(schema.fingerprint) === undefined ? { schema } : {}),
    };
    if (!(await this.#apply(evicted, { kind: 'evicted', acknowledgement: undefined }, change))) return undefined;
    const store = this.#store as SpoolStore;
    return { spoolId: store.id, committed: () => this.#hold({ key, index, sent, tried }) };
  }

  #hold(held: Held): void {
    if (this.isEmpty)
      this.#log.warn({ directory: this.#settings.directory }, 'the ring fills: batches go to the spool');
    this.#held.add(held);
    this.#changes.tell();
  }

  /** The oldest batches that have to go; undefined when that would not make room, or may not be. */
  #roomFor(bytes: number): readonly Held[] | undefined {
    const over = this.#held.bytes + bytes - this.#settings.bytes;
    if (over <= 0) return [];
    return this.#settings.full === 'keep' ? undefined : this.#held.oldestOf(over);
  }

  /**
   * The oldest batch, which is not dropped from then on; waits for one.
   * @returns undefined when it is empty and `finish` was called, or when the signal aborts
   */
  async next(signal: AbortSignal): Promise<SpoolEntry | undefined> {
    for (;;) {
      if (signal.aborted) return undefined;
      // Not while a change decides what to drop.
      const head = await this.#work.run(async () => {
        const { oldest } = this.#held;
        if (oldest !== undefined) oldest.tried = true;
        return oldest;
      });
      if (head !== undefined) return head;
      if (this.#finishing) return undefined;
      // One may have come meanwhile.
      if (this.isEmpty) await this.#changes.next(signal);
    }
  }

  /** @throws Damaged */
  read({ key }: SpoolEntry): Buffer {
    return (this.#store as SpoolStore).read(key);
  }

  schema(fingerprint: string): string | undefined {
    return this.#store?.schema(fingerprint);
  }

  /** Takes the oldest batch out, which the broker has acknowledged; waits for room on the disk, for that takes some. */
  leave(entry: SpoolEntry, acknowledgement: Acknowledgement, signal: AbortSignal): Promise<void> {
    return this.#takeOut(entry, { kind: 'acknowledged', acknowledgement }, signal);
  }

  /** Takes the oldest batch out, which is not as it was written; its bytes are kept in a file, and it counts as lost. */
  async giveUp(entry: SpoolEntry, reason: string, signal: AbortSignal): Promise<void> {
    const kept = await (this.#store as SpoolStore).export(entry.key);
    const { records } = entry.index;
    this.#log.error({ records, kept, reason }, 'spool_missing: a batch of the spool cannot be read; it counts as lost');
    await this.#takeOut(entry, { kind: 'missing', acknowledgement: undefined }, signal);
  }

  async #takeOut(entry: SpoolEntry, fate: Fate, signal: AbortSignal): Promise<void> {
    const { oldest: head } = this.#held;
    if (head === undefined || head.key !== entry.key) throw new Error('only the oldest batch leaves the spool');
    const leave = () => this.#work.run(() => this.#apply([head], fate, {}));
    while (!(await leave())) {
      await this.#clock.sleep(askAgainAfter, signal);
      if (signal.aborted) return;
    }
    if (this.isEmpty) this.#log.info({ directory: this.#settings.directory }, 'the spool is empty again');
  }

  /** Throws the batches of one attach away: for who gives them up, and counts them. @returns records */
  async discard(attach: RingIdentity): Promise<number> {
    return this.#work.run(async () => {
      const held = this.#held.of(attach);
      if (
        held.length > 0 &&
        !(await this.#write({ remove: held.map(({ key }) => key), forget: [this.tallyOf(attach)] }))
      )
        throw new Error(this.#availability.trouble?.reason);
      for (const each of held) this.#held.remove(each);
      this.#tallies.delete(attach);
      return recordsOf(held);
    });
  }

  /**
   * From now on counts apart what becomes of the records of an earlier attach up to the epoch of its last entry.
   * @returns the counts, begun now or by an earlier process
   */
  async beginLate(attach: RingIdentity, epoch: number): Promise<SpoolTally> {
    const tally = this.tallyOf(attach);
    if (tally.late !== undefined || this.heldOf(attach).length === 0) return tally;
    const late = { epoch, records: this.recordsThrough(epoch, attach), acknowledged: 0, evicted: 0 };
    const begun = { ...tally, late };
    if (await this.#work.run(() => this.#write({ tallies: [begun] }))) this.#tallies.set(begun);
    return begun;
  }

  /** Resolves when nothing of the attach is there any more, or when the signal aborts. */
  async emptiedOf(attach: RingIdentity, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.heldOf(attach).length > 0) await this.#changes.next(signal);
  }

  /** The account of the attach is closed: its counts are needed no more. */
  async forget(attach: RingIdentity): Promise<void> {
    if (!this.hasTally(attach) || this.#store === undefined) return;
    if (await this.#work.run(() => this.#write({ forget: [this.tallyOf(attach)] }))) this.#tallies.delete(attach);
  }

  /** Moves everything out of the way; the next batch begins another spool. */
  setAside(reason: string): Promise<void> {
    return this.#work.run(() => this.#setAside(reason));
  }

  async #setAside(reason: string): Promise<void> {
    const { directory } = this.#settings;
    await this.#store?.close();
    this.#store = undefined;
    const aside = await setAside(directory, new Date(this.#clock.nowMillis()));
    const { records } = this.#held.totals;
    this.#log.error(
      { directory, aside, reason, ...(records > 0 ? { records } : {}) },
      'spool_missing: the spool cannot be used and was set aside; what it held counts as lost',
    );
    for (const held of this.#held.clear()) this.#tellLeave(held, { kind: 'missing', acknowledgement: undefined });
    this.#changes.tell();
  }

  /** `next` and `drained` do not wait for more. */
  finish(): void {
    this.#finishing = true;
    this.#changes.tell();
  }

  /** Resolves when it is empty, or when the signal aborts. */
  async emptied(signal: AbortSignal): Promise<void> {
    while (!this.isEmpty && !signal.aborted) await this.#changes.next(signal);
  }

  async close(): Promise<void> {
    await this.#work.run(async () => this.#store?.close());
    this.#store = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Takes batches out and puts another one in, in one transaction; when that is on disk, all in one turn of the loop.
   * @returns false when the disk does not take it: then nothing has changed, and the state says why
   */
  async #apply(leaving: readonly Held[], fate: Fate, change: Pick<SpoolChange, 'put' | 'schema'>): Promise<boolean> {
    const tallies = this.#tallies.after(leaving, fate, change.put);
    const remove = leaving.map(({ key }) => key);
    if (!(await this.#write({ ...change, remove, tallies }))) return false;

    for (const tally of tallies) this.#tallies.set(tally);
    for (const held of leaving) {
      this.#held.remove(held);
      this.#tellLeave(held, fate);
    }
    if (fate.kind === 'evicted' && leaving.length > 0) {
      this.#log.warn(
        { records: recordsOf(leaving) },
        'spool_full: the oldest batches of the spool were dropped; they count as lost',
      );
    }
    this.#changes.tell();
    return true;
  }

  #tellLeave({ key, index }: Held, fate: Fate): void {
    const { bootId, attachId } = this.#identity;
    if (key.bootId !== bootId || key.attachId !== attachId) return;
    this.#onLeave({ ...fate, epochs: index.epochs, tally: this.tallyOf(key) });
  }

  /** False when the disk does not take it. */
  async #write(change: SpoolChange): Promise<boolean> {
    const { directory, bytes } = this.#settings;
    try {
      this.#store ??= await SpoolStore.create(directory, bytes);
      await this.#store.apply(change);
    } catch (error) {
      this.#availability.failed(error);
      return false;
    }
    this.#availability.worked();
    return true;
  }
}
