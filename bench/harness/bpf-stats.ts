import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { atEnd } from './cleanup.ts';
import { Unmeasurable } from './row.ts';

/** What the kernel counts of one program while statistics are on. */
export interface ProgramStats {
  readonly runs: number;
  readonly nanos: number;
}

const setting = '/proc/sys/kernel/bpf_stats_enabled';

/** Turns the kernel's statistics of BPF programs on until disposed; they cost each run two reads of the clock. */
export function enableBpfStats(): Disposable {
  let before: string;
  try {
    before = readFileSync(setting, 'utf8').trim();
    writeFileSync(setting, '1');
  } catch (error) {
    throw new Unmeasurable(`statistics of BPF programs cannot be turned on: ${(error as Error).message}`);
  }
  return atEnd(() => writeFileSync(setting, before));
}

/** Program id of a pinned link. */
export function programOfLink(bpftool: string, pin: string): number {
  const { prog_id } = query(bpftool, ['link', 'show', 'pinned', pin]) as { prog_id: number };
  return prog_id;
}

export function statsOfProgram(bpftool: string, id: number): ProgramStats {
  const { run_cnt = 0, run_time_ns = 0 } = query(bpftool, ['prog', 'show', 'id', String(id)]) as Record<string, number>;
  return { runs: run_cnt, nanos: run_time_ns };
}

function query(bpftool: string, args: readonly string[]): unknown {
  const { status, stdout, stderr } = spawnSync(bpftool, ['-j', ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`bpftool ${args.join(' ')}: ${stderr || stdout}`);
  const answer: unknown = JSON.parse(stdout);
  return Array.isArray(answer) ? answer[0] : answer;
}

/** Of each program that a process holds open, by id (Linux: the fdinfo of a BPF program). */
export function statsOfProcess(pid: number): Map<number, ProgramStats> {
  const stats = new Map<number, ProgramStats>();
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    let text: string;
    try {
      text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
    } catch {
      continue; // closed meanwhile
    }
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\d+)$`, 'm').exec(text)?.[1];
    const id = field('prog_id');
    const runs = field('run_cnt');
    if (id === undefined || runs === undefined) continue;
    stats.set(Number(id), { runs: Number(runs), nanos: Number(field('run_time_ns')) });
  }
  return stats;
}

/** Nanoseconds a run between two looks. */
export function nanosPerRun(before: ProgramStats, after: ProgramStats): number {
  const runs = after.runs - before.runs;
  if (runs === 0) throw new Error('a program did not run at all');
  return (after.nanos - before.nanos) / runs;
}

/** Of programs that each run once an exec, what all of them together take an exec. */
export function nanosPerExec(
  before: ReadonlyMap<number, ProgramStats>,
  after: ReadonlyMap<number, ProgramStats>,
): number {
  let nanos = 0;
  for (const [id, stats] of after) {
    const first = before.get(id);
    // Loaded and not attached, as its programs for older kernels.
    if (first === undefined || first.runs === stats.runs) continue;
    nanos += nanosPerRun(first, stats);
  }
  return nanos;
}
