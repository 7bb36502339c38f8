import { limitOf, offsetOf, type StructLayout } from '../kernel/layout.ts';
import type { WallClock } from '../kernel/wall-clock.ts';
import { writeLong } from '../schemas/avro-bytes.ts';
import { topicSchema } from '../schemas/catalog.ts';
import type { Ancestor } from '../schemas/exec-event.ts';
import type { AvroSchema } from '../schemas/fingerprint.ts';
import { type KernelRecord, micros, spanOffset } from './kernel-record.ts';
import { absent, commText, type Field, hexText, nullable, timestampMillis, u32AsInt } from './record-field.ts';
import { wallMillisBy } from './record-table.ts';
import { writerOf } from './record-writer.ts';
import { WrittenSpans } from './written-spans.ts';

/** An ancestor is read as a record of its own that stands inside of the record. */
interface AncestorRecord extends KernelRecord {
  at: number;
}

type AncestorFields = { readonly [Name in keyof Ancestor]: Field<Ancestor[Name]> };

/**
 * The ancestors of a record. Children of one process have the same, and that is nearly half of their bytes: they are written
 * once, and copied.
 * @param layout of struct exec_record; that of struct exec_ancestor is in it, with the prefix `ancestor.`
 * @param wallMillis of microseconds since boot, by the offset that held when the exec happened
 */
export function lineage(layout: StructLayout, bootPrefix: string, wallClock: WallClock): Field<Ancestor[] | null> {
  const wallMillis = wallMillisBy(wallClock);
  const span = spanOffset(layout, 'ancestors');
  const bytes = limitOf(layout, 'ANCESTOR_BYTES');
  const startNs = offsetOf(layout, 'ancestor.start_boot_ns', 8);
  const pid = offsetOf(layout, 'ancestor.pid', 4);
  const process = [startNs + 4, startNs, pid];
  const fields: AncestorFields = {
    pid: u32AsInt(pid),
    start_time: timestampMillis((record) => wallMillis(record, micros(record.buffer, record.at + startNs))),
    comm: commText(offsetOf(layout, 'ancestor.comm', 16)),
    process_id: hexText(bootPrefix, process),
    exec_id: nullable(hexText(bootPrefix, [...process, offsetOf(layout, 'ancestor.exec_count', 4)])),
    exe: absent('string'),
  };
  const write = writerOf(Object.values(fields));
  const countOf = ({ buffer, at }: KernelRecord) => buffer.readUInt16LE(at + span.length) / bytes;
  const startOf = ({ buffer, at }: KernelRecord) => at + buffer.readUInt16LE(at + span.offset);

  const cache = new WrittenSpans();

  return nullable({
    type: typeInSchema(fields),
    read: (record) =>
      Array.from({ length: countOf(record) }, (_, i) => {
        const ancestor = { ...record, at: startOf(record) + i * bytes };
        return {
          pid: fields.pid.read(ancestor),
          start_time: fields.start_time.read(ancestor),
          comm: fields.comm.read(ancestor),
          process_id: fields.process_id.read(ancestor),
          exec_id: fields.exec_id.read(ancestor),
          exe: null,
        };
      }),
    fixed: Buffer.alloc(0),
    write(out, start, record) {
      const count = countOf(record);
      const from = startOf(record);
      const offset = wallClock.offsetAt(record.bootMicros);
      const end = cache.write(out, start, record.buffer, from, from + count * bytes, offset);
      if (end !== undefined) return end;
      let at = start;
      if (count > 0) {
        at = writeLong(out, at, count);
        const ancestor: AncestorRecord = { ...record, at: from };
        for (let i = 0; i < count; i += 1) {
          at = write(out, at, ancestor);
          if (at < 0) return at;
          ancestor.at += bytes;
        }
      }
      // An array ends with a block of no items.
      out[at] = 0;
      if (at < out.length) cache.keep(record.buffer, from, from + count * bytes, offset, out.subarray(start, at + 1));
      return at + 1;
    },
  });
}

/** The type of the field, after it was compared with what is written: the one in the schema has descriptions too. */
function typeInSchema(fields: AncestorFields): AvroSchema {
  const schema = topicSchema('exec-events').schema as {
    readonly fields: readonly { readonly name: string; readonly type: readonly [unknown, AvroSchema] }[];
  };
  const array = schema.fields.find(({ name }) => name === 'ancestors')?.type[1] as {
    readonly items: { readonly fields: readonly { readonly name: string; readonly type: unknown }[] };
  };
  const wanted = array.items.fields.map(({ name, type }) => `${name} ${JSON.stringify(type)}`).join();
  const present = Object.entries(fields)
    .map(([name, { type }]) => `${name} ${JSON.stringify(type)}`)
    .join();
  if (wanted !== present) throw new Error(`an ancestor has ${wanted} in exec-events.avsc, and ${present} in the table`);
  return array as unknown as AvroSchema;
}
