import { loadAddon, translated, translating } from './load-addon.ts';

/**
 * The typed contract of what the native addon does with records of the kernel (native/record_writer.h): it writes them as
 * Avro, many in one call, by a program that is data.
 */

/** An unsigned number in a record, little-endian. The struct that it stands in has eight bytes at least. */
export interface Place {
  /** From the start of the record. */
  readonly offset: number;
  readonly bytes: 1 | 2 | 4 | 8;
}

/** Where a record says where one of its strings stands: struct span of bpf/abi.h, offsets of its two halves. */
export interface SpanPlace {
  readonly offset: number;
  readonly length: number;
}

/** What must hold of a record. */
export type Condition =
  | {
      readonly kind: 'equal' | 'unequal';
      readonly place: Place;
      /** Bits that count, below 2^32; without it all of the number. */
      readonly mask?: number;
      readonly value: number;
    }
  /** Both numbers are equal. */
  | { readonly kind: 'same'; readonly place: Place; readonly other: Place }
  /** The texts have none of `RecordProgram.secrets`. */
  | { readonly kind: 'harmless'; readonly span: SpanPlace };

/** Bytes of a record by which something is looked up: numbers one behind the other (64 bytes at most), or a string. */
export type Key = { readonly numbers: readonly Place[] } | { readonly span: SpanPlace };

/**
 * One step of the way of a record into Avro. What is not UTF-8, or not a number that fits, ends the record: it is declined.
 * @template Given how a number is named that is worked out here
 * @template Table how a table is named
 */
export type Step<Given, Table> =
  /** The same for each record. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** Bits of a number, see Condition, as an int or a long up to 2^53 - 2. */
  | { readonly kind: 'number'; readonly place: Place; readonly mask?: number; readonly most: 'int' | 'long' }
  /** A boolean. @param index of the bit, from the lowest */
  | { readonly kind: 'bit'; readonly place: Place; readonly index: number }
  /** A string of the number in decimal. */
  | { readonly kind: 'decimal'; readonly place: Place }
  /** Eight digits for the 32 bits at the offset; the length of their string, and perhaps more of it, comes before. */
  | { readonly kind: 'hex'; readonly offset: number }
  /** A string of at most 16 bytes, ended by a NUL when it is shorter. */
  | { readonly kind: 'name'; readonly offset: number }
  /** A string of MAJOR:MINOR, from the kernel's encoding of device numbers. */
  | { readonly kind: 'device'; readonly place: Place }
  | { readonly kind: 'text'; readonly span: SpanPlace }
  /** An array of strings, each ended by a NUL, the last one perhaps not. @param place how many they must be */
  | { readonly kind: 'texts'; readonly span: SpanPlace; readonly place: Place }
  /** A long of microseconds, from nanoseconds. */
  | { readonly kind: 'micros'; readonly place: Place }
  /** A long of milliseconds since 1970, from nanoseconds since boot. @param of microseconds between the two */
  | { readonly kind: 'millis'; readonly place: Place; readonly of: Given }
  /** A long. */
  | { readonly kind: 'given'; readonly of: Given }
  /** A value that a table has for the record. */
  | { readonly kind: 'learned'; readonly of: Table; readonly part: number }
  /** An array of names: these, and those that are missing in values of the tables. */
  | { readonly kind: 'missing'; readonly names: readonly string[]; readonly of: readonly Table[] }
  /** Other steps if the condition holds, or null. */
  | { readonly kind: 'when'; readonly condition: Condition; readonly steps: readonly Step<Given, Table>[] }
  /** An array of the structs in a span; offsets in these steps are from the start of each. */
  | {
      readonly kind: 'items';
      readonly span: SpanPlace;
      readonly itemBytes: number;
      readonly steps: readonly Step<Given, Table>[];
    }
  /** Other steps, with the number of bytes that they write in front of them, as a long. */
  | { readonly kind: 'sized'; readonly steps: readonly Step<Given, Table>[] }
  /** Other steps, whose Avro is kept for later records. @param part which value of RecordProgram.kept */
  | { readonly kind: 'keep'; readonly part: number; readonly steps: readonly Step<Given, Table>[] };

/** Four characters in a row, one of which is in every text that may hold a secret: a perfect hash table of them. */
export interface SecretTriggers {
  readonly slots: Int32Array;
  readonly multiplier: number;
  readonly shift: number;
  /** Three that begin an address, in which there is only a secret when an @ follows. */
  readonly scheme: number;
}

/** Values as Avro by bytes, within bounds; what was set or asked for recently stays. */
export interface LearnedTable {
  /** The parts of a value. */
  get(key: Uint8Array): Uint8Array[] | undefined;
  /**
   * @param parts at most six
   * @param missing names of those that should be there and could not be found out
   */
  set(key: Uint8Array, parts: readonly Uint8Array[], missing: readonly string[]): void;
  clear(): void;
}

/** What is to be written of each record, by indexes of what is given for it and of `tables`. */
export interface RecordProgram {
  readonly steps: readonly Step<number, number>[];
  /** As the step `millis`: when each record happened. */
  readonly timestamp: { readonly place: Place; readonly of: number };
  /** What must hold of a record, or it is declined. */
  readonly whole: readonly Condition[];
  readonly tables: readonly { readonly learned: LearnedTable; readonly key: Key }[];
  readonly secrets?: SecretTriggers | undefined;
  /** Where `keep` puts its parts; one of which nothing was written is null, and missing by its name. */
  readonly kept?: { readonly learned: LearnedTable; readonly key: Key; readonly names: readonly string[] } | undefined;
  /** Of the struct that a record begins with. */
  readonly recordBytes: number;
  /** How many numbers are given for each record. */
  readonly given: number;
}

export interface RecordWriter {
  /** Begins a batch: what has been written is forgotten. */
  clear(): void;
  /**
   * Writes records behind what has been written, up to the first one that it cannot write.
   * @param memory that the records stand in
   * @param records where each begins
   * @param given as many numbers for each record as the program wants
   * @param ends where each one that was written ends in the batch; filled
   * @param timestamps of those, milliseconds since 1970; filled
   * @param begin index of the first record to be written, and `end` of the one behind the last
   * @param cleared index of one of which it is known that it has no secrets; the same text in the same place is remembered
   * to have none
   * @returns index of the first record that was not written
   */
  write(
    memory: Uint8Array,
    records: Uint32Array,
    given: Float64Array,
    ends: Uint32Array,
    timestamps: Float64Array,
    begin: number,
    end: number,
    cleared?: number,
  ): number;
  /** Why the last `write` ended where it did; without one of the two the record is declined. */
  stopped(): {
    /** The table that must be told what the record asks it for. */
    readonly unknown?: number;
    /** The record may hold a secret. */
    readonly suspect?: true;
  };
  /** Writes bytes that are known behind what has been written; returns where they end in the batch. */
  add(bytes: Uint8Array): number;
  /** Of the batch so far. */
  bytes(): number;
  /** Copies the batch. @throws Bpf2KafkaError ERR_ADDON when it is larger */
  copyTo(memory: Uint8Array): void;
}

interface NativeRecords {
  LearnedTable: new (mostEntries: number, mostBytes: number) => LearnedTable;
  RecordWriter: new (program: RecordProgram) => RecordWriter;
}

/** At least half of the bounds are used before anything is forgotten. */
export function openLearnedTable({
  entries,
  bytes,
}: {
  readonly entries: number;
  readonly bytes: number;
}): LearnedTable {
  return new (loadAddon<NativeRecords>().LearnedTable)(entries, bytes);
}

/** @throws Bpf2KafkaError ERR_ADDON for a program that would reach outside of a record */
export function openRecordWriter(program: RecordProgram): RecordWriter {
  return translating(translated(() => new (loadAddon<NativeRecords>().RecordWriter)(program)));
}
