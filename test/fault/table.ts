import type { Reporter, TestModule } from 'vitest/node';

/** What became of the execs that a generator made while something happened. */
export interface FaultRow {
  readonly fault: string;
  readonly done: string;
  /** Made by the generator. */
  readonly execs: number;
  /** Of those, in the topic, by an argument of their own; a bare record has none. */
  readonly found: number;
  readonly missing: number;
  /** Of those found, how many more than once. */
  readonly repeated: number;
  /** Its last line, or what it says of records that are gone in Kafka. */
  readonly audit: string;
}

declare module 'vitest' {
  interface TaskMeta {
    fault?: FaultRow;
  }
}

const columns = ['fault', 'done', 'execs', 'found', 'missing', 'repeated', 'audit'] as const;

/** As Markdown. */
export function faultTable(rows: readonly FaultRow[]): string {
  const lines = [columns, columns.map(() => '---'), ...rows.map((row) => columns.map((column) => `${row[column]}`))];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** The table of all faults at the end of a run that had any. */
export class FaultTableReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap(({ children }) => [...children.allTests()]);
    const rows = tests.flatMap((test) => test.meta().fault ?? []);
    if (rows.length > 0) process.stdout.write(`\n${faultTable(rows)}\n`);
  }
}
