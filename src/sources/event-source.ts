import type { Acknowledgement, Batch, Source } from '../batch.ts';
import type { Clock } from '../clock.ts';
import type { EventRing } from '../kernel/addon.ts';
import type { Log } from '../log.ts';
import { AcknowledgedOffsets } from './acknowledged-offsets.ts';
import { CommittedByEpoch } from './committed-by-epoch.ts';
import { InterruptibleWait } from './interruptible-wait.ts';
import type { KernelRecord, RecordReader } from './kernel-record.ts';

/** What one batch takes at most; delivery sends a batch of this size in one request. */
const recordsAtMost = 500;
const bufferBytes = 512 * 1024;
/** A read that leaves less room than this may have stopped for want of it: longest record, with its prefix. */
const longestRecord = 64 * 1024;

/** While events come, a read is made this often, so that a batch is worth a request (milliseconds). */
const pace = 20;
/** After this long without an event the reader goes to sleep until a program wakes it (milliseconds). */
const idleAfter = 100;
/** A net under the wake-up (milliseconds). */
const sleepAtMost = 1000;

export interface EventSourceOptions {
  readonly ring: Pick<EventRing, 'read' | 'commit' | 'arm' | 'onWake'>;
  /** The epoch that has not ended. */
  readonly presentEpoch: () => number;
  readonly reader: RecordReader;
  readonly clock: Clock;
  readonly log: Log;
  /** Of what an earlier process had acknowledged at the same destination. */
  readonly offsets?: { readonly firstOffset: number; readonly lastOffset: number } | undefined;
}

/**
 * The events of one ring, in batches, oldest first. A batch is only looked at: the kernel keeps its
 * records until `commit`, and a process that dies before that leaves them to the next one.
 */
export class EventSource implements Source<KernelRecord> {
  readonly #ring: EventSourceOptions['ring'];
  readonly #presentEpoch: () => number;
  readonly #reader: RecordReader;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #buffer = Buffer.alloc(bufferBytes);

  /** Batches that were given out and not committed: nothing behind them may be committed. */
  #outstanding = 0;
  /** Epochs of records that made no sense and wait for the next commit. */
  #uncommitted: number[] = [];
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
    this.#clock = options.clock;
    this.#log = options.log;
    this.#offsets = new AcknowledgedOffsets(options.log, options.offsets);
    this.#wait = new InterruptibleWait(options.clock);
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

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch<KernelRecord>, void> {
    let lastRecord = Number.NEGATIVE_INFINITY;
    while (!this.#abandoned) {
      const begun = this.#clock.elapsedMillis();
      const { records, full, batch } = this.#read();
      if (batch !== undefined) yield batch;
      if (records > 0) {
        lastRecord = begun;
        if (!full) await this.#sleep(pace - (this.#clock.elapsedMillis() - begun));
        continue;
      }
      if (this.#outstanding === 0) for (const resolve of this.#onEmpty.splice(0)) resolve();
      if (this.#finishing) return;
      if (begun - lastRecord < idleAfter) await this.#sleep(pace);
      else if (this.#ring.arm()) await this.#sleep(sleepAtMost);
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
  committedAfter(epoch: number): { readonly acknowledged: number; readonly undecodable: number } {
    return this.#committed.after(epoch);
  }

  /** How many complete records were read, whether there may be more, and what is to be published of them. */
  #read(): { readonly records: number; readonly full: boolean; readonly batch?: Batch<KernelRecord> } {
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
      if (this.#outstanding === 0) this.#commit(position, events, undecodable, { firstOffset: -1, lastOffset: -1 });
      else this.#uncommitted = undecodable;
      return { records, full };
    }
    const commit = (acknowledgement: Acknowledgement) => {
      this.#commit(position, events, undecodable, acknowledgement);
      this.#outstanding -= 1;
      // Whoever waits for that gets another look at the ring.
      if (this.#outstanding === 0 && this.#onEmpty.length > 0) this.#wait.interrupt();
    };
    this.#outstanding += 1;
    return { records, full, batch: { events, commit } };
  }

  #commit(
    position: number,
    events: readonly Pick<KernelRecord, 'epoch'>[],
    undecodable: readonly number[],
    offsets: Pick<Acknowledgement, 'firstOffset' | 'lastOffset'>,
  ): void {
    if (events.length > 0) this.#offsets.note(offsets);
    this.#ring.commit(position, {
      acknowledged: events.length,
      undecodable: undecodable.length,
      firstOffset: this.#offsets.first,
      lastOffset: this.#offsets.last,
    });
    // A broken record may have latched any number; no true one is past the capture's own.
    const present = this.#presentEpoch();
    for (const { epoch } of events) if (epoch <= present) this.#committed.of(epoch).acknowledged += 1;
    for (const epoch of undecodable) if (epoch <= present) this.#committed.of(epoch).undecodable += 1;
  }

  /** Waits, but not past a wake-up, `finish` or `drained`. */
  async #sleep(millis: number): Promise<void> {
    await this.#wait.sleep(this.#finishing ? 0 : millis);
  }
}
