import { Document } from 'yaml';
import type { EffectiveSetting } from '../config/effective.ts';
import { type CommandIo, writeLine } from '../terminal.ts';

/**
 * `run --dry-run`: the settings that hold, as a configuration file that gives the same; only what is secret has to be put
 * back. Nothing is started, and nothing is asked of kernel or broker.
 */
export async function dryRunCommand(settings: readonly EffectiveSetting[], io: CommandIo): Promise<number> {
  for (const setting of settings) await writeLine(io.stdout, lineOf(setting));
  return 0;
}

function lineOf({ name, value, origin }: EffectiveSetting): string {
  // An empty value is none in the file, too.
  if (value === undefined || value === '') return `# ${name}: none`;
  return `${name}: ${yamlOf(value)} # ${origin === undefined ? 'default' : `from ${origin}`}`;
}

/** On one line, whatever is in it. */
function yamlOf(value: string | readonly string[]): string {
  const document = new Document(value, { schema: 'failsafe' });
  return document.toString({ lineWidth: 0, collectionStyle: 'flow' }).trim();
}
