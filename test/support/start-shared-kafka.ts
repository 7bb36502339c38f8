import type { TestProject } from 'vitest/node';
import { startKafka } from './kafka.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of the broker that the files of the project share. */
    readonly sharedKafkaPort: number;
  }
}

/** Of vitest's configuration: what runs before the files of the project. What it returns runs behind them. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const kafka = await startKafka();
  project.provide('sharedKafkaPort', kafka.port);
  return () => kafka[Symbol.asyncDispose]();
}
