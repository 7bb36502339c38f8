/**
 * The tables of docs/siem.md out of the mappings: which field becomes which. `node scripts/siem-page.ts` writes them below
 * the last heading; a test fails while they are not what this makes of the code.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { topicSchema } from '../src/schemas/catalog.ts';
import { siemMappings } from '../src/siem/document.ts';
import { siemFormats } from '../src/siem/formats.ts';
import type { Mapping, Row } from '../src/siem/mapping.ts';
import type { SiemStream } from '../src/siem/records.ts';

export const siemPage = join(import.meta.dirname, '../docs/siem.md');

const heading = '## Which field becomes which';

type AnyMapping = Mapping<Record<string, unknown>>;

function fieldsOf(topic: 'exec-events' | 'exit-events' | 'packet-counts'): readonly string[] {
  const { fields } = topicSchema(topic).schema as { readonly fields: readonly { readonly name: string }[] };
  return fields.map(({ name }) => name);
}

const streams: readonly { readonly stream: SiemStream; readonly title: string; readonly fields: readonly string[] }[] =
  [
    { stream: 'exec', title: 'An exec', fields: fieldsOf('exec-events') },
    { stream: 'exit', title: 'The end of a process', fields: fieldsOf('exit-events') },
    { stream: 'packets', title: 'A packet count', fields: fieldsOf('packet-counts') },
  ];

const titles = { ocsf: 'OCSF', ecs: 'ECS', sigma: 'Sigma' } as const;

function target({ to, how }: Pick<Row<never>, 'to' | 'how'>): string {
  return how === undefined ? `\`${to}\`` : `\`${to}\` (${how})`;
}

/** Every field of a document that says something of the field; last, where it is kept when none of them says it all. */
function targetsOf(field: string, { rows, rest }: AnyMapping): string {
  const using = rows.filter(({ from }) => from.includes(field));
  const taken = using.some(({ part }) => part === undefined);
  const kept = taken || rest === undefined ? [] : [`\`${rest}.${field}\``];
  return [...using.map(target), ...kept].join(', ');
}

function always({ rows }: AnyMapping): string {
  return rows.flatMap(({ to, from, how }) => (from.length === 0 ? [`\`${to}\` ${how}`] : [])).join(', ');
}

function section({ stream, title, fields }: (typeof streams)[number]): string {
  const formats = siemFormats.flatMap((format) => {
    const mapping = siemMappings[format][stream] as AnyMapping | undefined;
    return mapping === undefined ? [] : [{ name: titles[format], mapping }];
  });
  const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [
    `### ${title}\n`,
    row(['field', ...formats.map(({ name }) => name)]),
    `|${'---|'.repeat(formats.length + 1)}`,
    ...fields.map((field) => row([`\`${field}\``, ...formats.map(({ mapping }) => targetsOf(field, mapping))])),
    '',
    ...formats.map(({ name, mapping }) => `Always in ${name}: ${always(mapping)}.\n`),
  ].join('\n');
}

/** The page with its tables made anew. */
export function makeSiemPage(page: string): string {
  const at = page.indexOf(heading);
  if (at < 0) throw new Error(`docs/siem.md has no heading ${heading}`);
  return `${page.slice(0, at)}${heading}\n\n${generated}\n\n${streams.map(section).join('\n')}`;
}

const generated = `Generated from the mappings in \`src/siem\` by \`npm run docs\`. What stands in brackets says how a value is made; without
it the value is taken as it is. A field that the format has no place for, or that its place does not say whole, is kept
under its own name in \`unmapped\` (OCSF) or \`bpf2kafka\` (ECS); so is a value that its place does not take. Null is left
out.`;

if (import.meta.main) writeFileSync(siemPage, makeSiemPage(readFileSync(siemPage, 'utf8')));
