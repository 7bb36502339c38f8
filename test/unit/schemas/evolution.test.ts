import avsc from 'avsc';
import { describe, expect, test } from 'vitest';
import { topicNames, topicSchema } from '../../../src/schemas/catalog.ts';
import type { AvroSchema } from '../../../src/schemas/fingerprint.ts';

interface RecordSchema {
  readonly fields: readonly { readonly name: string; readonly type: AvroSchema; readonly default?: unknown }[];
}

/** Why a reader with the first schema cannot read what was written with the second; undefined when it can. */
function whyNot(reader: AvroSchema, writer: AvroSchema): string | undefined {
  const type = (schema: AvroSchema) => avsc.Type.forSchema(schema as avsc.Schema, { wrapUnions: 'auto' });
  try {
    type(reader).createResolver(type(writer));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const withField = (schema: AvroSchema, field: RecordSchema['fields'][number]) => ({
  ...(schema as object),
  fields: [...(schema as unknown as RecordSchema).fields, field],
});

describe.each(topicNames)('%s', (topic) => {
  const { schema, released } = topicSchema(topic);
  const next = withField(schema, { name: 'of_the_next_release', type: ['null', 'string'], default: null });
  const versions = [schema, ...released, next];

  test('every version reads every other, both ways', () => {
    for (const reader of versions) for (const writer of versions) expect(whyNot(reader, writer)).toBe(undefined);
  });

  test('a version whose new field has no default would be found', () => {
    expect(whyNot(withField(schema, { name: 'rash', type: 'string' }), schema)).toContain('rash');
  });

  test('no release has a field that this build lacks or types otherwise', () => {
    const { fields } = schema as unknown as RecordSchema;
    for (const { name, type } of released.flatMap((one) => (one as unknown as RecordSchema).fields))
      expect(fields.find((field) => field.name === name)?.type).toEqual(type);
  });

  test('what can be null is null by default', () => {
    for (const field of (schema as unknown as RecordSchema).fields) {
      if (!Array.isArray(field.type)) continue;
      expect({ name: field.name, first: field.type[0], default: field.default }).toEqual({
        name: field.name,
        first: 'null',
        default: null,
      });
    }
  });
});
