export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
export type Document = Record<string, unknown>;

/** One field of a document, and what of the record it is made of. */
export interface Row<Record> {
  /** Its name; dots lead into objects. */
  readonly to: string;
  /** Fields of the record. */
  readonly from: readonly (keyof Record & string)[];
  /** What becomes of them, in words; absent when they are taken as they are. */
  readonly how?: string;
  /** It does not say all that the fields say: they are also kept with what has no home. */
  readonly part?: true;
  /** Undefined or null: the document does not have the field. */
  readonly value: (record: Record) => Json | undefined;
}

/** How a record becomes a document of one format. */
export interface Mapping<Record> {
  readonly rows: readonly Row<Record>[];
  /** Object for every field of the record that no row took, under its own name; undefined when they are left out. */
  readonly rest: string | undefined;
}

/** A field as it is. */
export function copy<Record>(to: string, from: keyof Record & string): Row<Record> {
  return { to, from: [from], value: (record) => record[from] as Json };
}

/** A number where the format wants text. */
export function asText<Record>(to: string, from: keyof Record & string): Row<Record> {
  return { to, from: [from], how: 'as text', value: (record) => textOf(record[from]) };
}

export function constant<Record>(to: string, value: Json): Row<Record> {
  return { to, from: [], how: `\`${JSON.stringify(value)}\``, value: () => value };
}

/** Something made of fields, which says all that they say. */
export function made<Record>(
  to: string,
  from: readonly (keyof Record & string)[],
  how: string,
  value: Row<Record>['value'],
): Row<Record> {
  return { to, from, how, value };
}

/** Something made of fields, which says less than they do. */
export function part<Record>(
  to: string,
  from: readonly (keyof Record & string)[],
  how: string,
  value: Row<Record>['value'],
): Row<Record> {
  return { to, from, how, part: true, value };
}

/** Null is unknown, and so is its text. */
function textOf(value: unknown): string | undefined {
  return value === null || value === undefined ? undefined : String(value);
}

/** The document of a record. A field that no row took, for this record, stands in `rest`; null stands nowhere. */
export function toDocument<Record extends object>({ rows, rest }: Mapping<Record>, record: Record): Document {
  const document: Document = {};
  const taken = new Set<string>();
  for (const row of rows) {
    const value = row.value(record);
    if (value === undefined || value === null) continue;
    put(document, row.to, value);
    if (row.part === undefined) for (const name of row.from) taken.add(name);
  }
  if (rest === undefined) return document;
  for (const [name, value] of Object.entries(record)) {
    if (value === null || value === undefined || taken.has(name)) continue;
    put(document, `${rest}.${name}`, Buffer.isBuffer(value) ? value.toString('base64') : value);
  }
  return document;
}

function put(document: Document, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop() as string;
  let object = document;
  for (const name of names) {
    object[name] ??= {};
    object = object[name] as Document;
  }
  object[last] = value;
}
