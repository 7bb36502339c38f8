import { closeSync, openSync } from 'node:fs';
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

async function measure({ rounds = 5, progress }: Context): Promise<readonly Figure[]> {
  needCapture();
  const rival = execsnoop();
  const inspector = bpftool();
  const spawner = benchTool('spawn_argv');
  using _stats = enableBpfStats();
  const pinPath = newPinPath();
  using _pins = atEnd(() => removePins(pinPath));
  const capture = openCapture(pinPath, ringBytes);
  try {
    using _reader = keepEmpty(capture);
    const dispatcher = programOfLink(inspector, `${pinPath}/v1/exec_link`);
    const nowhere = openSync('/dev/null', 'w');
    await using snoop = new Child(rival, [], { stdout: nowhere });
    closeSync(nowhere);

    const storm = async (args: readonly string[], count: number) => {
      await using child = new Child(spawner, [String(count), '2', tool('noop'), ...args]);
      await child.succeed();
    };
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

export const bpfTime: Row = { target: 1, title: 'BPF time an exec', measure };
