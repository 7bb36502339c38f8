import { resolve } from 'node:path';
import { z } from 'zod';
import { Bpf2KafkaError, type Failure } from './errors.ts';

/** What defaults are made of; replaced in tests. */
export interface HostFacts {
  readonly processors: number;
  readonly hostName: string;
  /** Content of /etc/machine-id, undefined when it cannot be read. */
  readonly machineId: string | undefined;
}

/** One row of a table of settings. */
export interface Setting<Value> {
  /** Without dashes; the key in the file is the same, the environment's name is made of it. */
  readonly name: string;
  readonly description: string;
  /** What stands for the value in the help; absent for a switch. */
  readonly placeholder?: string;
  /** Never in a message, and, unless `option` says otherwise, not on the command line. */
  readonly secret?: true;
  readonly option?: true;
  /** The flag can be given several times; the value is a list. */
  readonly repeatable?: true;
  /** Between the items of a list, where a comma may be part of one. */
  readonly separator?: '\n';
  /** In words, where `fallback` alone does not say it. */
  readonly fallbackText?: string;
  /** Reads the text; its message says what is allowed. */
  readonly value: z.ZodType<Value, string>;
  readonly fallback: (facts: HostFacts) => Value;
  /** The text that gives this value, where String does not make it. */
  shown?(value: Value): string;
}

export function setting<Value>(row: Setting<Value>): Setting<Value> {
  return row;
}

export function environmentName(name: string): string {
  return `BPF2KAFKA_${name.toUpperCase().replaceAll('-', '_')}`;
}

// ---- What values look like ----

/** How a value stands in the configuration file, for JSON Schema: a scalar of YAML is taken as the text that it is. */
export type InFile = Readonly<Record<string, unknown>>;

const asText: InFile = { type: 'string' };

/**
 * Text that `read` accepts; otherwise the message, which completes 'must be …'.
 * @param inFile what an editor can tell beforehand; never narrower than `read`
 */
export function text<Value>(
  allowed: string,
  read: (text: string) => Value | undefined,
  inFile: InFile = asText,
): z.ZodType<Value, string> {
  return z
    .string()
    .transform((given, context) => {
      const value = read(given);
      if (value !== undefined) return value;
      context.addIssue({ code: 'custom', message: allowed });
      return z.NEVER;
    })
    .meta(inFile);
}

/** Numbers and truth values may be among what matches: YAML does not know that they are names. */
export function matching(allowed: string, pattern: RegExp): z.ZodType<string, string> {
  return text(allowed, (given) => (pattern.test(given) ? given : undefined), {
    type: ['string', 'number', 'boolean'],
    // Not every reader of a schema takes a pattern for one of Unicode.
    ...(pattern.unicode ? {} : { pattern: pattern.source }),
  });
}

export function oneOf<const Choice extends string>(...choices: readonly Choice[]): z.ZodType<Choice, string> {
  return text(`one of ${choices.join(', ')}`, (given) => choices.find((choice) => choice === given), {
    enum: choices,
  });
}

export const toggle = text(
  'true or false',
  (given) => ({ true: true, false: false, 1: true, 0: false })[given.toLowerCase()],
  { type: ['boolean', 'integer'], enum: [true, false, 1, 0] },
);

export const path = text('a path', (given) => (given === '' || given.includes('\0') ? undefined : resolve(given)));

export function configError(failure: Failure): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_CONFIG', failure);
}
