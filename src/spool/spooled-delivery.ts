import type { Acknowledgement, Kept, OutgoingBatch } from '../batch.ts';
import type { Clock } from '../clock.ts';
import { reasonOf } from '../errors.ts';
import { InterruptibleWait } from '../interruptible-wait.ts';
import type { EventStream } from '../kernel/event-ring.ts';
import type { Log } from '../log.ts';
import type { Delivery } from '../producers/delivery.ts';
import type { PackedRecords } from '../records/packed-records.ts';
import { packRecords } from '../records/record-packer.ts';
import { type AvroSchema, fingerprint } from '../schemas/fingerprint.ts';
import { decodeSpooledBatch, encodeSpooledBatch } from '../schemas/spooled-batch.ts';
import type { SpoolEntry } from './held-batches.ts';
import type { Spool } from './spool.ts';
import { Damaged, type SpoolSchema } from './spool-store.ts';

/** How values are framed. */
export interface Frames {
  /** Of what the codec writes now. */
  readonly schema: AvroSchema;
  readonly frame: Buffer;
  /** Of another schema of the topic; fails when the registry does not tell it now. */
  frameOf(schema: AvroSchema): Promise<Buffer>;
}

export interface SpooledDeliveryOptions {
  readonly spool: Spool;
  readonly delivery: Pick<Delivery, 'announce' | 'withdraw' | 'accept' | 'state'>;
  /** Name without prefix. */
  readonly topic: string;
  /** Of the records in the spool, which do not have it. */
  readonly key: string;
  readonly frames: Frames;
  readonly ring: Pick<EventStream, 'status'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** From here on it may have to go fast. */
const prepareAt = 0.25;
/** A ring that is fuller than this is passed on to the disk, so that the rest holds what comes meanwhile. */
const highWater = 0.5;
/** Of a ring that is fuller than this the rest may not hold what comes until an answer. */
const brim = 0.75;
/** A broker that does not answer for so long is away, also when no attempt has failed yet; at the brim (milliseconds). */
const awayAfter = 1_000;
const awayAtBrimAfter = 100;
/** How often the ring is looked at while a batch waits (milliseconds). */
const lookEvery = 20;
/** Between two questions for the frame of an older schema (milliseconds). */
const askAgainAfter = 5_000;

/**
 * The way to the broker past the disk: a batch is kept when the broker has acknowledged it, or, while the broker is away
 * and the ring fills, when it is in the spool. Nothing passes a spool that is not empty.
 */
export class SpooledDelivery {
  readonly #options: SpooledDeliveryOptions;
  readonly #fingerprint: Buffer;
  readonly #schema: SpoolSchema;
  /** By fingerprint in hexadecimal digits. */
  readonly #frames = new Map<string, Buffer>();
  /** Of the batch that was accepted last, until there is something to look at. */
  readonly #wait: InterruptibleWait;
  /** A batch was announced since. */
  #nextIsHere = false;

  constructor(options: SpooledDeliveryOptions) {
    this.#options = options;
    this.#wait = new InterruptibleWait(options.clock);
    const { schema, frame } = options.frames;
    this.#fingerprint = fingerprint(schema);
    this.#schema = { fingerprint: this.#fingerprint.toString('hex'), text: JSON.stringify(schema) };
    this.#frames.set(this.#schema.fingerprint, frame);
  }

  announce(batch: OutgoingBatch): void {
    this.#options.delivery.announce(batch);
    this.#nextIsHere = true;
    this.#wait.interrupt();
  }

  /** @throws Bpf2KafkaError ERR_UNDELIVERED as Delivery.accept */
  async accept(batch: OutgoingBatch, signal: AbortSignal): Promise<Kept> {
    const { spool, delivery, clock } = this.#options;
    const begun = clock.elapsedMillis();
    let sent: Promise<Acknowledgement> | undefined;
    let stored: Buffer | undefined;
    let answered = false;
    const answer = () => {
      answered = true;
      this.#wait.interrupt();
    };
    this.#nextIsHere = false;
    for (;;) {
      if (sent === undefined && spool.isEmpty) {
        sent = delivery.accept(batch, signal);
        sent.then(answer, answer);
      } else if (this.#overflows(begun)) {
        stored ??= this.#encode(batch);
        const kept = await this.#spool(batch, stored, sent);
        if (kept !== undefined) return kept;
      }
      // A ring whose next batch has not come does not fill, so most batches need no timer, whose wake-up costs as much
      // as a third of a batch.
      await this.#wait.sleep(sent === undefined || this.#nextIsHere ? lookEvery : Number.POSITIVE_INFINITY);
      if (answered) return await (sent as Promise<Acknowledgement>);
      if (sent === undefined) signal.throwIfAborted();
    }
  }

  /** For records that do not go to disk: they wait where they are until nothing is in front of them any more. */
  readonly behind = {
    announce: (batch: OutgoingBatch): void => this.announce(batch),
    accept: async (batch: OutgoingBatch, signal: AbortSignal): Promise<Acknowledgement> => {
      const { spool, delivery } = this.#options;
      await spool.emptied(signal);
      return delivery.accept(batch, signal);
    },
  };

  /** Sends what is in the spool, oldest first, until `Spool.finish`, or until the signal aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    const { spool } = this.#options;
    for (;;) {
      const entry = await spool.next(signal);
      if (entry === undefined) return;
      const acknowledgement = await (entry.sent ?? this.#send(entry, signal));
      if (acknowledgement !== undefined) await spool.leave(entry, acknowledgement, signal);
    }
  }

  /** The ring needs the room of this batch, and its turn will not come soon. */
  #overflows(begun: number): boolean {
    const { spool, delivery, ring, clock } = this.#options;
    const { waitingBytes, ringBytes } = ring.status();
    if (waitingBytes > prepareAt * ringBytes) spool.prepare();
    if (waitingBytes <= highWater * ringBytes) return false;
    if (!spool.isEmpty || delivery.state.state === 'retrying') return true;
    return clock.elapsedMillis() - begun >= (waitingBytes > brim * ringBytes ? awayAtBrimAfter : awayAfter);
  }

  #encode({ records }: OutgoingBatch): Buffer {
    const framed = this.#options.frames.frame.length;
    return encodeSpooledBatch({
      fingerprint: this.#fingerprint,
      records: Array.from(records, ({ value, timestamp, headers }) => ({
        value: value.subarray(framed),
        timestamp,
        headers,
      })),
    });
  }

  async #spool(
    batch: OutgoingBatch,
    stored: Buffer,
    sent: Promise<Acknowledgement> | undefined,
  ): Promise<Kept | undefined> {
    const { spool, delivery } = this.#options;
    const { span } = batch;
    if (span === undefined) throw new TypeError('only a batch out of a ring can be spooled');
    // What the spool drops counts as lost: nothing of it may be in the topic.
    const sentAhead = delivery.withdraw(batch);
    const tried = sentAhead || sent !== undefined;
    const kept = await spool.enter({ value: stored, span, schema: this.#schema, tried }, sent);
    if (kept !== undefined) sent?.catch(() => {}); // whoever takes the batch out of the spool hears of it
    return kept;
  }

  async #send(entry: SpoolEntry, signal: AbortSignal): Promise<Acknowledgement | undefined> {
    const { spool, delivery, topic, key } = this.#options;
    let records: PackedRecords;
    try {
      const batch = decodeSpooledBatch(spool.read(entry));
      const frame = await this.#frameOf(batch.fingerprint.toString('hex'), signal);
      if (frame === undefined) return undefined;
      records = packRecords(
        batch.records.map((record) => ({ ...record, key, value: Buffer.concat([frame, record.value]) })),
      );
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      await spool.giveUp(entry, error.message, signal);
      return undefined;
    }
    return delivery.accept({ topic, records }, signal);
  }

  /** Waits for the registry, when an earlier version wrote with another schema; undefined when the signal aborts. */
  async #frameOf(schemaFingerprint: string, signal: AbortSignal): Promise<Buffer | undefined> {
    const { spool, frames, clock, log } = this.#options;
    while (!signal.aborted) {
      const known = this.#frames.get(schemaFingerprint);
      if (known !== undefined) return known;
      const text = spool.schema(schemaFingerprint);
      if (text === undefined) throw new Damaged('the schema of a batch is not there');
      try {
        this.#frames.set(schemaFingerprint, await frames.frameOf(JSON.parse(text)));
      } catch (error) {
        log.warn({ reason: reasonOf(error) }, 'the spool waits for the registry, with records of an earlier version');
        await clock.sleep(askAgainAfter, signal);
      }
    }
    return undefined;
  }
}
