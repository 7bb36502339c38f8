import { limitOf, offsetOf, type StructLayout } from '../kernel/layout.ts';
import { topicSchema } from '../schemas/catalog.ts';
import type { Ancestor } from '../schemas/exec-event.ts';
import type { AvroSchema } from '../schemas/fingerprint.ts';
import { type KernelRecord, spanOffset } from './kernel-record.ts';
import { absent, commText, type Field, type Given, hexText, nullable, u32AsInt, wallTime } from './record-field.ts';

type AncestorFields = { readonly [Name in keyof Ancestor]: Field<Ancestor[Name]> };

/**
 * The ancestors of a record, each of which is read as a record of its own that stands inside of the record.
 * @param layout of struct exec_record; that of struct exec_ancestor is in it, with the prefix `ancestor.`
 * @param clockOffset as in wallTime, that held when the exec happened
 */
export function lineage(layout: StructLayout, bootPrefix: string, clockOffset: Given): Field<Ancestor[] | null> {
  const span = spanOffset(layout, 'ancestors');
  const bytes = limitOf(layout, 'ANCESTOR_BYTES');
  const startNs = offsetOf(layout, 'ancestor.start_boot_ns', 8);
  const pid = offsetOf(layout, 'ancestor.pid', 4);
  const process = [startNs + 4, startNs, pid];
  const fields: AncestorFields = {
    pid: u32AsInt(pid),
    start_time: wallTime(startNs, clockOffset),
    comm: commText(offsetOf(layout, 'ancestor.comm', 16)),
    process_id: hexText(bootPrefix, process),
    exec_id: nullable(hexText(bootPrefix, [...process, offsetOf(layout, 'ancestor.exec_count', 4)])),
    exe: absent('string'),
  };
  const countOf = ({ buffer, at }: KernelRecord) => buffer.readUInt16LE(at + span.length) / bytes;
  const startOf = ({ buffer, at }: KernelRecord) => at + buffer.readUInt16LE(at + span.offset);

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
    steps: [{ kind: 'items', span, itemBytes: bytes, steps: Object.values(fields).flatMap(({ steps }) => steps) }],
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
