import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startKafka } from '../test/support/kafka.ts';
import { readTopic } from '../test/support/kcat.ts';
import { compare, holesIn, startStorm } from '../test/support/storm.ts';
import { atEnd } from './harness/cleanup.ts';
import type { Figure } from './harness/figure.ts';
import { execsnoop } from './harness/rivals.ts';
import { type Context, type Row, Unmeasurable } from './harness/row.ts';
import { needCapture, Place, Sidecar } from './harness/sidecar.ts';
import { quiet, startSnoop } from './harness/snoop.ts';

const spawns = 20_000;

/** The rival where it can be installed; the row stands without it. */
function rivalProgram(): string | Unmeasurable {
  try {
    return execsnoop();
  } catch (error) {
    if (error instanceof Unmeasurable) return error;
    throw error;
  }
}

async function measure({ rounds = 1, progress }: Context): Promise<readonly Figure[]> {
  needCapture();
  const rival = rivalProgram();
  const directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-bench-'));
  using _directory = atEnd(() => rmSync(directory, { recursive: true, force: true }));
  await using kafka = await startKafka();
  const ours: number[] = [];
  const theirs: number[] = [];
  let holes = 0;
  for (let round = 0; round < rounds; round += 1) {
    const prefix = `storm${round}.`;
    await using place = new Place();
    await using sidecar = new Sidecar(place, kafka.brokers, ['--create-topics', '--topic-prefix', prefix]);
    await sidecar.ready();
    const output = join(directory, `execsnoop-${round}`);
    await using snoop = typeof rival === 'string' ? await startSnoop(rival, output) : undefined;

    progress(`round ${round + 1}: ${spawns} spawns`);
    const storm = startStorm({ count: spawns });
    await storm.ended;
    if (snoop !== undefined) {
      await quiet(output);
      await snoop.end('SIGINT');
      const printed = new Set(readFileSync(output, 'latin1').match(/storm-\d+-\d+-\d+/g));
      theirs.push([...storm.tokens].filter((token) => !printed.has(token)).length);
    }
    await sidecar.finish();
    const records = await readTopic(kafka.brokers, `${prefix}exec-events`);
    ours.push(compare(storm.tokens, records).missing.length);
    holes += holesIn(records).length;
  }
  return [
    {
      what: `execs lost of ${spawns.toLocaleString('en-US')} spawned on all cores; rival: execsnoop, lines not printed`,
      unit: '',
      ours,
      ...(theirs.length > 0 ? { rival: theirs } : {}),
      statistic: 'maximum',
      goals: [{ of: 'ours', atMost: 0 }],
      ...(rival instanceof Unmeasurable ? { why: rival.message } : {}),
    },
    { what: 'holes in seq meanwhile', unit: '', ours: [holes], goals: [{ of: 'ours', atMost: 0 }] },
  ];
}

export const lost: Row = { target: 3, title: 'execs lost in a storm', measure };
