import type { HistoryEntry } from './ledger-history.ts';

/** How the streams of one kind are checked: what an event is, where it stands in a topic, and what only they have. */
export interface StreamKind {
  readonly records: TopicRecords;
  /** The first is of what the ledger calls published. */
  readonly measures: readonly [Measure, ...Measure[]];
  /** Whether an open epoch can have nothing pending. */
  readonly openWithoutPending: boolean;
  /** What is wrong with the low_watermark of an entry. */
  watermarkFault(entry: HistoryEntry): string | undefined;
  /** @param complete by index of the closed entry: every record of its window is there */
  checkRecords(complete: readonly boolean[]): void;
}

export interface TopicRecords {
  /** Repeats included. */
  readonly records: number;
  readonly repeats: number;
  /** How many of the records are dead letters. */
  readonly deadLetters: number;
  /** Identities with `after` < epoch <= `through`. */
  distinct(after: number, through: number): number;
}

/** Something that the ledger tells of and that can be counted in the topic, between any two epochs. */
export interface Measure {
  /** As in `3 of 5 records`. */
  readonly noun: string;
  /** In the identities with `after` < epoch <= `through`. */
  found(after: number, through: number): number;
  /** What the topic must have at least, and may have at most, between two closed entries. */
  told(entry: HistoryEntry, before: HistoryEntry | undefined): { readonly least: number; readonly most: number };
  /** Where what is missing between a closed entry and the one before it can have been. */
  locate(index: number): Located;
}

export interface Located {
  readonly text: string;
  readonly seqs?: readonly number[];
  /** False: there is no place where anything could be missing, so it is the ledger that tells of too much. */
  readonly possible: boolean;
}
