/**
 * docs/records.md out of the .avsc files, which are the contract: the page cannot say anything else than they do.
 * `node scripts/records-page.ts` writes it; a test fails while it is not what this makes of the schemas.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { topicNames, topicSchema } from '../src/schemas/catalog.ts';

export const recordsPage = join(import.meta.dirname, '../docs/records.md');

type AvroType =
  | string
  | readonly AvroType[]
  | {
      readonly type: AvroType;
      readonly logicalType?: string;
      readonly items?: AvroType;
      readonly values?: AvroType;
    }
  | AvroRecord;

interface AvroRecord {
  readonly type: 'record';
  readonly name: string;
  readonly doc?: string;
  readonly fields: readonly AvroField[];
}

interface AvroField {
  readonly name: string;
  readonly type: AvroType;
  readonly default?: unknown;
  readonly doc?: string;
}

const head = `# Records

Generated from the Avro schemas in \`src/schemas\` by \`npm run docs\`. \`npx bpf2kafka schema TOPIC\` prints one of them,
with \`--register\` it registers it.

A type with a question mark is nullable (\`["null", T]\`, default null). Null means unknown, never false or 0. Values of 32
bits without sign are \`long\`, and those of 64 bits that can pass 2^53 are strings. Wall times are milliseconds since 1970
UTC (\`timestamp-millis\`). A record may be published twice, after a crash or a lost answer of the broker: the doc of each
record says by which fields a repeat is known.
`;

/** Avro's type in one word: \`long?\`, \`array<string>\`, \`array<Ancestor>?\`. */
function typeName(type: AvroType): string {
  if (typeof type === 'string') return type;
  if ('length' in type) {
    const others = type.filter((branch) => branch !== 'null').map(typeName);
    return `${others.join(' or ')}${others.length < type.length ? '?' : ''}`;
  }
  if (isRecord(type)) return type.name;
  if (type.logicalType !== undefined) return type.logicalType;
  if (type.type === 'array') return `array<${typeName(type.items as AvroType)}>`;
  if (type.type === 'map') return `map<${typeName(type.values as AvroType)}>`;
  return typeName(type.type);
}

function isRecord(type: AvroType): type is AvroRecord {
  return typeof type === 'object' && 'fields' in type;
}

/** Records that stand inside of a type, in their order. */
function recordsIn(type: AvroType): AvroRecord[] {
  if (typeof type === 'string') return [];
  if ('length' in type) return type.flatMap(recordsIn);
  if (isRecord(type)) return [type, ...type.fields.flatMap((field) => recordsIn(field.type))];
  return [type.type, type.items, type.values].flatMap((inner) => (inner === undefined ? [] : recordsIn(inner)));
}

const cell = (text: string) => text.replaceAll('|', '\\|');

function table({ name, fields }: AvroRecord): string {
  const rows = fields.map((field) => {
    if (field.doc === undefined) throw new Error(`${name}.${field.name} has no doc`);
    return `| \`${field.name}\` | ${cell(typeName(field.type))} | ${cell(field.doc)} |`;
  });
  return ['| field | type | meaning |', '|---|---|---|', ...rows, ''].join('\n');
}

export function makeRecordsPage(): string {
  const sections = topicNames.map((topic) => {
    const schema = topicSchema(topic).schema as unknown as AvroRecord;
    const inner = schema.fields.flatMap(({ type }) => recordsIn(type));
    return [
      `## ${schema.name} (\`${topic}\`)\n`,
      `${schema.doc}\n`,
      table(schema),
      ...inner.flatMap((record) => [
        `### ${record.name}\n`,
        ...(record.doc === undefined ? [] : [`${record.doc}\n`]),
        table(record),
      ]),
    ].join('\n');
  });
  return [head, ...sections].join('\n');
}

if (import.meta.main) writeFileSync(recordsPage, makeRecordsPage());
