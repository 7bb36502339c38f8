import { Bpf2KafkaError } from '../errors.ts';

/**
 * A struct of bpf/abi.h as clang described it in the BTF of the compiled programs; a field of a struct
 * inside it is named `outer.inner`.
 */
export interface StructLayout {
  readonly bytes: number;
  readonly fields: Readonly<Record<string, { readonly offset: number; readonly bytes: number }>>;
  /** The enums that belong to it: names of bits, limits that the kernel side keeps. */
  readonly enumerators: Readonly<Record<string, number>>;
}

/**
 * Where a field stands, bytes from the start of the struct.
 * @param bytes the width that the caller is going to read; another one in the kernel is an error, not a wrong value
 */
export function offsetOf(layout: StructLayout, field: string, bytes: number): number {
  const found = layout.fields[field];
  if (found?.bytes !== bytes)
    throw new Bpf2KafkaError('ERR_ADDON', {
      operation: 'find in the kernel record',
      subject: `the field ${field} of ${bytes} bytes`,
      reason: found === undefined ? 'it has none of that name' : `it has ${found.bytes} bytes`,
      remedy: 'build the addon of this version with `npm run setup`',
    });
  return found.offset;
}

/** Names by bit number, in lower case and without the prefix: EXEC_FIELD_ARGS = 1 is `args` at 1. */
export function bitNames(layout: StructLayout, prefix: string): string[] {
  const names: string[] = [];
  for (const [name, bit] of Object.entries(layout.enumerators))
    if (name.startsWith(prefix)) names[bit] = name.slice(prefix.length).toLowerCase();
  return names;
}

/** A number that the kernel side was compiled with. */
export function limitOf(layout: StructLayout, name: string): number {
  const limit = layout.enumerators[name];
  if (limit === undefined)
    throw new Bpf2KafkaError('ERR_ADDON', {
      operation: 'find in the kernel programs',
      subject: `the limit ${name}`,
      reason: 'they have none of that name',
      remedy: 'build the addon of this version with `npm run setup`',
    });
  return limit;
}
