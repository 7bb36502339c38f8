import { closeSync, openSync } from 'node:fs';
import { noFilters } from '../src/exec-filters.ts';
import { type Capture, openCapture } from '../src/kernel/addon.ts';
import { acknowledging, newPinPath, removePins, tool } from '../test/support/capture.ts';
import { waitFor } from '../test/support/wait-for.ts';
import {
  enableBpfStats,
  nanosPerExec,
  nanosPerRun,
  programOfLink,
  statsOfProcess,
  statsOfProgram,
} from './harness/bpf-stats.ts';
import { Child } from './harness/children.ts';
import { atEnd } from './harness/cleanup.ts';
import type { Figure, Goal } from './harness/figure.ts';
import { benchTool, bpftool, execsnoop } from './harness/rivals.ts';
import type { Context, Row } from './harness/row.ts';
import { needCapture } from './harness/sidecar.ts';

const spawns = 5_000;
const ringBytes = 16 * 1024 * 1024;

const storms = [
  {
    name: 'typical argv (9 arguments, 118 bytes)',
    args: [
      '-O2',
      '-g',
      '-Wall',
      '-Iinclude',
      '-c',
      '-o',
      'build/src/exec_ring.o',
      'src/exec_ring.c',
      '--param=max-inline-insns-single=200',
    ],
  },
  // execsnoop as it is started takes 20 arguments of at most 128 bytes and leaves the rest; ours takes all 4 KiB.
  { name: 'argv of 4 KiB (64 arguments)', args: Array.from({ length: 64 }, (_, n) => String(n).padStart(63, 'x')) },
] as const;

const goals: readonly Goal[] = [
  { of: 'ratio', atMost: 0.15 },
  { of: 'ours', atMost: 2 },
];

/** Takes the records out of the ring all the time, as the sidecar does. */
function keepEmpty(capture: Capture): Disposable {
  const buffer = Buffer.alloc(512 * 1024);
  const timer = setInterval(() => {
    for (;;) {
      const { records, position } = capture.exec.read(buffer, 1_000);
      if (records === 0) return;
      capture.exec.commit(position, acknowledging(records));
    }
  }, 5);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

async function storm(args: readonly string[], count: number): Promise<void> {
  await using child = new Child(benchTool('spawn_argv'), [String(count), '2', tool('noop'), ...args]);
  await child.succeed();
}

/** With failed execs: what looks at each system call of the host, nearly all of which are no exec. */
async function measureSystemCalls(pinPath: string, inspector: string, rounds: number): Promise<readonly number[]> {
  const capture = openCapture(pinPath, ringBytes, { args: 'full', env: false, failed: true, excluded: noFilters });
  try {
    using _reader = keepEmpty(capture);
    const dispatcher = programOfLink(inspector, `${pinPath}/v1/exec_failed_link`);
    const samples: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const before = statsOfProgram(inspector, dispatcher);
      await storm(storms[0].args, spawns);
      samples.push(nanosPerRun(before, statsOfProgram(inspector, dispatcher)));
    }
    return samples;
  } finally {
    capture.close();
  }
}

/** The programs behind both take turns in the same storms: ours, and execsnoop's. */
async function measureExecs(
  pinPath: string,
  inspector: string,
  rival: string,
  { rounds, progress }: { readonly rounds: number; readonly progress: Context['progress'] },
): Promise<readonly Figure[]> {
  const capture = openCapture(pinPath, ringBytes);
  try {
    using _reader = keepEmpty(capture);
    const dispatcher = programOfLink(inspector, `${pinPath}/v1/exec_link`);
    const nowhere = openSync('/dev/null', 'w');
    await using snoop = new Child(rival, [], { stdout: nowhere });
    closeSync(nowhere);
    await waitFor(
      async () => {
        const before = statsOfProcess(snoop.pid);
        await storm(['warm-up'], 50);
        return nanosPerExec(before, statsOfProcess(snoop.pid)) > 0;
      },
      { what: `execsnoop is attached (${snoop.errors})` },
    );

    const samples = storms.map(() => ({ ours: [] as number[], rival: [] as number[] }));
    for (let round = 0; round < rounds; round += 1) {
      for (const [index, { name, args }] of storms.entries()) {
        progress(`round ${round + 1}: ${spawns} spawns, ${name}`);
        const oursBefore = statsOfProgram(inspector, dispatcher);
        const rivalBefore = statsOfProcess(snoop.pid);
        await storm(args, spawns);
        samples[index]?.rival.push(nanosPerExec(rivalBefore, statsOfProcess(snoop.pid)) / 1000);
        samples[index]?.ours.push(nanosPerRun(oursBefore, statsOfProgram(inspector, dispatcher)) / 1000);
      }
    }
    const { ringFull, ringBusy } = capture.exec.status();
    if (ringFull + ringBusy > 0)
      throw new Error(`${ringFull + ringBusy} records did not fit the ring: not a full record each`);
    return storms.map(({ name }, index) => ({
      what: `BPF time an exec, ${name}; rival: execsnoop`,
      unit: 'us',
      ours: samples[index]?.ours ?? [],
      rival: samples[index]?.rival ?? [],
      goals,
    }));
  } finally {
    capture.close();
  }
}

async function measure({ rounds = 5, progress }: Context): Promise<readonly Figure[]> {
  needCapture();
  const rival = execsnoop();
  const inspector = bpftool();
  using _stats = enableBpfStats();
  const pinPath = newPinPath();
  using _pins = atEnd(() => removePins(pinPath));
  const execs = await measureExecs(pinPath, inspector, rival, { rounds, progress });
  progress(`${rounds} rounds with failed execs`);
  const systemCalls: Figure = {
    what: 'BPF time a system call of any kind, with --failed-execs (in it a clock of the statistics)',
    unit: 'ns',
    ours: await measureSystemCalls(pinPath, inspector, rounds),
    goals: [],
  };
  return [...execs, systemCalls];
}

export const bpfTime: Row = { target: 1, title: 'BPF time an exec', measure };
