import { readFileSync, writeFileSync } from 'node:fs';

/** Of a kernel with CONFIG_PREEMPT_DYNAMIC (kernel/sched/debug.c, sched_dynamic_write): its models, the one it has in brackets. */
const file = '/sys/kernel/debug/sched/preempt';

/** What preempt=full is on the kernel's command line, for one that has booted with another model. */
export function preemptEverywhere(): void {
  writeFileSync(file, 'full');
  const models = readFileSync(file, 'utf8');
  if (!models.includes('(full)')) throw new Error(`this kernel does not preempt everywhere: ${models}`);
}
