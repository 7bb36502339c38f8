import type { Acknowledgement, Batch } from '../batch.ts';
import type { Clock } from '../clock.ts';
import type { Capture } from '../kernel/addon.ts';
import type { Log } from '../log.ts';
import type { ExecEvent } from '../schemas/exec-event.ts';
import type { ExecDecoder } from './exec-decoder.ts';

/** What one batch takes at most; delivery sends a batch of this size in one request. */
const recordsAtMost = 500;
const bufferBytes = 512 * 1024;

/** While events come, a read is made this often, so that a batch is worth a request (milliseconds). */
const pace = 15;
/** After this long without an event the reader goes to sleep until a program wakes it (milliseconds). */
const idleAfter = 100;
/** A net under the wake-up (milliseconds). */
const sleepAtMost = 1000;

/**
 * The execs of this host, in batches, oldest first. A batch is only looked at: the kernel keeps its
 * records until `commit`, and a process that dies before that leaves them to the next one.
 */
export class ExecSource implements AsyncIterable<Batch<ExecEvent>> {
  readonly #capture: Capture;
  readonly #decoder: ExecDecoder;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #buffer = Buffer.alloc(bufferBytes);

  /** What was committed of the newest epoch, for the cut that ends the one before it. */
  #newest = { epoch: 0, acknowledged: 0, undecodable: 0 };
  /** Of the first record that this process had acknowledged. */
  #firstOffset: number | undefined;
  #finishing = false;
  /** Aborted, and replaced, to end the current wait. */
  #wait = new AbortController();
  #onEmpty: (() => void)[] = [];

  constructor(options: { capture: Capture; decoder: ExecDecoder; clock: Clock; log: Log }) {
    this.#capture = options.capture;
    this.#decoder = options.decoder;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#capture.onWake(() => this.#wait.abort());
  }

  /** Ends the iteration when everything that is in the ring has been given out and committed. */
  finish(): void {
    this.#finishing = true;
    this.#wait.abort();
  }

  /** Resolves when the ring has been found empty, with everything committed, after this call. */
  drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty.push(resolve);
    this.#wait.abort();
    return promise;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch<ExecEvent>, void> {
    let lastEvent = Number.NEGATIVE_INFINITY;
    for (;;) {
      const begun = this.#clock.nowMillis();
      const batch = this.#read();
      if (batch !== undefined) {
        yield batch;
        lastEvent = begun;
        if (batch.events.length < recordsAtMost) await this.#sleep(pace - (this.#clock.nowMillis() - begun));
        continue;
      }
      for (const resolve of this.#onEmpty.splice(0)) resolve();
      if (this.#finishing) return;
      if (begun - lastEvent < idleAfter) await this.#sleep(pace);
      else if (this.#capture.arm()) await this.#sleep(sleepAtMost);
    }
  }

  /** Of the records that were committed in this process, those that latched a later epoch than this one. */
  committedAfter(epoch: number): { readonly acknowledged: number; readonly undecodable: number } {
    return this.#newest.epoch > epoch ? this.#newest : { acknowledged: 0, undecodable: 0 };
  }

  /** The next batch; undefined when there is no complete record. */
  #read(): Batch<ExecEvent> | undefined {
    const { records, position } = this.#capture.read(this.#buffer, recordsAtMost);
    const events: ExecEvent[] = [];
    const undecodable: number[] = []; // their epochs
    let at = 0;
    for (let i = 0; i < records; i += 1) {
      const bytes = this.#buffer.readUInt32LE(at);
      const event = this.#decoder.decode(this.#buffer, at + 8, bytes);
      if (event !== undefined) events.push(event);
      else undecodable.push(this.#decoder.epochOf(this.#buffer, at + 8, bytes) ?? this.#newest.epoch);
      at += 8 + Math.ceil(bytes / 8) * 8;
    }
    if (undecodable.length > 0)
      this.#log.error({ records: undecodable.length }, 'records of the kernel could not be decoded; they count as lost');
    if (events.length > 0) return { events, commit: (acknowledgement) => this.#commit(position, events, undecodable, acknowledgement) };
    // Nothing to publish; discarded or broken records still give their room back.
    this.#commit(position, events, undecodable, { firstOffset: -1, lastOffset: -1 });
    return undefined;
  }

  #commit(
    position: number,
    events: readonly ExecEvent[],
    undecodable: readonly number[],
    { firstOffset, lastOffset }: Pick<Acknowledgement, 'firstOffset' | 'lastOffset'>,
  ): void {
    if (events.length > 0) this.#firstOffset ??= firstOffset;
    this.#capture.commit(position, {
      acknowledged: events.length,
      undecodable: undecodable.length,
      firstOffset: this.#firstOffset ?? -1,
      lastOffset,
    });
    for (const { epoch } of events) this.#enter(epoch).acknowledged += 1;
    for (const epoch of undecodable) this.#enter(epoch).undecodable += 1;
  }

  /** Where to count a record of the epoch: nowhere that matters, unless it is the newest. */
  #enter(epoch: number): { acknowledged: number; undecodable: number } {
    if (epoch > this.#newest.epoch) this.#newest = { epoch, acknowledged: 0, undecodable: 0 };
    return epoch === this.#newest.epoch ? this.#newest : { acknowledged: 0, undecodable: 0 };
  }

  /** Waits, but not past a wake-up, `finish` or `drained`. */
  async #sleep(millis: number): Promise<void> {
    if (millis > 0 && !this.#finishing) await this.#clock.sleep(millis, this.#wait.signal);
    if (this.#wait.signal.aborted) this.#wait = new AbortController();
  }
}
