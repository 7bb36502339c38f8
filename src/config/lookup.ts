import { configError, environmentName, type HostFacts, type Setting } from '../setting.ts';
import { type Given, readSettingsFile } from './file.ts';
import { separatorOf } from './settings.ts';
import type { Environment, Flags } from './types.ts';
import { itemsOf } from './values.ts';

export const configName = 'config';

/** A setting's value as it was given: flags over environment over file. */
export type Lookup = (name: string) => Given | undefined;

export function lookupIn(flags: Flags, environment: Environment, file: ReadonlyMap<string, Given>): Lookup {
  return (name) => {
    const flag = flags[name];
    if (flag !== undefined) {
      const text = Array.isArray(flag) ? flag.join(separatorOf(name)) : String(flag);
      return { text, origin: 'the command line' };
    }
    const variable = environmentName(name);
    const inherited = environment[variable];
    // Compose files and unit files pass a variable on as empty when it is not set.
    if (inherited !== undefined && inherited !== '') return { text: inherited, origin: `the environment, ${variable}` };
    return file.get(name);
  };
}

/** With the file that `--config` names. */
export function lookupOf(flags: Flags, environment: Environment): Lookup {
  const fileName = lookupIn(flags, environment, new Map())(configName)?.text;
  return lookupIn(flags, environment, fileName === undefined ? new Map() : readSettingsFile(fileName));
}

export function read<Value>(row: Setting<Value>, lookup: Lookup, facts: HostFacts): Value {
  const given = lookup(row.name);
  if (given === undefined) return row.fallback(facts);
  const result = row.value.safeParse(given.text);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const at = issue?.path[0];
  // Of a list only the item that is wrong.
  const wrong = typeof at === 'number' ? itemsOf(given.text, row.separator)[at] : given.text;
  const shown = row.secret ? row.name : `--${row.name} ${JSON.stringify(withoutPassword(wrong ?? ''))}`;
  throw configError({
    operation: 'use',
    subject: `${shown} (from ${given.origin})`,
    reason: `it must be ${issue?.message}`,
  });
}

/** An address with user and password in it is refused, not repeated. */
function withoutPassword(text: string): string {
  return text.replace(/\/\/[^/\s]*@/, '//***@');
}
