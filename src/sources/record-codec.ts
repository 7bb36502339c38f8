import type { OutgoingBatch } from '../batch.ts';
import { openRecordWriter } from '../kernel/record-writer.ts';
import { MemoryPool } from '../records/memory-pool.ts';
import { PackedRecords } from '../records/packed-records.ts';
import { type TopicEvents, topicSchema } from '../schemas/catalog.ts';
import type { AvroCodec, Codec } from '../schemas/codec.ts';
import type { KernelRecord } from './kernel-record.ts';
import { type Finding, type Given, keyBytes } from './record-field.ts';
import { compileTable } from './record-program.ts';
import type { RecordTable } from './record-table.ts';

/** Topics whose records come out of a ring. */
export type EventTopic = 'exec-events' | 'exit-events';

/**
 * Has the addon write Kafka's records straight from the kernel's, with no event in between. Records that are not whole, and
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

  const pool = new MemoryPool();

  let places = new Uint32Array(0);
  let numbers = new Float64Array(0);
  let ends = new Uint32Array(0);
  let timestamps = new Float64Array(0);
  /** Behind the last of the records from this one on that the writer can be given at once. */
  let runEnds = new Uint32Array(0);

  function prepare(batch: readonly KernelRecord[]): void {
    if (places.length < batch.length) {
      places = new Uint32Array(batch.length);
      numbers = new Float64Array(batch.length * given.length);
      ends = new Uint32Array(batch.length);
      timestamps = new Float64Array(batch.length);
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

  /** Writes it by way of an event; returns where it ends, and its time. */
  function generally(record: KernelRecord): readonly [end: number, timestamp: number] {
    const { records, release } = codec.encode([eventOf(record)]);
    const bytes = Buffer.allocUnsafe(records.bytes);
    records.copy(0, bytes, 0);
    release?.();
    remember?.(record, false);
    return [writer.add(bytes), records.timestampOf(0)];
  }

  /** False when it is too large for its table. */
  function learn({ learned, key, find }: Finding, record: KernelRecord): boolean {
    const { parts, missing } = find(record);
    learned.set(keyBytes(key, record), parts, missing);
    return learned.get(keyBytes(key, record)) !== undefined;
  }

  /** What has been written, in memory of its own. */
  function packed(records: number): OutgoingBatch {
    const memory = pool.take(writer.bytes(), records);
    writer.copyTo(memory.bytes);
    for (let i = 0; i < records; i += 1) {
      memory.ends[i] = ends[i] as number;
      memory.timestamps[i] = timestamps[i] as number;
    }
    return { topic, records: new PackedRecords(memory, 0, records), release: pool.releaser(memory) };
  }

  return {
    encode(batch) {
      begin?.();
      prepare(batch);
      writer.clear();
      let cleared: number | undefined;
      for (let done = 0; done < batch.length; ) {
        const end = runEnds[done] as number;
        if (end > done) {
          const { buffer } = batch[done] as KernelRecord;
          const written = writer.write(buffer, places, numbers, ends, timestamps, done, end, cleared);
          if (remember) for (; done < written; done += 1) remember(batch[done] as KernelRecord, true);
          done = written;
          if (written === end) continue;
        }
        const record = batch[done] as KernelRecord;
        const { unknown, suspect } = end > done ? writer.stopped() : {};
        if (unknown !== undefined && learn(findings[unknown] as Finding, record)) continue;
        if (suspect && hides?.(record) === false) cleared = done;
        else {
          [ends[done], timestamps[done]] = generally(record);
          done += 1;
        }
      }
      return packed(batch.length);
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
