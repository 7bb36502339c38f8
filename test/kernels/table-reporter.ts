import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Reporter, TestModule, TestSuite } from 'vitest/node';
import type { BootPanic } from './pool.ts';

/** One field of the table: what became of the tests of one subject on one machine. */
export interface Cell {
  readonly machine: string;
  readonly subject: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Wall time, two machines at a time. */
  readonly seconds: number;
}

/** The table kernel x subject at the end of a run, and as JSON in the file of BPF2KAFKA_KERNELS_JSON. */
export class KernelTableReporter implements Reporter {
  readonly #panics: readonly BootPanic[];

  /** @param panics those of the run, when it has ended */
  constructor(panics: readonly BootPanic[]) {
    this.#panics = panics;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const cells = modules
      .filter(({ project }) => project.name.startsWith('linux '))
      .flatMap((module) => [...module.children.suites()].map((suite) => cellOf(module.project.name, suite)));
    const file = process.env.BPF2KAFKA_KERNELS_JSON;
    if (file !== undefined) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, `${JSON.stringify(cells, undefined, 2)}\n`);
    }
    if (cells.length > 0) process.stdout.write(`\n${tableOf(cells)}\n${panicsOf(this.#panics)}`);
  }
}

function cellOf(machine: string, suite: TestSuite): Cell {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let milliseconds = 0;
  for (const test of suite.children.allTests()) {
    const { state } = test.result();
    counts[state === 'pending' ? 'failed' : state] += 1;
    milliseconds += test.diagnostic()?.duration ?? 0;
  }
  if (suite.errors().length > 0) counts.failed += 1;
  return { machine, subject: suite.name, ...counts, seconds: Math.round(milliseconds / 100) / 10 };
}

export function tableOf(cells: readonly Cell[]): string {
  const subjects = [...new Set(cells.map(({ subject }) => subject))];
  const rows = [...Map.groupBy(cells, ({ machine }) => machine)].map(([machine, own]) => [
    machine,
    ...subjects.map((subject) => textOf(own.find((cell) => cell.subject === subject))),
  ]);
  const table = [['kernel', ...subjects], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => (row[column] ?? '').length))) ?? [];
  return table
    .map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Which machines were booted twice, and why: it is no failure, and should not go unseen. */
export function panicsOf(panics: readonly BootPanic[]): string {
  return panics
    .map(
      ({ machine, printed }) =>
        `\n${machine}: its kernel panicked before the tests began, and it was booted once more. Its console:\n${printed}\n`,
    )
    .join('');
}

function textOf(cell: Cell | undefined): string {
  if (cell === undefined) return '-';
  const { passed, failed, skipped, seconds } = cell;
  const parts = [`${passed} passed`];
  if (failed > 0) parts.push(`${failed} failed`);
  if (skipped > 0) parts.push(`${skipped} skipped`);
  return `${parts.join(', ')} (${seconds} s)`;
}
