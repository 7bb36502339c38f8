import type { Problem, ProblemKind, Uncheckable } from './audit-report.ts';

/** What the checks of one stream found, in the order in which they ran. */
export class Findings {
  readonly problems: Problem[];
  readonly uncheckable: Uncheckable[] = [];
  /** What is worth knowing and is no problem. */
  readonly notes: string[] = [];

  /** @param known problems that were found otherwise */
  constructor(known: readonly Problem[]) {
    this.problems = [...known];
  }

  problem(kind: ProblemKind, text: string, more: Omit<Problem, 'kind' | 'text'> = {}): void {
    this.problems.push({ kind, text, ...more });
  }

  note(text: string): void {
    this.notes.push(text);
  }

  /** Windows that follow each other, and counts of one window, become one when their reason is the same. */
  cannotCheck(found: Uncheckable): void {
    const last = this.uncheckable.at(-1);
    const follows = last?.epoch === found.after_epoch || last?.epoch === found.epoch;
    if (last === undefined || last.reason !== found.reason || !follows) {
      this.uncheckable.push(found);
      return;
    }
    const sums = { expected: last.expected + found.expected, found: last.found + found.found };
    this.uncheckable.splice(-1, 1, { ...last, ...sums, epoch: found.epoch });
  }
}
