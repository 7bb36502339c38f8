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

switch (process.env.BPF2KAFKA_KERNELS_TESTS) {
  case 'refusal':
    subject('refusal', './refusal.ts');
    break;
  case 'all':
    for (const file of readdirSync(bpf).sort()) subject(file.replace('.test.ts', ''), join(bpf, file));
    break;
  default:
    subject('capture', './capture.ts');
    subject('exec-record', '../bpf/exec-record.test.ts');
    subject('packets', './packets.ts');
}
