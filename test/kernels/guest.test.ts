import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';

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
function storms(): void {
  subject('capture', './capture.ts');
  subject('packets', './packets.ts');
}

switch (process.env.BPF2KAFKA_KERNELS_TESTS) {
  case 'refusal':
    subject('refusal', './refusal.ts');
    break;
  case 'all':
    subjects(files);
    break;
  case 'storms':
    storms();
    break;
  default:
    storms();
    subjects(files.filter((file) => /^(exec|exit)-record/.test(file)));
}
