import type { OutgoingRecord } from '../batch.ts';
import { type TopicEvents, topicSchema } from '../schemas/catalog.ts';
import type { AvroCodec, Codec } from '../schemas/codec.ts';
import { eventHeaders } from '../schemas/event-headers.ts';
import { Slabs } from '../schemas/slabs.ts';
import type { KernelRecord } from './kernel-record.ts';
import type { RecordTable } from './record-table.ts';
import { writerOf } from './record-writer.ts';

/** Topics whose records come out of a ring. */
export type EventTopic = 'exec-events' | 'exit-events';

/**
 * Writes Avro straight from the kernel's records, field by field, with no event in between. Records that are not whole,
 * and values that need care (texts that are not UTF-8, numbers that do not fit), go by way of `codec`, the codec of the
 * topic: it writes them, or says what is wrong with them. Both ways give the same bytes.
 */
export function createRecordCodec<Topic extends EventTopic>(
  topic: Topic,
  table: RecordTable<TopicEvents[Topic]>,
  codec: AvroCodec<TopicEvents[Topic]>,
): Codec<KernelRecord> {
  const { fields, isWhole, eventOf, remember } = table;
  checkAgainstSchema(topic, fields);
  const write = writerOf(Object.values(fields), codec.frame);
  const slabs = new Slabs<KernelRecord>((record, slab, start) => write(slab, start, record));

  function generally(record: KernelRecord): OutgoingRecord {
    return codec.encode([eventOf(record)]).records[0] as OutgoingRecord;
  }

  return {
    encode(batch) {
      slabs.begin(batch.length);
      const records = batch.map((record) => {
        const value = isWhole(record) ? slabs.add(record) : undefined;
        if (value === undefined) {
          const general = generally(record);
          remember?.(record, false);
          return general;
        }
        remember?.(record, true);
        const headers = eventHeaders({ boot_id: fields.boot_id.read(record), seq: fields.seq.read(record) });
        return { value, timestamp: fields.event_time.read(record), headers };
      });
      return { topic, records };
    },
  };
}

/** The table has a field for each one of the schema, in its order and of its type: nothing else says what the bytes mean. */
function checkAgainstSchema(topic: EventTopic, fields: Readonly<Record<string, { readonly type: unknown }>>): void {
  const schema = topicSchema(topic).schema as { readonly fields: readonly { name: string; type: unknown }[] };
  const wanted = schema.fields.map(({ name, type }) => `${name} ${JSON.stringify(type)}`);
  const present = Object.entries(fields).map(([name, { type }]) => `${name} ${JSON.stringify(type)}`);
  const length = Math.max(wanted.length, present.length);
  for (let i = 0; i < length; i += 1) {
    if (present[i] !== wanted[i])
      throw new Error(`${topic}.avsc has ${wanted[i] ?? 'no more fields'} where the table has ${present[i] ?? 'none'}`);
  }
}
