/**
 * The identity of a schema as the Avro specification defines it: parsing canonical form, and the
 * CRC-64-AVRO (Rabin) fingerprint of that form. avsc offers other digests only, and the single-object
 * encoding names the writer's schema by this one.
 * Source: https://avro.apache.org/docs/1.12.0/specification/#parsing-canonical-form-for-schemas
 */

/** A schema as it stands in an .avsc file, parsed. */
export type AvroSchema = string | readonly AvroSchema[] | { readonly [attribute: string]: unknown };

const primitives = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string']);
const named = new Set(['record', 'error', 'enum', 'fixed']);

/** The specification's parsing canonical form: what decides how bytes are read, and nothing else. */
export function canonicalForm(schema: AvroSchema): string {
  return JSON.stringify(canonical(schema, ''));
}

/** The name with its namespace: a name with a dot is complete, another one takes the namespace around it. */
function fullName(name: string, namespace: string): string {
  return name.includes('.') || namespace === '' ? name : `${namespace}.${name}`;
}

function canonical(schema: AvroSchema, namespace: string): unknown {
  if (typeof schema === 'string') return primitives.has(schema) ? schema : fullName(schema, namespace);
  if (isUnion(schema)) return schema.map((branch) => canonical(branch, namespace));

  const type = schema.type as AvroSchema;
  if (typeof type !== 'string') return canonical(type, namespace);
  if (primitives.has(type)) return type;
  if (type === 'array') return { type, items: canonical(schema.items as AvroSchema, namespace) };
  if (type === 'map') return { type, values: canonical(schema.values as AvroSchema, namespace) };
  if (!named.has(type)) return fullName(type, namespace);

  const own = typeof schema.namespace === 'string' ? schema.namespace : namespace;
  const name = fullName(schema.name as string, own);
  // Names inside take the namespace of this one's full name, wherever that was written.
  const inner = name.slice(0, Math.max(0, name.lastIndexOf('.')));
  if (type === 'enum') return { name, type, symbols: schema.symbols };
  if (type === 'fixed') return { name, type, size: Number(schema.size) };
  const fields = schema.fields as readonly { name: string; type: AvroSchema }[];
  return { name, type, fields: fields.map((field) => ({ name: field.name, type: canonical(field.type, inner) })) };
}

function isUnion(schema: AvroSchema): schema is readonly AvroSchema[] {
  return Array.isArray(schema);
}

/** The fingerprint of no bytes, which is also the polynomial. */
const empty = 0xc15d213aa4d7a795n;

const table = Array.from({ length: 256 }, (_, index) => {
  let value = BigInt(index);
  for (let bit = 0; bit < 8; bit++) value = (value >> 1n) ^ ((value & 1n) === 1n ? empty : 0n);
  return value;
});

/** CRC-64-AVRO of a schema's canonical form: eight bytes, little-endian, as they stand in a record. */
export function fingerprint(schema: AvroSchema): Buffer {
  let value = empty;
  for (const byte of Buffer.from(canonicalForm(schema))) {
    value = (value >> 8n) ^ (table[Number((value ^ BigInt(byte)) & 0xffn)] as bigint);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

/** The same for people and for fields of text: 16 hexadecimal digits, the highest first. */
export function fingerprintText(schema: AvroSchema): string {
  return fingerprint(schema).readBigUInt64LE().toString(16).padStart(16, '0');
}
