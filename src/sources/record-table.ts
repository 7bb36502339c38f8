import { bitNames, limitOf, offsetOf, type StructLayout } from '../kernel/layout.ts';
import type { Condition, RecordProgram, SecretTriggers } from '../kernel/record-writer.ts';
import type { WallClock } from '../kernel/wall-clock.ts';
import type { CaptureIdentity } from './capture-identity.ts';
import type { KernelRecord } from './kernel-record.ts';
import { type Field, type Given, nullable, untold } from './record-field.ts';

/** From the kernel's record to the one in the topic: a field each, in the order of the schema. */
export type RecordFields<Event> = { readonly [Name in keyof Event]: Field<Event[Name]> };

export interface RecordTable<Event> {
  readonly fields: RecordFields<Event>;
  /** Of the struct that a record begins with. */
  readonly layout: StructLayout;
  /** Everything could be read, nothing was cut off, there is nothing to hide: then every field can be written at once. */
  readonly whole: readonly Condition[];
  /** By what `whole` knows that there may be something to hide. */
  readonly secrets?: SecretTriggers | undefined;
  /** Whether there is. */
  readonly hides?: (record: KernelRecord) => boolean;
  /** Where the steps that keep something put it. */
  readonly kept?: RecordProgram['kept'];
  /** The event, whatever the record lacks. */
  readonly eventOf: (record: KernelRecord) => Event;
  /** A record that is not whole for another reason than `whole` has. */
  readonly isOther?: (record: KernelRecord) => boolean;
  /** Before each batch: what findings say may be out of date. */
  readonly begin?: () => void;
  /**
   * Keeps of it what later records need: called in the order of the records, for each behind its own.
   * @param isWritten its fields have just been written, by their steps
   */
  readonly remember?: (record: KernelRecord, isWritten: boolean) => void;
}

/** Makes the event field by field. */
export function eventMaker<Event extends object>(fields: RecordFields<Event>): (record: KernelRecord) => Event {
  const names = Object.keys(fields) as (keyof Event)[];
  // A copy of it has room for every field from the start, which is a third of the time.
  const empty: Record<PropertyKey, unknown> = { ...fields };
  return (record) => {
    const event = { ...empty };
    for (const name of names) event[name] = fields[name].read(record);
    return event as unknown as Event;
  };
}

/** The table for records that cannot tell some of the fields: those are null. */
export function withoutLacking<Event>(lacking: readonly string[], fields: RecordFields<Event>): RecordFields<Event> {
  const told: Record<string, Field<unknown>> = { ...fields };
  for (const name of lacking) told[name] = untold((told[name] as Field<unknown>).type);
  return told as unknown as RecordFields<Event>;
}

/** What the identities of processes begin with: 64 of the 122 random bits tell the boots of a fleet apart. */
export function bootPrefixOf({ bootId }: CaptureIdentity): string {
  return bootId.replaceAll('-', '').slice(0, 16);
}

/** Microseconds between boot and 1970 that held when the event of the record happened. */
export function clockOffsetBy(wallClock: WallClock): Given {
  return ({ bootMicros }) => wallClock.offsetAt(bootMicros);
}

/** What the kernel says that it could not read: the bits of the record's `unread`. */
export interface Unread {
  /** That there is nothing. */
  readonly isNone: Condition;
  has(record: KernelRecord, bit: number): boolean;
  /** Of the fields. */
  names(record: KernelRecord): string[];
  /** The field, null where it could not be read. */
  unless<Value>(name: string, field: Field<Value>): Field<Value | null>;
}

/** @param prefix of the enumerators, as in EXEC_FIELD_ */
export function unreadOf(layout: StructLayout, prefix: string): Unread {
  const unreadAt = offsetOf(layout, 'unread', 8);
  const all = bitNames(layout, prefix);
  const has = ({ buffer, at }: KernelRecord, bit: number) =>
    ((buffer.readUInt32LE(at + unreadAt + (bit < 32 ? 0 : 4)) >>> (bit % 32)) & 1) === 1;
  return {
    isNone: { kind: 'equal', place: { offset: unreadAt, bytes: 8 }, value: 0 },
    has,
    names: (record) => all.filter((_, bit) => has(record, bit)),
    unless(name, field) {
      const bit = limitOf(layout, `${prefix}${name.toUpperCase()}`);
      return nullable(field, (record) => (has(record, bit) ? null : field.read(record)));
    },
  };
}
