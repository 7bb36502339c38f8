import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Reporter } from 'vitest/node';
import { reasonOf } from '../../src/errors.ts';
import type { Outcome } from '../support/summary-reporter.ts';

const checkout = join(import.meta.dirname, '../..');

/** The tests of all machines, as a run of vitest. */
const machines = [
  process.execPath,
  join(checkout, 'node_modules/vitest/vitest.mjs'),
  ...['run', '--root', checkout, '--project', 'linux *'],
];

/** A tenth of a processor that others want too: enough to boot in time, and too little to hold a storm up. */
const niceness = '10';

/**
 * Runs the tests in virtual machines while those of the host run, which leave a third of the processors idle: as a run of
 * its own, since the groups of one run follow each other, and behind the others in priority. What it printed comes when both
 * have ended, and its tests count with the others.
 */
export class KernelsBeside implements Reporter {
  readonly #log: string;
  readonly #result: string;
  readonly #command: readonly string[];
  #ended: Promise<number | null> | undefined;
  #outcome: Outcome | undefined;

  /**
   * @param directory of what it prints and of what became of its tests
   * @param command leaves that in the file of BPF2KAFKA_TEST_OUTCOME
   */
  constructor(directory = join(checkout, '.cache/kernels'), command: readonly string[] = machines) {
    mkdirSync(directory, { recursive: true });
    this.#log = join(directory, 'tests.log');
    this.#result = join(directory, 'outcome.json');
    this.#command = command;
  }

  /** What became of its tests, when the run has ended. */
  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  onInit(): void {
    rmSync(this.#result, { force: true });
    const output = openSync(this.#log, 'w');
    // Ends when this process does, however that may be.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'nice', '-n', niceness, ...this.#command], {
      stdio: ['ignore', output, output],
      env: { ...process.env, BPF2KAFKA_TEST_KERNELS: 'behind', BPF2KAFKA_TEST_OUTCOME: this.#result },
    });
    closeSync(output);
    this.#ended = once(child, 'exit').then(([code]) => code);
  }

  async onTestRunEnd(): Promise<void> {
    const code = await this.#ended;
    process.stdout.write(readFileSync(this.#log));
    this.#outcome = this.#read(code);
    if (code !== 0) process.exitCode = 1;
  }

  #read(code: number | null | undefined): Outcome {
    try {
      return JSON.parse(readFileSync(this.#result, 'utf8')) as Outcome;
    } catch (error) {
      const reason = `the tests in virtual machines ended with ${code} and left no result: ${reasonOf(error)}`;
      return { passed: 0, failed: [reason], skipped: [] };
    }
  }
}
