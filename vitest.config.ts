import { defineConfig } from 'vitest/config';
import { FaultTableReporter } from './test/fault/table.ts';
import { KernelsBeside } from './test/kernels/beside.ts';
import type { BootPanic } from './test/kernels/pool.ts';
import { kernelProjects } from './test/kernels/projects.ts';
import { KernelTableReporter } from './test/kernels/table-reporter.ts';
import { SpreadStorms } from './test/support/spread-storms.ts';
import { SummaryReporter } from './test/support/summary-reporter.ts';

/**
 * Every capture sees the execs of the whole host, and the tests of the kernel side count them: groups run in order, and
 * inside that of bpf one file runs at a time. Of integration three do, as much of a test is waiting; what makes storms
 * that would fill the rings of others takes turns (test/support/one-storm-at-a-time.ts).
 */
const oneFileAtATime = { fileParallelism: false, maxWorkers: 1 };

const bootPanics: BootPanic[] = [];
const beside = process.env.BPF2KAFKA_TEST_KERNELS === 'beside' ? new KernelsBeside() : undefined;

/** Long outages: for those who ask for them (scripts/test-fault.sh). */
const faults = {
  test: {
    name: 'fault',
    include: ['test/fault/**/*.test.ts'],
    pool: 'forks' as const,
    ...oneFileAtATime,
    sequence: { groupOrder: 4 },
    testTimeout: 3_600_000,
    hookTimeout: 120_000,
    retry: 0,
  },
};

export default defineConfig({
  test: {
    reporters: [
      'default',
      new KernelTableReporter(bootPanics),
      new FaultTableReporter(),
      ...(beside === undefined ? [] : [beside]),
      new SummaryReporter(beside),
    ],
    passWithNoTests: false,
    sequence: { sequencer: SpreadStorms },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          // Ends what hangs: properties draw hundreds of records, which takes seconds, and much longer on a busy machine.
          testTimeout: 60_000,
          retry: 0,
        },
      },
      {
        test: {
          name: 'bpf',
          include: ['test/bpf/**/*.test.ts'],
          pool: 'forks',
          ...oneFileAtATime,
          sequence: { groupOrder: 1 },
          testTimeout: 30_000,
          hookTimeout: 30_000,
          retry: 0,
        },
      },
      ...kernelProjects(2, bootPanics),
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: 'test/support/start-shared-kafka.ts',
          pool: 'forks',
          maxWorkers: 3,
          sequence: { groupOrder: 3 },
          // Of what hangs: three files run at a time, and each may start several programs and brokers.
          testTimeout: 120_000,
          hookTimeout: 180_000,
          retry: 0,
        },
      },
      ...(process.env.BPF2KAFKA_TEST_FAULT === undefined ? [] : [faults]),
    ],
  },
});
