import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { startKafka } from '../test/support/kafka.ts';
import { waitFor } from '../test/support/wait-for.ts';
import { Child } from './harness/children.ts';
import type { Figure } from './harness/figure.ts';
import { bpfTool } from './harness/rivals.ts';
import { type Context, type Row, Unmeasurable } from './harness/row.ts';
import { needCapture, Place } from './harness/sidecar.ts';
import { BenchVeth } from './harness/veth.ts';
import type { PacketProcessOptions, Published } from './pipeline/packet-process.ts';

const program = join(import.meta.dirname, 'pipeline/packet-process.ts');
const keys = 200_000;
/**
 * At the priority of real time, the main thread above the others of its process: what is measured is the loop, and not who
 * else wanted its core. Threads of one such priority wait for each other.
 */
const undisturbed = ['chrt', '--fifo', '1'];
const aboveAll = (thread: number) => spawnSync('chrt', ['--fifo', '--pid', '2', String(thread)]);
const flows = 262_144;

interface Walked {
  readonly keys: number;
  readonly milliseconds: number;
}

async function measure({ rounds = 5, progress }: Context): Promise<readonly Figure[]> {
  needCapture();
  await using kafka = await startKafka();
  const topic = 'packet-counts';
  await kafka.createTopic(topic);
  using veth = BenchVeth.create();
  await using place = new Place();
  const { pinPath } = place;
  const options: PacketProcessOptions = { pinPath, interfaceIndex: veth.index, flows, brokers: kafka.brokers, topic };
  const [command, ...words] = [...undisturbed, process.execPath, program];
  await using child = new Child(command as string, [...words, JSON.stringify(options)], { stdin: 'pipe' });
  const answers = () => child.output.split('\n').slice(0, -1);
  const answer = (count: number) =>
    waitFor(() => answers().length > count || child.ended, {
      what: `the pipeline answers (${child.errors})`,
      timeout: 60_000,
      interval: 5,
    });
  await answer(0);
  if (aboveAll(child.pid).status !== 0) throw new Unmeasurable('chrt(1) cannot set the priority of a thread');
  // As with any sidecar that runs: it has a connection and a codec before it has many keys.
  await sendEach(veth, 1);
  child.process.stdin?.write('publish\n');
  await answer(1);

  const published: Published[] = [];
  const walked: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    progress(round === 0 ? `${keys} keys, not counted` : `round ${round}: ${keys} keys`);
    await sendEach(veth, keys);
    walked.push(await walk(pinPath));
    child.process.stdin?.write('publish\n');
    await answer(published.length + 2);
    if (child.ended) throw new Error(`the pipeline ended: ${child.errors}`);
    const last = JSON.parse(answers().at(-1) as string) as Published;
    if (last.keys !== keys) throw new Error(`${last.keys} keys were read of ${keys}`);
    published.push(last);
  }
  child.process.stdin?.end();
  await child.succeed();

  const [first, ...others] = published;
  const name = `${keys.toLocaleString('en-US')} keys`;
  return [
    {
      what: `${name} read, published to a broker and cleared: longest time for which the main loop was blocked`,
      unit: 'ms',
      ours: others.map(({ blocked }) => blocked),
      goals: [{ of: 'ours', atMost: 5 }],
    },
    {
      what: 'the same of the first time, when the code is not compiled yet',
      unit: 'ms',
      ours: [first?.blocked ?? Number.NaN],
      goals: [],
    },
    {
      what: `${name} read off the main loop, with calls for batches; rival: two calls a key`,
      unit: 'ms',
      ours: others.map(({ reading }) => reading),
      rival: walked.slice(1),
      goals: [],
    },
    {
      what: `${name}: from the end of the epoch until all are acknowledged and cleared`,
      unit: 'ms',
      ours: others.map(({ elapsed }) => elapsed),
      goals: [],
    },
  ];
}

/** One packet each of so many flows. */
async function sendEach(veth: BenchVeth, count: number): Promise<void> {
  const before = veth.received;
  await veth.sendFlows(count);
  await waitFor(() => veth.received - before >= count, { what: 'the interface takes in all frames', timeout: 10_000 });
}

/** Milliseconds of the rival over the map that has the keys; the other one is empty. */
async function walk(pinPath: string): Promise<number> {
  for (const parity of [0, 1]) {
    await using child = new Child(bpfTool('map_walk'), [`${pinPath}/v1/packet_flows_${parity}`]);
    const walked = JSON.parse(await child.succeed()) as Walked;
    if (walked.keys === keys) return walked.milliseconds;
  }
  throw new Error(`no map has ${keys} keys`);
}

export const mainLoop: Row = { target: 12, title: 'main loop while 200,000 keys are read', measure };
