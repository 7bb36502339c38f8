import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { makeRecordsPage, recordsPage } from '../../../scripts/records-page.ts';
import { topicNames, topicSchema } from '../../../src/schemas/catalog.ts';

test('docs/records.md is what `npm run docs` makes of the schemas', () => {
  expect(readFileSync(recordsPage, 'utf8')).toBe(makeRecordsPage());
});

test.each(topicNames)('it has every field of %s with its doc', (topic) => {
  const { fields } = topicSchema(topic).schema as { readonly fields: readonly { name: string }[] };
  const page = makeRecordsPage();
  const section = page.slice(page.indexOf(`(\`${topic}\`)`)).split('\n## ')[0] ?? '';
  for (const { name } of fields)
    expect(section).toMatch(new RegExp(`^\\| \`${name}\` \\| [A-Za-z].* \\| .+ \\|$`, 'm'));
  expect(section.split('\n').filter((line) => line.startsWith('| `')).length).toBeGreaterThanOrEqual(fields.length);
});

test('types are named in one word', () => {
  const page = makeRecordsPage();
  expect(page).toContain('| `event_time` | timestamp-millis |');
  expect(page).toContain('| `args` | array<string>? |');
  expect(page).toContain('| `env` | map<string>? |');
  expect(page).toContain('| `ancestors` | array<Ancestor>? |');
  expect(page).toContain('### Ancestor');
});
