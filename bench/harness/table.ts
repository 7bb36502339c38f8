import { type Result, shown } from './figure.ts';

/** Exactly these keys: what reads it may rely on them. What is to be known beside a figure stands in `what`. */
export interface JsonRow {
  readonly target: number;
  readonly what: string;
  readonly ours: number | null;
  readonly rival: number | null;
  readonly ratio: number | null;
  readonly goal: string;
  readonly met: boolean | null;
}

export function jsonRow({ target, what, unit, ours, rival, ratio, goal, met, rounds, notes }: Result): JsonRow {
  const said = [unit, rounds === '' || rounds === '1' ? '' : rounds, ...notes].filter((part) => part !== '');
  return { target, what: said.length === 0 ? what : `${what} [${said.join('; ')}]`, ours, rival, ratio, goal, met };
}

const header = ['#', 'what', 'ours', 'rival', 'ratio', 'goal', 'met', 'rounds'] as const;

/** Columns as wide as they need to be; a note below its row. */
export function table(results: readonly Result[]): string {
  const rows = results.map((result) => ({ cells: cellsOf(result), notes: result.notes }));
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map(({ cells }) => (cells[column] as string).length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) =>
        rightAligned.has(column) ? cell.padStart(widths[column] as number) : cell.padEnd(widths[column] as number),
      )
      .join('  ')
      .trimEnd();
  const lines = [line(header), line(widths.map((width) => '-'.repeat(width)))];
  const indent = ' '.repeat((widths[0] as number) + 2);
  for (const { cells, notes } of rows) {
    lines.push(line(cells));
    for (const note of notes) lines.push(`${indent}* ${note}`);
  }
  return `${lines.join('\n')}\n`;
}

const rightAligned = new Set([0, 2, 3, 4]);

function cellsOf({ target, what, unit, ours, rival, ratio, goal, met, rounds }: Result): string[] {
  const measured = (value: number | null) => (value === null ? '-' : `${shown(value)}${unit === '' ? '' : ` ${unit}`}`);
  return [
    String(target),
    what,
    measured(ours),
    measured(rival),
    ratio === null ? '-' : ratio.toFixed(2),
    goal === '' ? '-' : goal,
    met === null ? '-' : met ? 'yes' : 'NO',
    rounds,
  ];
}
