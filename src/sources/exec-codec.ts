import type { OutgoingRecord } from '../batch.ts';
import { notWritten } from '../schemas/avro-bytes.ts';
import { topicSchema } from '../schemas/catalog.ts';
import type { AvroCodec, Codec } from '../schemas/codec.ts';
import { type ExecEvent, execHeaders } from '../schemas/exec-event.ts';
import { Slabs } from '../schemas/slabs.ts';
import type { Field } from './exec-field.ts';
import type { ExecFields, ExecTable } from './exec-fields.ts';
import type { ExecRecord } from './exec-record.ts';

type Write = NonNullable<Field<unknown>['write']>;

/** From here on a copy is faster than a store for each byte. */
const copiedFrom = 32;

/**
 * Writes Avro straight from the kernel's records, field by field, with no event in between. Records that are not whole,
 * and values that need care (texts that are not UTF-8, numbers that do not fit), go by way of `codec`, the codec of the
 * topic: it writes them, or says what is wrong with them. Both ways give the same bytes.
 */
export function createExecCodec(table: ExecTable, codec: AvroCodec<ExecEvent>): Codec<ExecRecord> {
  const { fields, isWhole, eventOf } = table;
  checkAgainstSchema(fields);
  const write = writerOf(codec.frame, Object.values(fields));
  const slabs = new Slabs<ExecRecord>((record, slab, start) => write(slab, start, record));

  function generally(record: ExecRecord): OutgoingRecord {
    return codec.encode([eventOf(record)]).records[0] as OutgoingRecord;
  }

  return {
    encode(batch) {
      slabs.begin(batch.length);
      const records = batch.map((record) => {
        const value = isWhole(record) ? slabs.add(record) : undefined;
        if (value === undefined) return generally(record);
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

/**
 * Writes a whole framed record: the fields one behind the other, as if that had been written by hand, what is the same for
 * each record in one piece. In a loop over the fields V8 cannot tell which function comes next, and the calls take a
 * quarter of the codec's time; here each has a place of its own, and most are inlined.
 */
function writerOf(frame: Buffer, fields: readonly Field<unknown>[]): Write {
  const pieces: Buffer[] = [];
  const writes: Write[] = [];
  let body = '';
  const put = (piece: Buffer) => {
    if (piece.length < copiedFrom) body += [...piece].map((byte, i) => `out[at + ${i}] = ${byte};`).join(' ');
    // Behind the end of `out` a copy does nothing, as a store.
    else body += `pieces[${pieces.push(piece) - 1}].copy(out, at);`;
    body += ` at += ${piece.length};\n`;
  };
  let same = frame;
  for (const { fixed, write } of fields) {
    same = Buffer.concat([same, fixed]);
    if (write === undefined) continue;
    put(same);
    same = Buffer.alloc(0);
    body += `at = write${writes.push(write) - 1}(out, at, record); if (at === ${notWritten}) return at;\n`;
  }
  put(same);
  const names = writes.map((_, i) => `write${i}`);
  return new Function('pieces', ...names, `return (out, at, record) => {\n${body}return at;\n};`)(
    pieces,
    ...writes,
  ) as Write;
}
