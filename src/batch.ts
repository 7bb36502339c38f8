import type { PackedRecords } from './records/packed-records.ts';

/**
 * What passes between the steps of the pipeline: source -> codec -> delivery.
 */

/** Events that were peeked at, not consumed: until `commit` the kernel keeps them and a restart reads them again. */
export interface Batch<Event, By extends Kept = Acknowledgement> {
  /**
   * At least one, good until the next batch is asked for: they may stand in a buffer that the source reads into again.
   * So a batch is encoded first, and what is encoded stands in memory of its own.
   */
  readonly events: readonly Event[];
  /** Of a batch out of a ring: where it stood. */
  readonly span?: RingSpan;
  /** Lets the kernel reuse the space. Call it once; it takes the word of who keeps every event from now on. */
  commit(kept: By): void;
}

/** A piece of a kernel ring. */
export interface RingSpan {
  /** Ring positions, bytes since the ring was made; one batch begins where the one before ends. */
  readonly start: number;
  readonly end: number;
  /** Records in it that made no sense: they are not in the batch, and are lost when it is committed. */
  readonly undecodable: number;
  /** How many of the batch's events latched which epoch. */
  epochs(): readonly EpochCount[];
}

export type EpochCount = readonly [epoch: number, records: number];

/** Batches out of the kernel, oldest first. */
export interface Source<Event, By extends Kept = Acknowledgement> extends AsyncIterable<Batch<Event, By>> {
  /** Ends the iteration at once: nothing will be committed any more. What was not stays in the kernel. */
  abandon(): void;
}

/** Who keeps the events of a batch. */
export type Kept = Acknowledgement | Spooled;

/** All of a batch is on disk, and will survive a loss of power. */
export interface Spooled {
  /** Of the spool that has it. */
  readonly spoolId: number;
  /** Call it when the kernel has been told, in the same turn of the loop: from then on the spool accounts for the batch. */
  committed(): void;
}

/** Records of one topic that succeed or fail together, in order. */
export interface OutgoingBatch {
  /** Name without prefix, as in `exec-events`. */
  readonly topic: string;
  readonly records: PackedRecords;
  /** Sent instead when the broker refuses the only record for its size. */
  readonly smaller?: PackedRecords;
  /** Of the batch that they were made of. */
  readonly span?: RingSpan | undefined;
  /**
   * Lets the memory of the records be used again, for whoever does so more often than a collection of the heap is good for.
   * Call it when nobody reads them any more.
   */
  readonly release?: () => void;
}

/** The broker's word that every record of a batch is written: to its topic, or to the dead letter when it refuses it there. */
export interface Acknowledgement {
  readonly topic: string;
  readonly partition: number;
  /**
   * Offsets of the first and the last record of the batch in its topic, -1 when that has none of them; records of other
   * hosts may stand between them.
   */
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly records: number;
}
