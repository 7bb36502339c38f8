/**
 * What passes between the steps of the pipeline: source -> codec -> delivery.
 */

/** Events that were peeked at, not consumed: until `commit` the kernel keeps them and a restart reads them again. */
export interface Batch<Event> {
  /**
   * At least one, good until the next batch is asked for: they may stand in a buffer that the source reads into again.
   * So a batch is encoded first, and what is encoded stands in memory of its own.
   */
  readonly events: readonly Event[];
  /** Lets the kernel reuse the space. Call it once; it takes the broker's word for every event. */
  commit(acknowledgement: Acknowledgement): void;
}

/** Batches out of the kernel, oldest first. */
export interface Source<Event> extends AsyncIterable<Batch<Event>> {
  /** Ends the iteration at once: nothing will be committed any more. What was not stays in the kernel. */
  abandon(): void;
}

/** One Kafka record, ready to send. */
export interface OutgoingRecord {
  /** The id of this host when absent. */
  readonly key?: string;
  /** The framed Avro value. */
  readonly value: Buffer;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent instead when the broker refuses this one for its size. */
  readonly smaller?: OutgoingRecord;
}

/** Records of one topic that succeed or fail together, in order. */
export interface OutgoingBatch {
  /** Name without prefix, as in `exec-events`. */
  readonly topic: string;
  readonly records: readonly OutgoingRecord[];
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
