import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { applyKafkajsFixes } from '../src/kafka/kafkajs-fixes.ts';
import { bpfTime } from './01-bpf-time.ts';
import { spawnTime } from './02-spawn-time.ts';
import { lost } from './03-lost.ts';
import { throughput } from './04-throughput.ts';
import { cpu } from './05-cpu.ts';
import { codec } from './06-codec.ts';
import { busy } from './07-busy.ts';
import { idle } from './08-idle.ts';
import { latency } from './09-latency.ts';
import { xdpCost } from './10-xdp-cost.ts';
import { packetFlood } from './11-flood.ts';
import { mainLoop } from './12-main-loop.ts';
import { start } from './14-start.ts';
import { cleanUpOnExit } from './harness/cleanup.ts';
import { type Result, resultOf } from './harness/figure.ts';
import { MachineWatch } from './harness/machine.ts';
import { type Context, type Row, Unmeasurable } from './harness/row.ts';
import { jsonRow, table } from './harness/table.ts';

const rows: readonly Row[] = [
  bpfTime,
  spawnTime,
  lost,
  throughput,
  cpu,
  codec,
  busy,
  idle,
  latency,
  xdpCost,
  packetFlood,
  mainLoop,
  start,
];
const usage = `usage: npm run bench -- [--only 1,4,5] [--rounds N] [--long] [--json]
  --only    the numbers of targets, with commas between; all that are built when absent
  --rounds  how often each is measured; each row's own number when absent
  --long    5 minutes instead of 30 s for the idle sidecar
  --json    an array of {target, what, ours, rival, ratio, goal, met} instead of the table
targets: ${rows.map(({ target, title }) => `${target} ${title}`).join(', ')}
`;

interface Choice {
  readonly rows: readonly Row[];
  readonly context: Context;
  readonly json: boolean;
}

function fail(message: string): never {
  process.stderr.write(`bench: ${message}\n${usage}`);
  process.exit(2);
}

function choose(): Choice {
  const options = {
    only: { type: 'string' },
    rounds: { type: 'string' },
    long: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ options }));
  } catch (error) {
    fail((error as Error).message);
  }
  if (values.help) {
    process.stdout.write(usage);
    process.exit(0);
  }
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds >= 1 && rounds <= 100))
    fail(`--rounds ${values.rounds} is not a whole number from 1 to 100`);
  const wanted = new Set(values.only?.split(',').map(Number) ?? rows.map(({ target }) => target));
  for (const target of wanted)
    if (!rows.some((row) => row.target === target)) fail(`--only ${values.only}: there is no row ${target}`);
  const chosen = rows.filter(({ target }) => wanted.has(target));
  const context: Context = {
    rounds,
    long: values.long === true,
    progress: (text) => process.stderr.write(`bench: ${text}\n`),
  };
  return { rows: chosen, context, json: values.json === true };
}

/** A row that fails or cannot be measured is a line of the table, and the others go on. */
async function measure(row: Row, context: Context): Promise<{ results: Result[]; failed: boolean }> {
  const watch = new MachineWatch();
  context.progress(`target ${row.target}: ${row.title}`);
  try {
    const figures = await row.measure(context);
    const busy = watch.note();
    return {
      results: figures.map((figure) => resultOf(row.target, figure, busy === undefined ? [] : [busy])),
      failed: false,
    };
  } catch (error) {
    const why =
      error instanceof Unmeasurable ? `not measurable here: ${error.message}` : `failed: ${(error as Error).message}`;
    const figure = { what: row.title, unit: '', goals: [], why };
    return { results: [resultOf(row.target, figure, [])], failed: !(error instanceof Unmeasurable) };
  }
}

function machine(): string {
  const model = cpus()[0]?.model ?? 'unknown';
  return `${cpus().length} cores (${model}), Linux ${release()}, Node.js ${process.versions.node}`;
}

cleanUpOnExit();
// The clients that the tests' brokers bring are kafkajs's own.
applyKafkajsFixes();
const { rows: chosen, context, json } = choose();
const results: Result[] = [];
let failed = false;
for (const row of chosen) {
  const outcome = await measure(row, context);
  results.push(...outcome.results);
  failed ||= outcome.failed;
}
if (json) {
  process.stdout.write(`${JSON.stringify(results.map(jsonRow), null, 2)}\n`);
} else {
  process.stdout.write(`\n${machine()}, ${new Date().toISOString().slice(0, 10)}\n\n${table(results)}\n`);
  process.stdout.write('target 13, what faults cost: npm run test:fault\n');
  process.stdout.write(`repeat one row: npm run bench -- --only N (${rows.map(({ target }) => target).join(', ')})\n`);
}
process.exit(failed ? 1 : 0);
