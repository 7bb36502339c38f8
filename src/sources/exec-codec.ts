import type { OutgoingRecord } from '../batch.ts';
import { topicSchema } from '../schemas/catalog.ts';
import type { AvroCodec, Codec } from '../schemas/codec.ts';
import { type ExecEvent, execHeaders } from '../schemas/exec-event.ts';
import { Slabs } from '../schemas/slabs.ts';
import type { ExecFields, ExecTable } from './exec-fields.ts';
import type { ExecRecord } from './exec-record.ts';
import { writerOf } from './exec-writer.ts';

/**
 * Writes Avro straight from the kernel's records, field by field, with no event in between. Records that are not whole,
 * and values that need care (texts that are not UTF-8, numbers that do not fit), go by way of `codec`, the codec of the
 * topic: it writes them, or says what is wrong with them. Both ways give the same bytes.
 */
export function createExecCodec(table: ExecTable, codec: AvroCodec<ExecEvent>): Codec<ExecRecord> {
  const { fields, isWhole, eventOf, remember } = table;
  checkAgainstSchema(fields);
  const write = writerOf(Object.values(fields), codec.frame);
  const slabs = new Slabs<ExecRecord>((record, slab, start) => write(slab, start, record));

  function generally(record: ExecRecord): OutgoingRecord {
    return codec.encode([eventOf(record)]).records[0] as OutgoingRecord;
  }

  return {
    encode(batch) {
      slabs.begin(batch.length);
      const records = batch.map((record) => {
        const whole = isWhole(record);
        const value = whole ? slabs.add(record) : undefined;
        if (value === undefined) {
          const general = generally(record);
          remember(record, whole);
          return general;
        }
        remember(record, whole);
        const headers = execHeaders({ boot_id: fields.boot_id.read(record), seq: fields.seq.read(record) });
        return { value, timestamp: fields.event_time.read(record), headers };
      });
      return { topic: 'exec-events', records };
    },
  };
}

/** The table has a field for each one of the schema, in its order and of its type: nothing else says what the bytes mean. */
function checkAgainstSchema(fields: ExecFields): void {
  const schema = topicSchema('exec-events').schema as { readonly fields: readonly { name: string; type: unknown }[] };
  const wanted = schema.fields.map(({ name, type }) => `${name} ${JSON.stringify(type)}`);
  const present = Object.entries(fields).map(([name, { type }]) => `${name} ${JSON.stringify(type)}`);
  const length = Math.max(wanted.length, present.length);
  for (let i = 0; i < length; i += 1) {
    if (present[i] !== wanted[i])
      throw new Error(
        `exec-events.avsc has ${wanted[i] ?? 'no more fields'} where the table has ${present[i] ?? 'none'}`,
      );
  }
}
