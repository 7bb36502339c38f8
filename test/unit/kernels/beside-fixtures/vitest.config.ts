import { defineConfig } from 'vitest/config';
import { KernelsBeside } from '../../../kernels/beside.ts';
import { SummaryReporter } from '../../../support/summary-reporter.ts';

const { BESIDE_DIRECTORY = '', BESIDE_SCRIPT = '' } = process.env;
const beside = new KernelsBeside(BESIDE_DIRECTORY, ['sh', '-c', BESIDE_SCRIPT]);

export default defineConfig({
  test: { include: ['*.fixture.ts'], reporters: ['default', beside, new SummaryReporter(beside)] },
});
