import type { Acknowledgement, Batch, EpochCount, Kept, Source } from '../batch.ts';
import type { Clock } from '../clock.ts';
import { InterruptibleWait } from '../interruptible-wait.ts';
import type { EventRing } from '../kernel/event-ring.ts';
import type { Log } from '../log.ts';
import { AcknowledgedOffsets } from './acknowledged-offsets.ts';
import { type CommitKinds, CommittedByEpoch } from './committed-by-epoch.ts';
import type { KernelRecord, RecordReader } from './kernel-record.ts';

/** What one batch takes at most; delivery sends a batch of this size in one request. */
const recordsAtMost = 500;
const bufferBytes = 512 * 1024;
/** A read that leaves less room than this may have stopped for want of it: longest record, with its prefix. */
const longestRecord = 64 * 1024;

/** Of execs, which people look at while they happen (milliseconds). */
export const quickPace = 30;
/** A net under the wake-up (milliseconds). */
const sleepAtMost = 5000;

export interface EventSourceOptions {
  readonly ring: Pick<EventRing, 'read' | 'commit' | 'arm' | 'onWake' | 'status' | 'noteSpool'>;
  /** The epoch that has not ended. */
  readonly presentEpoch: () => number;
  readonly reader: RecordReader;
  /**
   * While events come, a read is made this often, and not before this after one that came alone: a batch costs fifty times
   * what a record in it does, and programs seldom start alone (milliseconds).
   */
  readonly pace: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Of what an earlier process had acknowledged at the same destination. */
  readonly offsets?: { readonly firstOffset: number; readonly lastOffset: number } | undefined;
}

/** Records that were committed to the spool, and are there no more. */
export interface SpoolLeave {
  readonly kind: 'acknowledged' | 'evicted' | 'missing';
  readonly epochs: readonly EpochCount[];
  /** Of those that were acknowledged. */
  readonly acknowledgement: Acknowledgement | undefined;
  /** How many ever left it so, with these. */
  readonly tally: { readonly acknowledged: number; readonly evicted: number };
}

/**
 * The events of one ring, in batches, oldest first. A batch is only looked at: the kernel keeps its
 * records until `commit`, and a process that dies before that leaves them to the next one.
 */
export class EventSource implements Source<KernelRecord, Kept> {
  readonly #ring: EventSourceOptions['ring'];
  readonly #presentEpoch: () => number;
  readonly #reader: RecordReader;
  readonly #pace: number;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #buffer = Buffer.alloc(bufferBytes);

  /** Batches that were given out and not committed: nothing behind them may be committed. */
  #outstanding = 0;
  /** Ring position behind the newest batch, or behind what was committed without one. */
  #end: number;
  /** Epochs of records that made no sense and wait for the next commit. */
  #uncommitted: number[] = [];
  /** The present epoch when it was last asked for: a call into the kernel, which few commits need. */
  #knownEpoch = 0;
  readonly #committed = new CommittedByEpoch();
  readonly #offsets: AcknowledgedOffsets;
  #finishing = false;
  #abandoned = false;
  /** Until there may be something to read. */
  readonly #wait: InterruptibleWait;
  #onEmpty: (() => void)[] = [];

  constructor(options: EventSourceOptions) {
    this.#ring = options.ring;
    this.#presentEpoch = options.presentEpoch;
    this.#reader = options.reader;
    this.#pace = options.pace;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#offsets = new AcknowledgedOffsets(options.log, options.offsets);
    this.#wait = new InterruptibleWait(options.clock);
    this.#end = options.ring.status().consumerPosition;
    this.#ring.onWake(() => this.#wait.interrupt());
  }

  /** Ends the iteration when everything that is in the ring has been given out and committed. */
  finish(): void {
    this.#finishing = true;
    this.#wait.interrupt();
  }

  /** Ends the iteration at once; what was not committed stays in the ring. */
  abandon(): void {
    this.#abandoned = true;
    this.finish();
  }

  /** Resolves when the ring has been found empty, with everything committed, after this call. */
  drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty.push(resolve);
    this.#wait.interrupt();
    return promise;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch<KernelRecord, Kept>, void> {
    while (!this.#abandoned) {
      const begun = this.#clock.elapsedMillis();
      const { records, full, batch } = this.#read();
      if (batch !== undefined) yield batch;
      if (records > 0) {
        if (!full) await this.#sleep(this.#pace - (this.#clock.elapsedMillis() - begun));
        continue;
      }
      if (this.#outstanding === 0) for (const resolve of this.#onEmpty.splice(0)) resolve();
      if (this.#finishing) return;
      if (this.#ring.arm()) {
        const woken = await this.#sleep(sleepAtMost);
        if (woken && this.#onEmpty.length === 0) await this.#sleep(this.#pace);
      }
      // Something is there that is not complete yet: its writer needs a moment, not a loop around it.
      else await this.#sleep(1);
    }
  }

  /** Offsets of the first and the last record that was acknowledged at the present destination; -1: none yet. */
  get firstOffset(): number {
    return this.#offsets.first;
  }

  get lastOffset(): number {
    return this.#offsets.last;
  }

  /**
   * Of the records that were committed in this process, those that latched a later epoch than this one.
   * @param epoch the newest one that has ended, or the one of the call before
   */
  committedAfter(epoch: number): Readonly<CommitKinds> {
    return this.#committed.after(epoch);
  }

  /** Records of this capture have left the spool. */
  leftSpool({ kind, epochs, acknowledgement, tally }: SpoolLeave): void {
    if (acknowledgement !== undefined) this.#offsets.note(acknowledgement);
    const { spoolMissing } = this.#ring.status();
    const records = epochs.reduce((total, [, count]) => total + count, 0);
    this.#ring.noteSpool({
      spoolId: 0,
      acknowledged: tally.acknowledged,
      evicted: tally.evicted,
      missing: spoolMissing + (kind === 'missing' ? records : 0),
      firstOffset: this.#offsets.first,
      lastOffset: this.#offsets.last,
    });
    for (const [epoch, count] of epochs) this.#count(kind, epoch, count);
  }

  /** How many complete records were read, whether there may be more, and what is to be published of them. */
  #read(): { readonly records: number; readonly full: boolean; readonly batch?: Batch<KernelRecord, Kept> } {
    const { records, bytes: used, position } = this.#ring.read(this.#buffer, recordsAtMost);
    const full = records === recordsAtMost || used > bufferBytes - longestRecord;
    const events: KernelRecord[] = [];
    const undecodable = this.#uncommitted.splice(0);
    const before = undecodable.length;
    let at = 0;
    for (let i = 0; i < records; i += 1) {
      const bytes = this.#buffer.readUInt32LE(at);
      const record = this.#reader.recordAt(this.#buffer, at + 8, bytes);
      if (record !== undefined) events.push(record);
      else undecodable.push(this.#reader.epochOf(this.#buffer, at + 8, bytes) ?? this.#committed.newest);
      at += 8 + Math.ceil(bytes / 8) * 8;
    }
    if (undecodable.length > before) {
      const fields = { records: undecodable.length - before };
      this.#log.error(fields, 'records of the kernel could not be decoded; they count as lost');
    }
    if (events.length === 0) {
      // Nothing to publish; discarded or broken records still give their room back, in their turn.
      if (this.#outstanding === 0) {
        this.#commit(position, events, undecodable);
        this.#end = position;
      } else this.#uncommitted = undecodable;
      return { records, full };
    }
    const span = { start: this.#end, end: position, undecodable: undecodable.length, epochs: () => epochsOf(events) };
    this.#end = position;
    const commit = (kept: Kept) => {
      this.#commit(position, events, undecodable, kept);
      this.#outstanding -= 1;
      // Whoever waits for that gets another look at the ring.
      if (this.#outstanding === 0 && this.#onEmpty.length > 0) this.#wait.interrupt();
    };
    this.#outstanding += 1;
    return { records, full, batch: { events, span, commit } };
  }

  /** @param kept undefined when there is nothing to keep */
  #commit(
    position: number,
    events: readonly Pick<KernelRecord, 'epoch'>[],
    undecodable: readonly number[],
    kept?: Kept,
  ): void {
    const spooled = kept !== undefined && 'spoolId' in kept ? kept : undefined;
    if (kept !== undefined && spooled === undefined) this.#offsets.note(kept as Acknowledgement);
    this.#ring.commit(position, {
      acknowledged: spooled === undefined ? events.length : 0,
      undecodable: undecodable.length,
      spooled: spooled === undefined ? 0 : events.length,
      spoolId: spooled?.spoolId ?? 0,
      firstOffset: this.#offsets.first,
      lastOffset: this.#offsets.last,
    });
    spooled?.committed();
    if (spooled === undefined)
      for (const [epoch, records] of epochsOf(events)) this.#count('acknowledged', epoch, records);
    for (const epoch of undecodable) this.#count('undecodable', epoch, 1);
  }

  #count(kind: keyof CommitKinds, epoch: number, records: number): void {
    // A broken record may have latched any number; no true one is past the capture's own.
    if (epoch > this.#knownEpoch) this.#knownEpoch = this.#presentEpoch();
    if (epoch <= this.#knownEpoch) this.#committed.of(epoch)[kind] += records;
  }

  /** Waits, but not past a wake-up, `finish` or `drained`; says whether one of them came. */
  #sleep(millis: number): Promise<boolean> {
    return this.#wait.sleep(this.#finishing ? 0 : millis);
  }
}

/** How many of the records latched which epoch: few, and mostly in their order, since they come in the order of time. */
function epochsOf(records: readonly Pick<KernelRecord, 'epoch'>[]): readonly EpochCount[] {
  const counts = new Map<number, number>();
  for (let begin = 0, end = 0; begin < records.length; begin = end) {
    const { epoch } = records[begin] as KernelRecord;
    while (end < records.length && records[end]?.epoch === epoch) end += 1;
    counts.set(epoch, (counts.get(epoch) ?? 0) + end - begin);
  }
  return [...counts];
}
