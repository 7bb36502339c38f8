import { bitNames, limitOf, offsetOf, type StructLayout } from '../kernel/layout.ts';
import type { WallClock } from '../kernel/wall-clock.ts';
import type { CaptureIdentity } from './capture-identity.ts';
import { type KernelRecord, u64 } from './kernel-record.ts';
import { type Field, nullable, untold } from './record-field.ts';

/** From the kernel's record to the one in the topic: a field each, in the order of the schema. */
export type RecordFields<Event> = { readonly [Name in keyof Event]: Field<Event[Name]> };

export interface RecordTable<Event> {
  readonly fields: RecordFields<Event>;
  /** Everything could be read, nothing was cut off, there is nothing to hide: then every field can be written at once. */
  readonly isWhole: (record: KernelRecord) => boolean;
  /** The event, whatever the record lacks. */
  readonly eventOf: (record: KernelRecord) => Event;
  /**
   * Keeps of it what later records need: called in the order of the records, for each behind its own.
   * @param isWritten its fields have just been written, each by its `write`
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

/** Wall time of a moment, milliseconds since 1970, by the offset that held when the event of the record happened. */
export function wallMillisBy(wallClock: WallClock): (record: KernelRecord, sinceBootMicros: number) => number {
  return ({ bootMicros }, sinceBootMicros) => Math.floor((sinceBootMicros + wallClock.offsetAt(bootMicros)) / 1000);
}

/** What the kernel says that it could not read: the bits of the record's `unread`. */
export interface Unread {
  /** Nothing at all. */
  isNone(record: KernelRecord): boolean;
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
    isNone: ({ buffer, at }) => u64(buffer, at + unreadAt) === 0,
    has,
    names: (record) => all.filter((_, bit) => has(record, bit)),
    unless(name, field) {
      const bit = limitOf(layout, `${prefix}${name.toUpperCase()}`);
      return nullable(field, (record) => (has(record, bit) ? null : field.read(record)));
    },
  };
}
