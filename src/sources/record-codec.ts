import type { OutgoingRecord } from '../batch.ts';
import { openRecordWriter } from '../kernel/record-writer.ts';
import { type TopicEvents, topicSchema } from '../schemas/catalog.ts';
import type { AvroCodec, Codec } from '../schemas/codec.ts';
import { eventHeaders } from '../schemas/event-headers.ts';
import type { KernelRecord } from './kernel-record.ts';
import { type Finding, type Given, keyBytes } from './record-field.ts';
import { compileTable } from './record-program.ts';
import type { RecordTable } from './record-table.ts';

/** Topics whose records come out of a ring. */
export type EventTopic = 'exec-events' | 'exit-events';

/**
 * Has the addon write Avro straight from the kernel's records, with no event in between. Records that are not whole, and
 * values that need care (texts that are not UTF-8, numbers that do not fit), go by way of `codec`, the codec of the topic:
 * it writes them, or says what is wrong with them. Both ways give the same bytes.
 */
export function createRecordCodec<Topic extends EventTopic>(
  topic: Topic,
  table: RecordTable<TopicEvents[Topic]>,
  codec: AvroCodec<TopicEvents[Topic]>,
): Codec<KernelRecord> {
  const { fields, eventOf, hides, isOther, begin, remember } = table;
  checkAgainstSchema(topic, fields);
  const { program, given, findings } = compileTable(table, codec.frame);
  const writer = openRecordWriter(program);

  let places = new Uint32Array(0);
  let ends = new Uint32Array(0);
  let numbers = new Float64Array(0);
  /** Behind the last of the records from this one on that the writer can be given at once. */
  let runEnds = new Uint32Array(0);

  function prepare(batch: readonly KernelRecord[]): void {
    if (places.length < batch.length) {
      places = new Uint32Array(batch.length);
      ends = new Uint32Array(batch.length);
      numbers = new Float64Array(batch.length * given.length);
      runEnds = new Uint32Array(batch.length);
    }
    let buffer: Buffer | undefined;
    let runEnd = 0;
    for (let i = batch.length - 1; i >= 0; i -= 1) {
      const record = batch[i] as KernelRecord;
      places[i] = record.at;
      for (let n = 0; n < given.length; n += 1) numbers[i * given.length + n] = (given[n] as Given)(record);
      const isForWriter = !record.bare && isOther?.(record) !== true;
      if (!isForWriter) runEnd = i;
      else if (record.buffer !== buffer) runEnd = i + 1;
      buffer = isForWriter ? record.buffer : undefined;
      runEnds[i] = runEnd;
    }
  }

  function generally(record: KernelRecord): OutgoingRecord {
    const [general] = codec.encode([eventOf(record)]).records;
    remember?.(record, false);
    return general as OutgoingRecord;
  }

  function written(record: KernelRecord, value: Buffer): OutgoingRecord {
    remember?.(record, true);
    const headers = eventHeaders({ boot_id: fields.boot_id.read(record), seq: fields.seq.read(record) });
    return { value, timestamp: fields.event_time.read(record), headers };
  }

  /** Writes what can be, up to the end of the run; returns why it ended before. */
  function writeRun(
    batch: readonly KernelRecord[],
    records: OutgoingRecord[],
    cleared: number | undefined,
  ): { readonly unknown?: number; readonly suspect?: true } | undefined {
    const begin = records.length;
    const end = runEnds[begin] as number;
    if (end === begin) return {};
    const { buffer } = batch[begin] as KernelRecord;
    const stopped = writer.write(buffer, places, numbers, ends, begin, end, cleared);
    for (let at = 0, i = begin; i < stopped.end; i += 1) {
      records.push(written(batch[i] as KernelRecord, stopped.avro.subarray(at, ends[i])));
      at = ends[i] as number;
    }
    return stopped.end === end ? undefined : stopped;
  }

  /** False when it is too large for its table. */
  function learn({ learned, key, find }: Finding, record: KernelRecord): boolean {
    const { parts, missing } = find(record);
    learned.set(keyBytes(key, record), parts, missing);
    return learned.get(keyBytes(key, record)) !== undefined;
  }

  return {
    encode(batch) {
      begin?.();
      prepare(batch);
      const records: OutgoingRecord[] = [];
      let cleared: number | undefined;
      while (records.length < batch.length) {
        const stopped = writeRun(batch, records, cleared);
        if (stopped === undefined) continue;
        const { unknown, suspect } = stopped;
        const record = batch[records.length] as KernelRecord;
        if (unknown !== undefined && learn(findings[unknown] as Finding, record)) continue;
        if (suspect && hides?.(record) === false) cleared = records.length;
        else records.push(generally(record));
      }
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
