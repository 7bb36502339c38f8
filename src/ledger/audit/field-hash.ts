/** What a field of a record can hold. */
export type FieldValue = string | number | boolean | null | Buffer | readonly string[];

/** A start and a factor give a hash of its own: two that differ in both do not collide together. */
export interface Lane {
  readonly start: number;
  /** Odd. */
  readonly factor: number;
}

export const laneA: Lane = { start: 0x811c9dc5, factor: 0x85ebca6b };
export const laneB: Lane = { start: 0x9747b28c, factor: 0xc2b2ae35 };

/** 32 bits over some fields of a record, never 0: one of four billion pairs that differ has the same. */
export function hashFields<Name extends string>(
  record: Readonly<Record<Name, FieldValue>>,
  names: readonly Name[],
  { start, factor }: Lane,
): number {
  let hash = start;
  for (const name of names) hash = mix(hash, record[name], factor);
  return hash >>> 0 || 1;
}

/** Each value begins with its kind and size, so that borders between values count. */
function mix(hash: number, value: FieldValue, factor: number): number {
  if (typeof value === 'string') return mixString(step(hash, 1, factor), value, factor);
  if (typeof value === 'number') return mixNumber(step(hash, 2, factor), value, factor);
  if (value === null) return step(hash, 3, factor);
  if (typeof value === 'boolean') return step(hash, value ? 4 : 5, factor);
  let mixed = mixNumber(step(hash, 6, factor), value.length, factor);
  if (Buffer.isBuffer(value)) {
    for (let i = 0; i < value.length; i += 1) mixed = step(mixed, value[i] as number, factor);
    return mixed;
  }
  for (const element of value as readonly string[]) mixed = mixString(mixed, element, factor);
  return mixed;
}

function mixString(hash: number, text: string, factor: number): number {
  let mixed = mixNumber(hash, text.length, factor);
  for (let i = 0; i < text.length; i += 1) mixed = step(mixed, text.charCodeAt(i), factor);
  return mixed;
}

function mixNumber(hash: number, value: number, factor: number): number {
  return step(step(hash, value >>> 0, factor), Math.floor(value / 2 ** 32) >>> 0, factor);
}

/** A bijection of the hash for each word, so that one difference is never lost; the shift spreads high bits downwards. */
function step(hash: number, word: number, factor: number): number {
  const mixed = Math.imul(hash ^ word, factor);
  return mixed ^ (mixed >>> 13);
}
