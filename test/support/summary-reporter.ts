import { relative } from 'node:path';
import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node';

export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  /** One line for each: what was skipped, and why. */
  readonly skipped: readonly string[];
}

/**
 * Ends the output of a test run with every skipped test and its reason, and with one line that a script can read:
 * `N passed, N failed, N skipped`. A file that does not load, a hook that fails and an error outside of tests each
 * count as one failure, and so does a test that an interrupted run did not finish: none of them has passed.
 */
export class SummaryReporter implements Reporter {
  #outcome: Outcome | undefined;
  #root = process.cwd();
  readonly #write: (text: string) => void;

  constructor(write: (text: string) => void = (text) => process.stdout.write(text)) {
    this.#write = write;
  }

  onInit(vitest: Vitest): void {
    this.#root = vitest.config.root;
    // Other reporters and vitest itself may still write after the end of the run; after 'exit' nothing can.
    process.once('exit', () => this.#write(summary(this.#outcome ?? nothingRan)));
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    this.#outcome = count(modules, unhandledErrors.length, this.#root);
  }
}

const nothingRan: Outcome = { passed: 0, failed: 1, skipped: [] };

export function summary({ passed, failed, skipped }: Outcome): string {
  const reasons = skipped.map((line) => `skipped: ${line}\n`).join('');
  return `\n${reasons}${passed} passed, ${failed} failed, ${skipped.length} skipped\n`;
}

function count(modules: readonly TestModule[], unhandledErrors: number, root: string): Outcome {
  let passed = 0;
  let failed = modules.length === 0 && unhandledErrors === 0 ? 1 : unhandledErrors;
  const skipped: string[] = [];
  for (const module of modules) {
    if (module.errors().length > 0) failed++;
    for (const suite of module.children.allSuites()) if (suite.errors().length > 0) failed++;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') passed++;
      else if (state === 'skipped')
        skipped.push(`${relative(root, module.moduleId)} > ${test.fullName}: ${reason(test)}`);
      else failed++;
    }
  }
  return { passed, failed, skipped };
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
