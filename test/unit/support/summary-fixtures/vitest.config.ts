import { defineConfig } from 'vitest/config';
import { SummaryReporter } from '../../../support/summary-reporter.ts';

export default defineConfig({
  test: { include: ['*.fixture.ts'], reporters: ['default', new SummaryReporter()] },
});
