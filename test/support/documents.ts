import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is written for users, as tests look at it. */

export const root = join(import.meta.dirname, '../..');

/** Paths from the top of the repository. */
export const documents: readonly string[] = ['README.md', 'docs/**/*.md', 'examples/**/README.md']
  .flatMap((pattern) => globSync(pattern, { cwd: root, exclude: ['**/node_modules'] }))
  .toSorted();

export const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');

export interface CodeBlock {
  /** Behind the fence, as in `sh`; empty without one. */
  readonly language: string;
  /** Number of the line of its fence. */
  readonly line: number;
  readonly code: string;
}

const fenced = /^```(.*)\n([\s\S]*?)^```$/gm;

export function codeBlocksIn(text: string): CodeBlock[] {
  return [...text.matchAll(fenced)].map(({ 1: language = '', 2: code = '', index }) => ({
    language,
    line: lineAt(text, index),
    code,
  }));
}

/** The text around the code blocks, at the same lines. */
export function proseOf(text: string): string {
  return text.replace(fenced, (block) => block.replace(/[^\n]/g, ''));
}

/** Lines that Markdown takes for code because they are indented: four blanks behind an empty line, outside of lists. */
export function indentedBlocksIn(text: string): CodeBlock[] {
  const blocks = proseOf(text).matchAll(/(?<=^(?![ \t]*(?:[-*]|\d+\.) |[ \t]+\S).*\n\n)(?:^ {4}.*\n)+/gm);
  return [...blocks].map(({ 0: code, index }) => ({ language: '', line: lineAt(text, index), code }));
}

/** What stands between backticks. */
export function codeSpansIn(text: string): string[] {
  return proseOf(text)
    .split(/\n\s*\n/)
    .flatMap((paragraph) => [...paragraph.matchAll(/`([^`]+)`/g)])
    .map(([, code = '']) => code.replace(/\s+/g, ' '));
}

export interface Command {
  readonly document: string;
  /** Line of the fence of its block. */
  readonly line: number;
  /** On one line, without the prompt, without a remark behind it, and without `npx`. */
  readonly text: string;
}

/** Each command of a document: in blocks of `sh` each line is one, in those of `console` what is behind the first prompt. */
export function commandsIn(document: string): Command[] {
  return codeBlocksIn(textOf(document)).flatMap(({ language, line, code }) => {
    const lines = code.replace(/\\\n\s*/g, ' ').split('\n');
    const prompt = language === 'console' ? code.slice(0, 2) : '';
    const commands = language === 'sh' || language === 'console' ? lines.filter((text) => text.startsWith(prompt)) : [];
    return commands
      .map((text) => ({ document, line, text: plain(text.slice(prompt.length)) }))
      .filter(({ text }) => text !== '');
  });
}

function plain(command: string): string {
  return command
    .replace(/(^|\s+)#\s.*$/, '')
    .replace(/\bnpx (?=bpf2kafka\b)/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
