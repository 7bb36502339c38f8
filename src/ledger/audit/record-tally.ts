import type { ExecEvent } from '../../schemas/exec-event.ts';
import { areSameRecord, unknownContent } from './kernel-fields.ts';
import { SparseCounters } from './sparse-counters.ts';

/** Two records of one identity whose kernel fields differ. */
export interface Conflict {
  readonly seq: number;
  readonly partition: number;
  readonly offset: number;
}

/** What every event has that the kernel numbers. */
export type NumberedEvent = Pick<
  ExecEvent,
  'host_id' | 'host_name' | 'boot_id' | 'attach_id' | 'epoch' | 'seq' | 'event_time' | 'boot_micros'
>;

/** What identifies a record, and where it belongs. */
export type RecordIdentity = Pick<NumberedEvent, 'seq' | 'epoch' | 'event_time' | 'host_name'>;

const conflictsKept = 20;

/** What the topic has of one attach: four bytes a record and four bytes an epoch. */
export class RecordTally {
  readonly attachId: number;
  hostName: string | null = null;
  /** Repeats included. */
  records = 0;
  repeats = 0;
  /** How many of the records are dead letters. */
  deadLetters = 0;
  conflicts = 0;
  readonly firstConflicts: Conflict[] = [];
  minSeq = Number.POSITIVE_INFINITY;
  maxSeq = Number.NEGATIVE_INFINITY;
  minEventTime = Number.POSITIVE_INFINITY;
  maxEventTime = Number.NEGATIVE_INFINITY;
  /** Of the latest event: microseconds since boot, and between boot and 1970. */
  maxBootMicros = Number.NEGATIVE_INFINITY;
  wallMinusBootMicros = 0;
  /** By seq, relative to attach_id: the hash of the record. */
  readonly #hashes = new SparseCounters();
  /** By epoch, relative to attach_id: how many identities. */
  readonly #epochs = new SparseCounters();

  constructor(attachId: number) {
    this.attachId = attachId;
  }

  /** @param hash of its kernel fields, as kernel-fields.ts makes it */
  add(event: NumberedEvent, hash: number, partition: number, offset: number): void {
    if (!this.#add(event, hash, partition, offset)) return;
    if (event.boot_micros > this.maxBootMicros) {
      this.maxBootMicros = event.boot_micros;
      this.wallMinusBootMicros = event.event_time * 1000 - event.boot_micros;
    }
  }

  /** A record of which only the identity is there. */
  addIdentity(identity: RecordIdentity, partition: number, offset: number): void {
    this.#add(identity, unknownContent, partition, offset);
  }

  /** @returns false when it is a repeat */
  #add(event: RecordIdentity, hash: number, partition: number, offset: number): boolean {
    this.records += 1;
    this.hostName = event.host_name ?? this.hostName;
    const index = event.seq - this.attachId;
    const known = this.#hashes.get(index);
    if (known !== 0) {
      this.repeats += 1;
      if (known === unknownContent) this.#hashes.set(index, hash);
      if (areSameRecord(known, hash)) return false;
      this.conflicts += 1;
      if (this.firstConflicts.length < conflictsKept) this.firstConflicts.push({ seq: event.seq, partition, offset });
      return false;
    }
    this.#hashes.set(index, hash);
    this.#epochs.add(event.epoch - this.attachId, 1);
    if (event.seq < this.minSeq) this.minSeq = event.seq;
    if (event.seq > this.maxSeq) this.maxSeq = event.seq;
    if (event.event_time < this.minEventTime) this.minEventTime = event.event_time;
    if (event.event_time > this.maxEventTime) this.maxEventTime = event.event_time;
    return true;
  }

  /** Identities with `after` < epoch <= `through`. */
  distinct(after: number, through: number): number {
    return this.#epochs.sum(after + 1 - this.attachId, through + 1 - this.attachId);
  }

  /** Sequence numbers from `start` to before `end` that no record has. */
  holes(start: number, end: number): number {
    return Math.max(0, end - start) - this.#hashes.occupied(start - this.attachId, end - this.attachId);
  }

  firstHoles(start: number, end: number, limit: number): number[] {
    const holes = this.#hashes.firstEmpty(start - this.attachId, end - this.attachId, limit);
    return holes.map((index) => index + this.attachId);
  }
}
