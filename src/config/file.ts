import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { reasonOf } from '../errors.ts';
import { configError } from '../setting.ts';
import { runNames } from './command-settings.ts';
import { separatorOf, settings } from './settings.ts';

export interface Given {
  /** Of a list the items with the setting's separator between. */
  readonly text: string;
  /** Completes 'from …'. */
  readonly origin: string;
  /** The configuration file, when it comes from there. */
  readonly file?: string;
}

/** What a configuration file gives, by the name of the setting. Fails with ERR_CONFIG. */
export function readSettingsFile(name: string): Map<string, Given> {
  const fail = (reason: string, remedy?: string) =>
    configError({
      operation: 'use the configuration file',
      subject: name,
      reason,
      ...(remedy === undefined ? {} : { remedy }),
    });

  let content: string;
  try {
    content = readFileSync(name, 'utf8');
  } catch (error) {
    throw fail(reasonOf(error), 'check --config');
  }
  // Of 72 modules, which a start without a file does without.
  const yaml = createRequire(import.meta.url)('yaml') as typeof import('yaml');
  const { isMap, isScalar, isSeq, LineCounter, parseDocument } = yaml;
  const lines = new LineCounter();
  // Every scalar as the text that stands there: a host id of digits stays what it is.
  const document = parseDocument(content, { schema: 'failsafe', lineCounter: lines });
  const broken = document.errors[0];
  if (broken !== undefined) {
    const { line, col } = lines.linePos(broken.pos[0]);
    throw fail(`line ${line}, column ${col}: ${broken.message.split(/ at line \d+|\n/)[0]}`);
  }
  const values = new Map<string, Given>();
  // An empty file, or one of comments only, sets nothing.
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === '')) return values;
  if (!isMap(document.contents)) throw fail('it must hold one `name: value` a line');

  const known = runNames.map((setting) => settings[setting].name);
  for (const { key, value } of document.contents.items) {
    const line = isScalar(key) ? lines.linePos(key.range?.[0] ?? 0).line : 1;
    const setting = String(key);
    if (!known.includes(setting)) {
      throw fail(
        `line ${line}: it knows no setting ${JSON.stringify(setting)}`,
        `the nearest is '${nearest(setting, known)}'`,
      );
    }
    const parts = isSeq(value) ? value.items : [value];
    if (!parts.every((part) => part === null || isScalar(part))) {
      throw fail(`line ${line}: ${setting} must be a value or a list of values`);
    }
    const given = parts.map((part) => (part === null ? '' : String(part.value ?? ''))).join(separatorOf(setting));
    if (given !== '') values.set(setting, { text: given, origin: `${name}, line ${line}`, file: name });
  }
  return values;
}

/** The name with the fewest letters to change. */
function nearest(wrong: string, names: readonly string[]): string {
  const given = wrong.toLowerCase().replaceAll('_', '-');
  return names.toSorted((a, b) => distance(given, a) - distance(given, b))[0] as string;
}

/** Levenshtein's distance, one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
