import { readFileSync } from 'node:fs';

/** This boot's random id, as the kernel prints it: 36 characters, with dashes. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
