import type { HostFacts, Setting } from '../setting.ts';
import { attachNames, auditNames, detachNames, runNames, schemaNames, tailNames } from './command-settings.ts';
import { configName } from './lookup.ts';
import { type Name, settings } from './settings.ts';

/** What the command line offers for a command, in this order. */
export interface Option {
  readonly name: string;
  readonly placeholder: string | undefined;
  readonly repeatable: boolean;
  readonly description: string;
}

export type CommandName = 'run' | 'start' | 'attach' | 'check' | 'tail' | 'audit' | 'schema' | 'detach';

export function optionsOf(command: CommandName): readonly Option[] {
  const names: Readonly<Record<CommandName, readonly Name[]>> = {
    run: [...runNames, 'dryRun'],
    start: runNames,
    attach: attachNames,
    check: [...runNames, 'json'],
    tail: tailNames,
    audit: auditNames,
    schema: schemaNames,
    detach: detachNames,
  };
  const rows = names[command].map((name): Setting<unknown> => settings[name]);
  const options = rows
    .filter(({ secret = false, option = false }) => !secret || option)
    .map((row) => {
      const { name: flag, placeholder, repeatable = false } = row;
      const description = `${row.description}${repeatable ? '; repeatable' : ''}${shownFallback(row)}`;
      return { name: flag, placeholder, repeatable, description };
    });
  if (command === 'detach') return options;
  const file = {
    name: configName,
    placeholder: 'FILE',
    repeatable: false,
    description: 'YAML file with settings: the names of these options without the dashes',
  };
  return [file, ...options];
}

/** For settings whose default does not depend on the host. */
export const noFacts: HostFacts = { processors: 1, hostName: '', machineId: undefined };

function shownFallback(row: Setting<unknown>): string {
  if (row.fallbackText !== undefined) return ` (default: ${row.fallbackText})`;
  const value = row.fallback(noFacts);
  return typeof value === 'string' ? ` (default: ${value})` : '';
}
