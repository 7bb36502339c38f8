import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node';

export interface Outcome {
  readonly passed: number;
  /** One line for each: what failed, and how. */
  readonly failed: readonly string[];
  /** One line for each: what was skipped, and why. */
  readonly skipped: readonly string[];
}

/**
 * Ends the output of a test run with every skipped test and its reason, every failure, which of a long run is all that may
 * be kept, and one line that a script can read: `N passed, N failed, N skipped`. A file that does not load, a hook that
 * fails and an error outside of tests each count as one failure, and so does a test that an interrupted run did not finish:
 * none of them has passed. A run that counts with another one leaves all that in the file of BPF2KAFKA_TEST_OUTCOME
 * instead, as JSON.
 */
export class SummaryReporter implements Reporter {
  #outcome: Outcome | undefined;
  #root = process.cwd();
  readonly #beside: { readonly outcome: Outcome | undefined };

  /** @param beside a run that counts with this one, when that has ended */
  constructor(beside: { readonly outcome: Outcome | undefined } = { outcome: undefined }) {
    this.#beside = beside;
  }

  onInit(vitest: Vitest): void {
    this.#root = vitest.config.root;
    // Other reporters and vitest itself may still write after the end of the run; after 'exit' nothing can.
    process.once('exit', () => {
      const own = this.#outcome ?? nothingRan;
      const file = process.env.BPF2KAFKA_TEST_OUTCOME;
      if (file !== undefined) writeFileSync(file, JSON.stringify(own));
      else process.stdout.write(summary(sum(own, this.#beside.outcome)));
    });
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    this.#outcome = count(modules, unhandledErrors, this.#root);
  }
}

const nothingRan: Outcome = { passed: 0, failed: ['no test ran'], skipped: [] };

function sum(one: Outcome, other: Outcome = { passed: 0, failed: [], skipped: [] }): Outcome {
  return {
    passed: one.passed + other.passed,
    failed: [...one.failed, ...other.failed],
    skipped: [...one.skipped, ...other.skipped],
  };
}

export function summary({ passed, failed, skipped }: Outcome): string {
  const lines = [...skipped.map((line) => `skipped: ${line}\n`), ...failed.map((line) => `failed: ${line}\n`)];
  return `\n${lines.join('')}${passed} passed, ${failed.length} failed, ${skipped.length} skipped\n`;
}

function count(modules: readonly TestModule[], unhandledErrors: readonly unknown[], root: string): Outcome {
  let passed = 0;
  const failed = unhandledErrors.map((error) => `outside of tests: ${firstLine([error])}`);
  const skipped: string[] = [];
  if (modules.length === 0 && failed.length === 0) failed.push(...nothingRan.failed);
  for (const module of modules) {
    const file = relative(root, module.moduleId);
    if (module.errors().length > 0) failed.push(`${file}: ${firstLine(module.errors())}`);
    for (const suite of module.children.allSuites())
      if (suite.errors().length > 0) failed.push(`${file} > ${suite.fullName}: ${firstLine(suite.errors())}`);
    for (const test of module.children.allTests()) {
      const { state, errors = [] } = test.result();
      if (state === 'passed') passed++;
      else if (state === 'skipped') skipped.push(`${file} > ${test.fullName}: ${reason(test)}`);
      else failed.push(`${file} > ${test.fullName}: ${firstLine(errors)}`);
    }
  }
  return { passed, failed, skipped };
}

function firstLine([error]: readonly unknown[]): string {
  const { message } = (error ?? {}) as { readonly message?: string };
  return message?.split('\n')[0] ?? 'it did not end';
}

function reason(test: TestCase): string {
  const result = test.result();
  if (result.state === 'skipped' && result.note !== undefined) return result.note;
  for (let parent: TestSuite | TestModule = test.parent; ; parent = parent.parent) {
    if (parent.errors().length > 0) return 'a hook before it failed';
    if (parent.type === 'module') break;
  }
  return test.options.mode === 'todo' ? 'to do' : 'no reason given';
}
