import { setTimeout as sleep } from 'node:timers/promises';
import { startKafka } from '../test/support/kafka.ts';
import { readTopic } from '../test/support/kcat.ts';
import { MemoryGroup } from './harness/cgroup.ts';
import type { Figure } from './harness/figure.ts';
import { cpuNanosOf, statusBytes, treeOf } from './harness/machine.ts';
import type { Context, Row } from './harness/row.ts';
import { needCapture, Place, Sidecar } from './harness/sidecar.ts';
import { BenchVeth } from './harness/veth.ts';

/** Until start-up has been compiled, collected and forgotten. */
const settleSeconds = 10;
/** More than this is traffic. */
const idleExecsPerSecond = 1;
const mebibyte = 1024 * 1024;

async function measure({ rounds = 1, long, progress }: Context): Promise<readonly Figure[]> {
  needCapture();
  const seconds = long ? 300 : 30;
  const cpu: number[] = [];
  const resident: number[] = [];
  const charged: number[] = [];
  let execs = 0;
  let packets = 0;
  let why: string | undefined;
  await using kafka = await startKafka();
  for (let round = 0; round < rounds; round += 1) {
    const prefix = `idle${round}.`;
    const group = MemoryGroup.create();
    using _group = typeof group === 'string' ? undefined : group;
    using veth = BenchVeth.create();
    await using place = new Place([veth.name]);
    const before = typeof group === 'string' ? [] : group.before;
    await using sidecar = new Sidecar(place, kafka.brokers, ['--create-topics', '--topic-prefix', prefix], before);
    await sidecar.ready();
    progress(`round ${round + 1}: ${settleSeconds} s to settle, then ${seconds} s`);
    await sleep(settleSeconds * 1000);

    const tree = treeOf(sidecar.pid);
    const nanosOf = () => treeOf(sidecar.pid).reduce((sum, pid) => sum + cpuNanosOf(pid), 0);
    const nanosBefore = nanosOf();
    const packetsBefore = veth.received;
    const begun = performance.now();
    const begunMillis = Date.now();
    await sleep(seconds * 1000);
    const elapsed = (performance.now() - begun) / 1000;
    cpu.push(((nanosOf() - nanosBefore) / 1e9 / elapsed) * 100);
    resident.push(tree.reduce((sum, pid) => sum + statusBytes(pid, 'VmRSS'), 0) / mebibyte);
    packets += veth.received - packetsBefore;
    if (typeof group === 'string') why = group;
    else charged.push(group.bytes / mebibyte);
    const endedMillis = Date.now();
    await sidecar.finish();
    const records = await readTopic(kafka.brokers, `${prefix}exec-events`);
    execs += records.filter(({ timestamp }) => timestamp >= begunMillis && timestamp <= endedMillis).length;
  }
  const perSecond = execs / seconds / rounds;
  return [
    {
      what: `CPU of the idle sidecar, its whole process tree, over ${seconds} s (execs of the machine's own meanwhile: ${perSecond.toFixed(2)} a second; packets: ${packets})`,
      unit: '% of a core',
      ours: cpu,
      goals: [{ of: 'ours', atMost: 0.3 }],
      ...(perSecond > idleExecsPerSecond ? { why: 'not idle: the machine executes programs of its own' } : {}),
    },
    { what: 'resident memory of the tree', unit: 'MiB', ours: resident, goals: [{ of: 'ours', atMost: 110 }] },
    {
      what: 'memory of its cgroup, with ring and maps',
      unit: 'MiB',
      ours: charged,
      goals: [{ of: 'ours', atMost: 180 }],
      ...(why === undefined ? {} : { why }),
    },
  ];
}

export const idle: Row = { target: 8, title: 'idle CPU and memory', measure };
