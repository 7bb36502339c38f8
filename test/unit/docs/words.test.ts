import { globSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { kernelBytes } from '../../../src/check/memory.ts';
import { optionsOf } from '../../../src/config/options.ts';
import { settings } from '../../../src/config/settings.ts';
import type { RunConfig } from '../../../src/config/types.ts';
import { Bpf2KafkaError, type ErrorCode } from '../../../src/errors.ts';
import { buildInfo } from '../../../src/metrics/exposition.ts';
import { deliverySeconds, metrics } from '../../../src/metrics/table.ts';
import { environmentName } from '../../../src/setting.ts';
import { codeSpansIn, documents, root, textOf } from '../../support/documents.ts';

/** What the documents quote is what the program has: options, variables, metrics, messages, codes. */

const filesText = (...patterns: string[]) =>
  globSync(patterns, { cwd: root, exclude: ['**/node_modules'] })
    .map(textOf)
    .join('\n');
const source = filesText('src/**/*.ts', 'native/*.{cpp,h}', 'bpf/*.h');

/** Of each document what `found` gives for it, with the document's name before it. */
const inDocuments = (found: (document: string) => readonly string[]) =>
  documents.flatMap((document) => found(document).map((text) => `${document}: ${text}`));

const allMetrics = new Map(
  [...metrics, deliverySeconds, buildInfo].map(({ name, labels }) => [name, labels as readonly string[]]),
);
const metricOf = (name: string) => allMetrics.get(name) ?? allMetrics.get(name.replace(/_(bucket|sum|count)$/, ''));

test('each metric is one', () => {
  const unknown = inDocuments((document) =>
    [...textOf(document).matchAll(/\bbpf2kafka_[a-z_]*[a-z]\b/g)]
      .map(([name]) => name)
      .filter((name) => metricOf(name) === undefined),
  );
  expect(unknown).toEqual([]);
});

test('each option that stands alone is one of bpf2kafka', () => {
  const commands = ['run', 'start', 'attach', 'check', 'tail', 'audit', 'schema', 'detach'] as const;
  const options = new Set(commands.flatMap((command) => optionsOf(command).map(({ name }) => name)));
  // Of npm, docker, vitest, and of programs whose arguments are an example.
  const others = new Set(
    'ignore-scripts db-password all short json only long rounds project token no-password password-file until-end schemas http-token security-opt'.split(
      ' ',
    ),
  );
  const unknown = inDocuments((document) =>
    codeSpansIn(textOf(document))
      .map((span) => /^--([a-z][a-z-]+)(?=$|[ =])/.exec(span)?.[1])
      .filter((name) => name !== undefined)
      .filter((name) => !options.has(name) && !others.has(name)),
  );
  expect(unknown).toEqual([]);
});

test('each variable of the environment is read by something', () => {
  const names = new Set(Object.values(settings).map(({ name }) => environmentName(name)));
  const readers = `${source}\n${filesText('scripts/**/*.{sh,ts}', 'deploy/*.{js,service}', 'deploy/Dockerfile', 'docker-compose.yml', 'bench/**/*.ts', 'test/**/*.ts')}`;
  const unknown = inDocuments((document) =>
    [...textOf(document).matchAll(/\bBPF2KAFKA_[A-Z_]*[A-Z]\b/g)]
      .map(([name]) => name)
      .filter((name) => !names.has(name) && !readers.includes(name)),
  );
  expect(unknown).toEqual([]);
});

test('README.md names every package that set-up and the tests of kernels install', () => {
  const scripts = filesText('scripts/setup.sh', 'scripts/kernels/prepare.sh');
  const needed = [
    ...scripts.matchAll(/\bneed(?:_command \S+)? ([a-z][a-z0-9+-]+)$|\|\| missing="\$missing ([a-z0-9-]+)"/gm),
  ]
    .map(([, one, other]) => one ?? other)
    .filter((name) => name !== 'default-jre-headless');
  expect(needed.length).toBeGreaterThan(12);
  expect(needed.filter((name) => !textOf('README.md').includes(name as string))).toEqual([]);
});

test('docs/comparison.md has a source for each number, and a number for each source', () => {
  const [facts = '', sources = ''] = textOf('docs/comparison.md').split('\n## Sources\n');
  const cited = new Set([...facts.matchAll(/\[(\d+)\]/g)].map(([, number]) => number));
  const given = [...sources.matchAll(/^(\d+)\. .*\]\(https:/gm)].map(([, number]) => number);
  expect(given.length).toBeGreaterThan(15);
  expect(given.filter((number) => !cited.has(number))).toEqual([]);
  expect([...cited].filter((number) => !given.includes(number))).toEqual([]);
});

describe('docs/operations.md', () => {
  const text = textOf('docs/operations.md');
  const rowsUnder = (heading: string) =>
    (text.split(`## ${heading}\n`)[1] ?? '')
      .split('\n## ')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('| ') && !line.startsWith('|--'))
      .slice(1)
      .map((line) => line.slice(2, -2).split(' | ')) ?? [];

  test('reckons with the records that bpf/abi.h has', () => {
    const header = 8; // of the kernel's ring buffer
    expect(text.match(/A record there takes (\d+) B and its strings/)?.[1]).toBe(
      String(header + bytesOf('exec_record')),
    );
    // The cgroup's path behind it.
    expect(header + bytesOf('exit_record')).toBe(120);
    expect(text).toContain('`--exit-ring-bytes` / (*x* × 170 B)');
  });

  test('reckons with the memory that `check` reckons with', () => {
    const execs = kernelBytes({ execRingBytes: 8 * 2 ** 20, exitRingBytes: 4 * 2 ** 20, packets: undefined });
    const packets = { execRingBytes: 0, exitRingBytes: 0, packets: { flows: 131_072 } as RunConfig['packets'] };
    const shown = [execs, kernelBytes(packets)].map((bytes) => `${Math.round(bytes / 2 ** 20)} MiB`);
    expect(text.match(/\| (\d+ MiB and \d+ MiB) \|/)?.[1]).toBe(shown.join(' and '));
  });

  test('says with which exit code each error ends', () => {
    const told = rowsUnder('Exit codes').flatMap(([code, , errors = '']) =>
      codeSpansIn(errors).map((error) => [error, Number(code?.replaceAll('`', ''))] as const),
    );
    const codes = [...textOf('src/errors.ts').matchAll(/^ {2}(ERR_\w+):/gm)].map(([, code]) => code as ErrorCode);
    expect(codes.length).toBeGreaterThan(10);
    const exits = codes.map((code) => [code, new Bpf2KafkaError(code, { operation: '', reason: '' }).exitCode]);
    expect(new Map(told)).toEqual(new Map(exits as [string, number][]));
  });

  test('quotes what the program says of each fault', () => {
    const rows = rowsUnder('Faults');
    expect(rows.length).toBeGreaterThan(20);
    // The last column says what to do.
    const quotes = rows.flatMap((cells) => cells.slice(1, -1).flatMap(codeSpansIn));
    expect(quotes.length).toBeGreaterThan(40);
    const notSaid = quotes.filter((quote) => !isSaid(quote));
    expect(notSaid).toEqual([]);
  });
});

/** Bytes of a struct of bpf/abi.h, in which nothing is padded. */
function bytesOf(struct: string): number {
  const abi = textOf('bpf/abi.h');
  const body = new RegExp(`^struct ${struct} \\{\\n([\\s\\S]*?)^\\};`, 'm').exec(abi)?.[1] ?? '';
  const sizes: Readonly<Record<string, number>> = {
    __u64: 8,
    __s64: 8,
    __u32: 4,
    __s32: 4,
    'struct span': 4,
    char: 16,
  };
  return [...body.matchAll(/^\t(__[us]\d+|struct span|char) \w+(?:\[COMM_BYTES\])?;/gm)]
    .map(([, type = '']) => sizes[type] ?? Number.NaN)
    .reduce((sum, size) => sum + size, 0);
}

/** Whether each part between `…` stands in the source, and a metric has the label with that value. */
function isSaid(quote: string): boolean {
  const metric = /^(bpf2kafka_\w+)(?:\{(\w+)="(\w+)"\})?$/.exec(quote);
  if (metric !== null) {
    const [, name = '', label, value] = metric;
    return label === undefined || (metricOf(name)?.includes(label) === true && source.includes(`'${value}'`));
  }
  const parts = quote.split('…').map((part) => part.trim().replace(/^cannot /, ''));
  return parts.every((part) => source.includes(part.replace(/[:;]$/, '')));
}
