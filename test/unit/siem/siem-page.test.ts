import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { makeSiemPage, siemPage } from '../../../scripts/siem-page.ts';
import { fullEvent } from '../schemas/events.ts';
import { fullExit } from '../schemas/exits.ts';
import { fullCount } from '../schemas/packets.ts';

const page = readFileSync(siemPage, 'utf8');

test('the tables of docs/siem.md are what `npm run docs` makes of the mappings', () => {
  expect(page).toBe(makeSiemPage(page));
});

test.each([
  ['An exec', fullEvent],
  ['The end of a process', fullExit],
  ['A packet count', fullCount],
])('%s has a row for each field, with a place in OCSF and ECS', (title, record) => {
  const section = page.slice(page.indexOf(`### ${title}`)).split('\n### ')[0] ?? '';
  const rows = [...section.matchAll(/^\| `(\w+)` \| (`.*`.*) \| (`.*`.*) \|/gm)].map(([, name]) => name);
  expect(rows.sort()).toEqual(Object.keys(record).sort());
});
