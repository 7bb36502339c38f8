import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { startKafka, type TestKafka } from '../test/support/kafka.ts';
import { startStorm } from '../test/support/storm.ts';
import { waitFor } from '../test/support/wait-for.ts';
import { Auditd } from './harness/auditd.ts';
import { enableBpfStats, programOfLink, statsOfProcess, statsOfProgram } from './harness/bpf-stats.ts';
import { atEnd } from './harness/cleanup.ts';
import type { Figure } from './harness/figure.ts';
import { cpuNanosOf, treeOf } from './harness/machine.ts';
import { bpftool, execsnoop } from './harness/rivals.ts';
import { type Context, interleaved, type Row, Unmeasurable } from './harness/row.ts';
import { needCapture, Place, Sidecar } from './harness/sidecar.ts';

const rate = 1_000;
const seconds = 10;
/** Until the code on the way of a batch is compiled, which happens after some hundred batches: a sidecar runs for weeks. */
const warmupSeconds = 30;

/** Percent of a core over `seconds` of a storm, after its first seconds. */
async function percentOver(nanos: () => number): Promise<number> {
  const storm = startStorm({ count: rate * (warmupSeconds + seconds + 1), rate });
  await sleep(warmupSeconds * 1000);
  const before = nanos();
  const begun = performance.now();
  await sleep(seconds * 1000);
  const percent = ((nanos() - before) / 1e6 / (performance.now() - begun)) * 100;
  await storm.ended;
  return percent;
}

/** The process, and what its programs take from whoever execs and exits. */
async function oursOver(kafka: TestKafka, inspector: string, name: string, withExits: boolean): Promise<number> {
  await using place = new Place();
  const flags = ['--create-topics', '--topic-prefix', `${name}.`, ...(withExits ? [] : ['--no-exit'])];
  await using sidecar = new Sidecar(place, kafka.brokers, flags);
  await sidecar.ready();
  const links = ['exec_link', 'exec_fork_link', ...(withExits ? ['exit_link'] : [])];
  const programs = links.map((link) => programOfLink(inspector, `${place.pinPath}/v1/${link}`));
  const percent = await percentOver(
    () =>
      treeOf(sidecar.pid).reduce((sum, pid) => sum + cpuNanosOf(pid), 0) +
      programs.reduce((sum, id) => sum + statsOfProgram(inspector, id).nanos, 0),
  );
  await sidecar.finish();
  return percent;
}

/** execsnoop piped to kcat: both processes, and the programs. */
async function theirsOver(kafka: TestKafka, program: string): Promise<number> {
  // A pipe of the shell's: one of Node.js does not block, which kcat takes for an error.
  const words = ['-c', '"$0" | kcat -P -q -b "$1" -t execsnoop', program, kafka.brokers];
  const shell = spawn('sh', words, { stdio: ['ignore', 'ignore', 'inherit'] });
  using _pipeline = atEnd(() => {
    // Those first for which the others wait, so that each is there to be ended.
    for (const pid of treeOf(shell.pid as number).toReversed()) process.kill(pid, 'SIGKILL');
  });
  const programsOf = (pid: number) => [...statsOfProcess(pid).values()];
  const pids = await waitFor(
    () => {
      const tree = treeOf(shell.pid as number);
      return tree.some((pid) => programsOf(pid).length > 0) && tree.length === 3 ? tree : undefined;
    },
    { what: 'execsnoop is attached' },
  );
  // Awaited here: with the promise returned the pipeline would be ended first.
  return await percentOver(() =>
    pids.reduce((sum, pid) => programsOf(pid).reduce((all, { nanos }) => all + nanos, sum + cpuNanosOf(pid)), 0),
  );
}

/** auditd and the kernel's thread; what the kernel takes from whoever execs, to write the records, cannot be told apart. */
async function auditdOver(): Promise<number> {
  await using auditd = await Auditd.start();
  const { pids } = auditd;
  const before = auditd.execs;
  const percent = await percentOver(() => pids.reduce((sum, pid) => sum + cpuNanosOf(pid), 0));
  if (auditd.execs === before) throw new Error('auditd has logged no exec');
  return percent;
}

async function measure({ rounds = 3, progress }: Context): Promise<readonly Figure[]> {
  needCapture();
  const rival = execsnoop();
  const inspector = bpftool();
  using _stats = enableBpfStats();
  await using kafka = await startKafka();
  await kafka.createTopic('execsnoop');
  let whyNoAudit: string | undefined;
  const [ours, withExits, theirs, auditd] = (await interleaved(rounds, [
    (round) => {
      progress(`round ${round + 1}: ${rate} execs/s for ${warmupSeconds + seconds} s, ours`);
      return oursOver(kafka, inspector, `execs${round}`, false);
    },
    (round) => {
      progress(`round ${round + 1}: ours, with exits`);
      return oursOver(kafka, inspector, `exits${round}`, true);
    },
    (round) => {
      progress(`round ${round + 1}: execsnoop with kcat`);
      return theirsOver(kafka, rival);
    },
    async (round) => {
      if (whyNoAudit !== undefined) return Number.NaN;
      progress(`round ${round + 1}: auditd with a rule for execve`);
      try {
        return await auditdOver();
      } catch (error) {
        if (!(error instanceof Unmeasurable)) throw error;
        whyNoAudit = error.message;
        return Number.NaN;
      }
    },
  ])) as [number[], number[], number[], number[]];
  const goals = [
    { of: 'ours', atMost: 3 },
    { of: 'ratio', atMost: 0.25 },
  ] as const;
  return [
    {
      what: `CPU at ${rate.toLocaleString('en-US')} execs/s, processes and their BPF programs; rival: execsnoop piped to kcat`,
      unit: '% of a core',
      ours,
      rival: theirs,
      goals,
    },
    {
      what: 'the same; rival: auditd with a rule for execve, and kauditd, without what execs pay in the kernel for the rule',
      unit: '% of a core',
      ours,
      ...(whyNoAudit === undefined ? { rival: auditd } : { why: whyNoAudit }),
      goals,
    },
    {
      what: 'the same, and as many exits, as the sidecar does when it is not told otherwise',
      unit: '% of a core',
      ours: withExits,
      goals: [],
    },
  ];
}

export const busy: Row = { target: 7, title: 'CPU at 1,000 execs/s', measure };
