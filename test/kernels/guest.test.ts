import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe } from 'vitest';
import { preemptEverywhere } from './preemption.ts';

/**
 * What runs in each guest, as one file, so that one machine runs all of it. An emulated machine is some twenty times
 * slower: it gets the record field by field, and of the rest what depends on the kernel. BPF2KAFKA_KERNELS_TESTS=all
 * gives it all of test/bpf.
 */

const bpf = join(import.meta.dirname, '../bpf');

function subject(name: string, file: string): void {
  describe(name, async () => {
    await import(file);
  });
}

const files = readdirSync(bpf).sort();

function subjects(names: readonly string[]): void {
  for (const file of names) subject(file.replace('.test.ts', ''), join(bpf, file));
}

/** What programs that run at the same time owe to each other, and what loads every program. */
const storms = ['capture', 'packets'] as const;

switch (process.env.BPF2KAFKA_KERNELS_TESTS) {
  case 'refusal':
    subject('refusal', './refusal.ts');
    break;
  case 'all':
    subjects(files);
    break;
  default:
    for (const name of storms) subject(name, `./${name}.ts`);
    subjects(files.filter((file) => /^(exec|exit)-record/.test(file)));
    // Last, and without the record field by field, which knows no preemption.
    if (process.env.BPF2KAFKA_KERNELS_PREEMPTION === 'switched') for (const name of storms) preempted(name);
}

function preempted(name: string): void {
  describe(`${name}, preempt=full`, async () => {
    beforeAll(preemptEverywhere);
    // By another name it is another module: one that was imported already has no tests to define.
    await import(`./${name}.ts?preempted`);
  });
}
