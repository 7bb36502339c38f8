import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tool } from '../test/support/capture.ts';
import { startKafka } from '../test/support/kafka.ts';
import { Child } from './harness/children.ts';
import { atEnd } from './harness/cleanup.ts';
import type { Figure } from './harness/figure.ts';
import { benchTool, execsnoop } from './harness/rivals.ts';
import { type Context, interleaved, type Row } from './harness/row.ts';
import { needCapture, Place, Sidecar } from './harness/sidecar.ts';
import { startSnoop } from './harness/snoop.ts';

const spawns = 5_000;

/** Microseconds from posix_spawn to the end of a small static program, one after the other, by wall time. */
async function spawnMicros(): Promise<number> {
  const run = async (count: number) => {
    await using child = new Child(benchTool('spawn_argv'), [String(count), '1', tool('noop'), '-O2', '-c', 'x.c']);
    await child.succeed();
  };
  await run(200);
  const begun = performance.now();
  await run(spawns);
  return ((performance.now() - begun) * 1000) / spawns;
}

async function measure({ rounds = 7, progress }: Context): Promise<readonly Figure[]> {
  needCapture();
  const rival = execsnoop();
  const directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-bench-'));
  using _directory = atEnd(() => rmSync(directory, { recursive: true, force: true }));
  await using kafka = await startKafka();
  const [alone, ours, theirs] = (await interleaved(rounds, [
    async (round) => {
      progress(`round ${round + 1}: ${spawns} spawns, alone, with ours, with execsnoop`);
      return spawnMicros();
    },
    async (round) => {
      await using place = new Place();
      await using sidecar = new Sidecar(place, kafka.brokers, ['--create-topics', '--topic-prefix', `spawn${round}.`]);
      await sidecar.ready();
      const micros = await spawnMicros();
      await sidecar.finish();
      return micros;
    },
    async (round) => {
      await using _snoop = await startSnoop(rival, join(directory, `execsnoop-${round}`));
      return spawnMicros();
    },
  ])) as [number[], number[], number[]];
  const added = (with_: readonly number[]) => with_.map((micros, round) => micros - (alone[round] as number));
  return [
    {
      what: 'wall time added to posix_spawn, capturing and publishing execs and exits; rival: execsnoop, printing to a file',
      unit: 'us',
      ours: added(ours),
      rival: added(theirs),
      goals: [{ of: 'ratio', atMost: 0.25 }],
    },
    { what: 'posix_spawn to the end of the program, with neither', unit: 'us', ours: alone, goals: [] },
  ];
}

export const spawnTime: Row = { target: 2, title: 'wall time added to posix_spawn', measure };
