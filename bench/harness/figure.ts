import { maximum, median, minimum, ratioOf } from './arithmetic.ts';

/** A bound on what was measured. */
export interface Goal {
  readonly of: 'ours' | 'ratio';
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** Where rounds disagree, which of them is quoted. A count is quoted whole: the worst round. */
export type Statistic = 'median' | 'minimum' | 'maximum';

/** One line of the table. Absent samples were not measured: `why` says so. */
export interface Figure {
  readonly what: string;
  readonly unit: string;
  /** One value a round. */
  readonly ours?: readonly number[];
  readonly rival?: readonly number[];
  readonly statistic?: Statistic;
  /** All of them must hold. Empty: a figure beside a target, for the reader. */
  readonly goals: readonly Goal[];
  readonly why?: string;
  /** What is to be known of how it was measured; instead of what the row as a whole says of that. */
  readonly notes?: readonly string[];
}

/** A line as the table and `--json` show it. */
export interface Result {
  readonly target: number;
  readonly what: string;
  readonly unit: string;
  readonly ours: number | null;
  readonly rival: number | null;
  readonly ratio: number | null;
  readonly goal: string;
  /** Null: not measured, or nothing was to be met. */
  readonly met: boolean | null;
  /** Number of rounds, which of them is quoted, and their spread. */
  readonly rounds: string;
  /** What is to be known before the figure is trusted. */
  readonly notes: readonly string[];
}

const statistics = { median, minimum, maximum } as const satisfies Record<
  Statistic,
  (values: readonly number[]) => number
>;

/** @param rowNotes of the row as a whole */
export function resultOf(target: number, figure: Figure, rowNotes: readonly string[]): Result {
  const { what, unit, ours, rival, statistic = 'median', goals, why, notes = rowNotes } = figure;
  const quoted = (samples: readonly number[] | undefined) =>
    samples === undefined || samples.length === 0 ? undefined : statistics[statistic](samples);
  const oursValue = quoted(ours);
  const rivalValue = quoted(rival);
  const ratio = ratioOf(oursValue, rivalValue);
  return {
    target,
    what,
    unit,
    ours: oursValue ?? null,
    rival: rivalValue ?? null,
    ratio: ratio ?? null,
    goal: goals.map((goal) => goalText(goal, unit)).join(' and '),
    met: meets(goals, oursValue, ratio),
    rounds: roundsText(ours, statistic),
    notes: why === undefined ? notes : [why, ...notes],
  };
}

/** Null when there is no goal, or what one of them bounds is not there and no other is missed. */
export function meets(goals: readonly Goal[], ours: number | undefined, ratio: number | undefined): boolean | null {
  const outcomes = goals.map(({ of, atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY }) => {
    const value = of === 'ours' ? ours : ratio;
    return value === undefined ? null : value <= atMost && value >= atLeast;
  });
  if (outcomes.includes(false)) return false;
  return outcomes.length === 0 || outcomes.includes(null) ? null : true;
}

function goalText({ of, atMost, atLeast }: Goal, unit: string): string {
  const subject = of === 'ratio' ? 'ratio ' : '';
  const suffix = of === 'ratio' || unit === '' ? '' : ` ${unit}`;
  const bounds = [
    ...(atMost === undefined ? [] : [`<= ${shown(atMost)}`]),
    ...(atLeast === undefined ? [] : [`>= ${shown(atLeast)}`]),
  ];
  return `${subject}${bounds.join(', ')}${suffix}`;
}

function roundsText(samples: readonly number[] | undefined, statistic: Statistic): string {
  if (samples === undefined || samples.length === 0) return '';
  if (samples.length === 1) return '1';
  return `${statistic} of ${samples.length} (${shown(minimum(samples))} to ${shown(maximum(samples))})`;
}

/** Three significant digits, and thousands with commas. */
export function shown(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}
