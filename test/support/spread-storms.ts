import { readFileSync } from 'node:fs';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Spreads the files with tests that run one at a time (one-storm-at-a-time.ts) evenly through those without, so that a
 * worker seldom waits for its turn while there is something else to do.
 */
export class SpreadStorms extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const projects = [...Map.groupBy(sorted, ({ project }) => project).values()];
    return projects.flatMap((own) => {
      const { storms = [], others = [] } = Object.groupBy(own, (file) =>
        makesStorms(file.moduleId) ? 'storms' : 'others',
      );
      return spread(storms, others);
    });
  }
}

/** Whether the test file of this path has tests that wait for their turn. */
export function makesStorms(file: string): boolean {
  return readFileSync(file, 'utf8').includes(" } from '../support/one-storm-at-a-time.ts'");
}

/** Each of `some`, and behind it its share of `rest`; both in their order. */
export function spread<Item>(some: readonly Item[], rest: readonly Item[]): Item[] {
  if (some.length === 0) return [...rest];
  const until = (n: number) => Math.round((n * rest.length) / some.length);
  return some.flatMap((item, n) => [item, ...rest.slice(until(n), until(n + 1))]);
}
