import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type CommandName, optionsOf } from '../../../src/config/options.ts';
import { type DocCommand, docCommands, untagged } from '../../support/doc-commands.ts';
import { DocShell } from '../../support/doc-shell.ts';
import {
  codeBlocksIn,
  codeSpansIn,
  commandsIn,
  documents,
  indentedBlocksIn,
  root,
  textOf,
} from '../../support/documents.ts';

/** Every command of the documents is run by a test, here or elsewhere; those that are not are told with their reason. */

const commands = documents.flatMap(commandsIn);
const known = Object.entries(docCommands);
const of = <Kind extends DocCommand>(isOf: (entry: DocCommand) => entry is Kind) =>
  known.filter((entry): entry is [string, Kind] => isOf(entry[1]));

test('each is in the table of test/support/doc-commands.ts', () => {
  const unknown = commands.filter(({ text }) => !Object.hasOwn(docCommands, text));
  expect(
    unknown.map(({ document, line, text }) => `${document}:${line}: the command is run by no test: ${text}`),
  ).toEqual([]);
});

test('the table has no command that stands in no document', () => {
  const there = new Set(commands.map(({ text }) => text));
  expect(known.map(([text]) => text).filter((text) => !there.has(text))).toEqual([]);
});

test('each block of code says its language, so that nothing in it is overlooked', () => {
  const without = documents.flatMap((document) => {
    const blocks = [...codeBlocksIn(textOf(document)), ...indentedBlocksIn(textOf(document))];
    return blocks.filter(({ language }) => language === '').map(({ line }) => `${document}:${line}`);
  });
  const files = new Set(without.map((place) => place.split(':')[0]));
  expect(without.filter((place) => !untagged.includes(place.split(':')[0] as string))).toEqual([]);
  expect(
    untagged.filter((document) => !files.has(document)),
    'take it off the list',
  ).toEqual([]);
});

describe('every option of bpf2kafka that they use is one', () => {
  const spans = documents.flatMap((document) =>
    codeSpansIn(textOf(document)).map((text) => ({ document, line: 0, text: text.replace(/^npx /, '') })),
  );
  const used = [...commands, ...spans].flatMap(({ document, text }) =>
    [...text.matchAll(/\bbpf2kafka (run|start|attach|check|tail|audit|schema|detach)\b([^|;&]*)/g)].map((found) => ({
      document,
      command: found[1] as CommandName,
      words: found[2] as string,
    })),
  );

  test('there are some', () => expect(used.length).toBeGreaterThan(30));

  test.each(['run', 'start', 'attach', 'check', 'tail', 'audit', 'schema', 'detach'] as const)('of %s', (command) => {
    const options = new Set([...optionsOf(command).map(({ name }) => name), 'help']);
    const wrong = used
      .filter((use) => use.command === command)
      .flatMap(({ document, words }) =>
        [...words.matchAll(/(?<=^|\s)--([a-z-]+)/g)]
          .filter(([, name]) => !options.has(name as string))
          .map(([flag]) => `${document}: ${command} has no ${flag}`),
      );
    expect(wrong).toEqual([]);
  });
});

test.each(of((entry) => 'file' in entry))('%s is run elsewhere', (_text, { file, says }) => {
  expect(existsSync(join(root, file)), file).toBe(true);
  expect(textOf(file).includes(says), `${file} says ${says}`).toBe(true);
});

test.for(of((entry) => 'why' in entry))('%s', ([, { why }], { skip }) => skip(true, why));

describe('those that ask nobody', () => {
  const shell = new DocShell();
  afterAll(() => shell[Symbol.dispose]());

  const asked = of((entry) => 'ran' in entry).filter(([, { ran }]) => ran === 'alone');
  test.for(asked)('%s', { timeout: 60_000 }, ([text, entry]) => shell.check(text, entry));
});
