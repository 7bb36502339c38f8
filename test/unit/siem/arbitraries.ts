import fc from 'fast-check';
import { topicSchema } from '../../../src/schemas/catalog.ts';
import type { PacketCount } from '../../../src/schemas/packet-count.ts';
import type { ExitEvent } from '../../../src/siem/exit-event.ts';

/**
 * Any record that a schema allows, drawn from the schema itself. Texts of closed sets are any text too: a later version
 * may write another one.
 */

type AvroType = string | readonly AvroType[] | { readonly type: AvroType };
interface AvroRecord {
  readonly fields: readonly { readonly name: string; readonly type: AvroType }[];
}

const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.ipV4(), fc.ipV6(), fc.uuid());
const long = fc.oneof(fc.integer({ min: -(2 ** 52), max: 2 ** 53 - 2 }), fc.nat({ max: 70_000 }));
const int = fc.oneof(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.nat({ max: 70_000 }));

function arbitraryOf(type: AvroType): fc.Arbitrary<unknown> {
  if (typeof type === 'string') {
    const known: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
      null: fc.constant(null),
      string: text,
      long,
      int,
      boolean: fc.boolean(),
    };
    const arbitrary = known[type];
    if (arbitrary === undefined) throw new Error(`no arbitrary for ${type}`);
    return arbitrary;
  }
  return 'type' in type ? arbitraryOf(type.type) : fc.oneof(...(type as readonly AvroType[]).map(arbitraryOf));
}

const { fields } = topicSchema('packet-counts').schema as unknown as AvroRecord;

export const anyCount = fc.record(
  Object.fromEntries(fields.map(({ name, type }) => [name, arbitraryOf(type)])),
) as unknown as fc.Arbitrary<PacketCount>;

const nullable = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: null });

export const anyExit: fc.Arbitrary<ExitEvent> = fc.record({
  host_id: text,
  host_name: nullable(text),
  boot_id: text,
  attach_id: long,
  epoch: long,
  seq: long,
  event_time: long,
  boot_micros: long,
  process_id: text,
  exec_id: text,
  pid: int,
  comm: text,
  exit_code: nullable(int),
  exit_signal: nullable(int),
  core_dumped: nullable(fc.boolean()),
  start_time: long,
  run_time_micros: nullable(long),
  user_time_micros: nullable(long),
  system_time_micros: nullable(long),
  max_rss_bytes: nullable(long),
  container_id: nullable(text),
  degraded: fc.array(text, { maxLength: 5 }),
});
