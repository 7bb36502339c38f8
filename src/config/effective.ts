import { createHash } from 'node:crypto';
import type { HostFacts, InFile, Setting } from '../setting.ts';
import { runNames } from './command-settings.ts';
import { hostFacts } from './host-facts.ts';
import { type Lookup, lookupOf, read } from './lookup.ts';
import { type Name, settings } from './settings.ts';
import type { Environment, Flags } from './types.ts';
import { inFileOf, itemsOf } from './values.ts';

/** One setting of `run` as it holds. */
export interface EffectiveSetting {
  readonly name: string;
  /** As it stands in the file, one that is repeatable as a list, a secret as `***`; undefined: it has no value. */
  readonly value: string | readonly string[] | undefined;
  /** `the command line`, `the environment, NAME`, `FILE, line N`; undefined: the default. */
  readonly origin: string | undefined;
}

/** Of settings that `loadRunConfig` has accepted. */
export function effectiveSettings(
  flags: Flags,
  environment: Environment,
  facts: HostFacts = hostFacts(),
): readonly EffectiveSetting[] {
  const lookup = lookupOf(flags, environment);
  const attached = read(settings.attached, lookup, facts);
  return runNames.map((setting) => {
    const row: Setting<unknown> = settings[setting];
    const { name, secret = false, repeatable = false, separator } = row;
    const given = lookup(name);
    // What is not this process's own goes on.
    if (given === undefined && setting === 'onExit' && attached) return { name, value: 'keep', origin: undefined };
    if (given === undefined) return { name, value: fallbackText(row, facts), origin: undefined };
    const { text: value, origin } = given;
    if (secret) return { name, value: '***', origin };
    return { name, value: repeatable ? itemsOf(value, separator) : value, origin };
  });
}

function fallbackText(row: Setting<unknown>, facts: HostFacts): EffectiveSetting['value'] {
  const value = row.fallback(facts);
  // No default is a list that has something in it but this.
  if (Array.isArray(value)) return value.length > 0 ? value.map(String) : undefined;
  return value === undefined ? undefined : (row.shown?.(value) ?? String(value));
}

/** Of the configuration file, as JSON Schema. */
export function fileSchema(): InFile {
  const rows = runNames.map((setting): Setting<unknown> => settings[setting]);
  const properties = rows.map((row) => [row.name, { description: row.description, ...inFileOf(row.value) }]);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Configuration file of bpf2kafka',
    description: 'What `bpf2kafka run --config FILE` takes: the names of its options without the dashes.',
    type: ['object', 'null'],
    additionalProperties: false,
    properties: Object.fromEntries(properties),
  };
}

/** Hosts that are set up alike have the same, whatever they are called. */
export function hashOf(lookup: Lookup): string {
  const ofHost: readonly Name[] = ['hostId', 'hostName', 'labels'];
  const rows = runNames.filter((name) => !ofHost.includes(name)).map((name): Setting<unknown> => settings[name]);
  const given = rows.filter(({ secret = false }) => !secret).map(({ name }) => [name, lookup(name)?.text ?? null]);
  return createHash('sha256').update(JSON.stringify(given)).digest('hex');
}
