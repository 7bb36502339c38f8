import fc from 'fast-check';
import { topicSchema } from '../../../src/schemas/catalog.ts';
import type { ExitEvent } from '../../../src/schemas/exit-event.ts';
import type { PacketCount } from '../../../src/schemas/packet-count.ts';

/**
 * Any record that a schema allows, drawn from the schema itself. Texts of closed sets are any text too: a later version
 * may write another one.
 */

type AvroType = string | readonly AvroType[] | { readonly type: AvroType; readonly items?: AvroType };
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
  if ('items' in type) return fc.array(arbitraryOf(type.items as AvroType), { maxLength: 5 });
  return 'type' in type ? arbitraryOf(type.type) : fc.oneof(...(type as readonly AvroType[]).map(arbitraryOf));
}

function anyOf<Event>(topic: 'exit-events' | 'packet-counts'): fc.Arbitrary<Event> {
  const { fields } = topicSchema(topic).schema as unknown as AvroRecord;
  const values = Object.fromEntries(fields.map(({ name, type }) => [name, arbitraryOf(type)]));
  return fc.record(values) as unknown as fc.Arbitrary<Event>;
}

export const anyCount = anyOf<PacketCount>('packet-counts');
export const anyExit = anyOf<ExitEvent>('exit-events');
