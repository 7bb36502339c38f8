import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { statsOfProcess } from './bpf-stats.ts';
import { Child } from './children.ts';

/** Until execsnoop has printed what it had: long after the storm its output does not grow any more. */
const settleMillis = 500;

/** execsnoop, once it is attached; it prints to a file. */
export async function startSnoop(program: string, output: string): Promise<Child> {
  const file = openSync(output, 'w');
  const child = new Child(program, [], { stdout: file });
  closeSync(file);
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.ended) throw new Error(`execsnoop ended: ${child.errors}`);
    // Its programs are there and its header is printed: it polls.
    if (statsOfProcess(child.pid).size > 0 && readFileSync(output, 'utf8').includes('PCOMM')) break;
    await sleep(50);
  }
  await sleep(settleMillis);
  return child;
}

/** Waits until nothing is added to a file any more. */
export async function quiet(path: string): Promise<void> {
  let bytes = -1;
  for (let attempt = 0; attempt < 60; attempt += 1) {
    const now = readFileSync(path).length;
    if (now === bytes) return;
    bytes = now;
    await sleep(settleMillis);
  }
}
