import type { KernelCounts } from './counts.ts';
import type { StructLayout } from './layout.ts';

/** What the addon has of the rings through which events come: the typed contract of native/addon_stream.cpp. */

/** What one read brought. */
export interface ReadResult {
  /** Records in the buffer, each as: u32 payload bytes, u32 zero, payload, padding to a multiple of 8. */
  readonly records: number;
  /** Used bytes of the buffer. */
  readonly bytes: number;
  /** Ring position behind the last record, bytes since the ring was made: what `commit` takes. */
  readonly position: number;
}

/** What became of the records of one ring, since attachId. */
export interface RingStatus {
  readonly acknowledged: number;
  readonly undecodable: number;
  /** Offsets of the first and the last acknowledged record at the present destination; -1 before there is one. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Records of all rings of the stream that were moved to the spool; like the four below it 0 for any but its main ring. */
  readonly spooled: number;
  /** Of the spool that has them; 0 when nothing was moved yet. */
  readonly spoolId: number;
  /** Of those that were moved: acknowledged since, dropped when the spool was full, gone with it. */
  readonly spoolAcknowledged: number;
  readonly spoolEvicted: number;
  readonly spoolMissing: number;
  readonly corrupt: number;
  readonly corruptBytes: number;
  /** Of an earlier version, read to its end and given up: it has no memory any more. */
  readonly retired: boolean;
  /** Ring position up to which everything is committed, and behind the newest record. */
  readonly consumerPosition: number;
  readonly producerPosition: number;
  readonly waitingBytes: number;
  readonly ringBytes: number;
  readonly highWaterBytes: number;
}

/** Counters of the kernel for one stream, since attachId, and of its ring of whole records. */
export interface StreamStatus extends KernelCounts, RingStatus {
  /** The program of an earlier version, or one with other settings, was replaced by this one's. */
  readonly replacedProgram: boolean;
  /** How long nothing was captured since attachId. */
  readonly unobservedMicros: number;
  /** Of the compiled programs whose record program is installed, 16 hexadecimal digits. */
  readonly programHash: string;
  readonly nextSeq: number;
}

/** What a commit says of the records that it covers. */
export interface Committed {
  readonly acknowledged: number;
  readonly undecodable: number;
  /** Moved to the spool with this id. */
  readonly spooled: number;
  readonly spoolId: number;
  /** In the topic; any number when nothing was acknowledged. */
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** What became of the records that were moved to the spool, totals since attachId. */
export interface SpoolTotals {
  /** Of the spool that they were moved to; 0 leaves what is known. */
  readonly spoolId: number;
  readonly acknowledged: number;
  readonly evicted: number;
  readonly missing: number;
  /** In the topic; -1 leaves what is known. */
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** Records that wait for their reader. */
export interface EventRing {
  /** Copies the oldest unread records into the buffer; nothing is consumed. */
  read(into: Uint8Array, maxRecords: number): ReadResult;
  /** Lets the kernel reuse everything before `position`. */
  commit(position: number, committed: Committed): void;
  /**
   * Commits what a process that ended had moved to the spool and not committed; before the first `read`.
   * @returns false, with nothing done, when no complete record ends at `position`
   */
  rollForward(position: number, committed: Committed): boolean;
  /** Notes what became of records in the spool. */
  noteSpool(totals: SpoolTotals): void;
  /** Announces that the reader sleeps until `onWake`; false when there is something to read instead. */
  arm(): boolean;
  /** The callback runs on the main loop, once for each time that the armed reader is woken. */
  onWake(callback: () => void): void;
  status(): RingStatus;
  /** Records of `epoch` and before that wait between the consumer position and the producer position of its cut. */
  pending(epoch: number, producerPosition: number): number;
}

/** A ring that an earlier version wrote to, with another record layout; nothing comes any more. */
export interface EarlierRing extends EventRing {
  /** Of the struct that its records begin with. @throws Bpf2KafkaError ERR_PIN_LAYOUT once it is not known */
  layout(): StructLayout;
  /** Gives its memory back to the kernel; when it is empty. Its totals stay. */
  retire(): void;
}

/** One stream of events of a running capture, and its ring of whole records. */
export interface EventStream extends EventRing {
  /** What had no room in the ring of whole records: the beginning of each. Absent where there is no such ring. */
  readonly bare?: EventRing;
  /** Oldest first; those that were retired are among them, for their totals. */
  readonly earlier: readonly EarlierRing[];
  status(): StreamStatus;
  /** Records of all rings that no broker has acknowledged; walks them. */
  backlog(): number;
  /** Of the struct that a record begins with. */
  layout(): StructLayout;
}
