import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pageFiles } from '../../../src/http/page-files.ts';
import * as terminal from '../../../src/terminal.ts';

const directory = join(import.meta.dirname, '../../../src/http/page');

test('every file of the page is served, and uPlot', () => {
  const served = [...pageFiles.keys()].filter((path) => path.startsWith('/page/')).map((path) => path.slice(6));
  const own = readdirSync(directory).filter((name) => name !== 'index.html');
  expect(served.sort()).toEqual([...own, 'uplot.css', 'uplot.js'].sort());
  expect(pageFiles.get('/page/uplot.js')?.content().toString()).toContain('uPlot');
});

test('the page names no other place, and holds no script and no style', () => {
  const page = readFileSync(join(directory, 'index.html'), 'utf8');
  const named = [...page.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, place]) => place);
  expect(named).not.toEqual([]);
  for (const place of named) expect(place).toMatch(/^(page\/[\w.]+|json|metrics)$/);
  expect(page).not.toMatch(/<style|<script[^>]*>[^<]|\sstyle=|\son\w+=/i);
});

test('the page makes no markup of text', () => {
  for (const name of readdirSync(directory).filter((file) => file.endsWith('.js')))
    expect(readFileSync(join(directory, name), 'utf8'), name).not.toMatch(
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(/,
    );
});

test('the page shows what is hostile as the terminal does', async () => {
  const page = (await import(join(directory, 'escape.js'))) as Pick<typeof terminal, 'escapeText' | 'escapeArgument'>;
  // Every character of the planes that have any to escape.
  const plane = (first: number) => Array.from({ length: 0x1_0000 }, (_, code) => String.fromCodePoint(first + code));
  const all = [0, 0x1_0000, 0xe_0000].flatMap(plane).join(' ');
  expect(page.escapeText(all) === terminal.escapeText(all)).toBe(true);
  const character = fc.constantFrom(
    '\u202e',
    '\0',
    '\n',
    '\u00a0',
    '\ud800',
    '\u{e0001}',
    '"',
    "'",
    '\\',
    '…',
    ' ',
    '<',
    'a',
  );
  fc.assert(
    fc.property(fc.array(character, { maxLength: 6 }), (characters) => {
      const text = characters.join('');
      return page.escapeArgument(text) === terminal.escapeArgument(text);
    }),
  );
});
