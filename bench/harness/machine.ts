import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ, the unit of /proc: 100 a second on every architecture that we build for. */
export const ticksPerSecond = 100;

/** Others took this much of one core: from here on a figure says so. */
const busyCores = 0.1;
const stealCores = 0.05;

export interface MachineTicks {
  readonly busy: number;
  /** Taken by the hypervisor. */
  readonly steal: number;
}

/** The `cpu` line of /proc/stat (proc_stat(5)): user nice system idle iowait irq softirq steal. */
export function parseMachineTicks(stat: string): MachineTicks {
  const line = stat.split('\n').find((text) => text.startsWith('cpu '));
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (line ?? '')
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return { busy: user + nice + system + irq + softirq, steal };
}

export interface ProcessTicks {
  readonly parent: number;
  /** Of the process and of the children that it has waited for. */
  readonly ticks: number;
  readonly own: number;
}

/** /proc/PID/stat (proc_pid_stat(5)); the name in parentheses may hold anything. */
export function parseProcessTicks(stat: string): ProcessTicks {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const at = (field: number) => Number(fields[field - 3]);
  return { parent: at(4), own: at(14) + at(15), ticks: at(14) + at(15) + at(16) + at(17) };
}

function processes(): Map<number, ProcessTicks> {
  const found = new Map<number, ProcessTicks>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      found.set(Number(name), parseProcessTicks(readFileSync(`/proc/${name}/stat`, 'utf8')));
    } catch {
      // It has ended meanwhile; its parent has its time.
    }
  }
  return found;
}

/** The process and all below it. */
export function treeOf(root: number): number[] {
  const all = processes();
  const tree = [root];
  for (let i = 0; i < tree.length; i += 1) for (const [pid, { parent }] of all) if (parent === tree[i]) tree.push(pid);
  return tree;
}

/** CPU of the process, of all below it, and of those that they have waited for. */
export function ticksOfTree(root: number): number {
  const all = processes();
  const tree = [root];
  let ticks = 0;
  for (let i = 0; i < tree.length; i += 1) {
    ticks += all.get(tree[i] as number)?.ticks ?? 0;
    for (const [pid, { parent }] of all) if (parent === tree[i]) tree.push(pid);
  }
  return ticks;
}

/** Whether the machine belonged to the measurement. */
export class MachineWatch {
  readonly #begun = performance.now();
  readonly #machine = parseMachineTicks(readFileSync('/proc/stat', 'utf8'));
  readonly #tree = ticksOfTree(process.pid);

  /** A note for the rows that were measured since, or undefined when the machine was quiet. */
  note(): string | undefined {
    const seconds = (performance.now() - this.#begun) / 1000;
    const { busy, steal } = parseMachineTicks(readFileSync('/proc/stat', 'utf8'));
    const own = ticksOfTree(process.pid) - this.#tree;
    return busyNote({
      seconds,
      others: (busy - this.#machine.busy - own) / ticksPerSecond,
      steal: (steal - this.#machine.steal) / ticksPerSecond,
    });
  }
}

/** @param seconds of the measurement; the others: seconds of CPU in that time */
export function busyNote({
  seconds,
  others,
  steal,
}: {
  seconds: number;
  others: number;
  steal: number;
}): string | undefined {
  const notes: string[] = [];
  if (others / seconds >= busyCores) notes.push(`others used ${(others / seconds).toFixed(2)} of a core`);
  if (steal / seconds >= stealCores) notes.push(`the hypervisor took ${(steal / seconds).toFixed(2)} of a core`);
  return notes.length === 0 ? undefined : `busy machine: ${notes.join(', ')} meanwhile`;
}

/** Nanoseconds that the threads of a process have run (proc: schedstat), finer than its ticks. */
export function cpuNanosOf(pid: number): number {
  let nanos = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanos += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      // The thread has ended.
    }
  }
  return nanos;
}

/** @param field of /proc/PID/status, such as VmRSS; kibibytes there, bytes here */
export function statusBytes(pid: number, field: string): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${field}:`));
  return Number(line?.split(/\s+/)[1] ?? Number.NaN) * 1024;
}
