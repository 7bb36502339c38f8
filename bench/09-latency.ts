import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDecoder } from '../src/schemas/codec.ts';
import { startKafka } from '../test/support/kafka.ts';
import { startStorm } from '../test/support/storm.ts';
import { waitFor } from '../test/support/wait-for.ts';
import { percentile } from './harness/arithmetic.ts';
import { atEnd } from './harness/cleanup.ts';
import type { Figure } from './harness/figure.ts';
import { FrameReader } from './harness/frames.ts';
import { type Context, type Row, Unmeasurable } from './harness/row.ts';
import { needCapture, Place, Sidecar } from './harness/sidecar.ts';

const rate = 1_000;
const seconds = 10;
const warmupSeconds = 3;
/** The kernel's clock of time since boot and ours stand apart by the time that the machine was suspended. */
const suspendedAtMost = 0.02;

interface Arrival {
  readonly value: Buffer;
  /** CLOCK_MONOTONIC, microseconds. */
  readonly micros: number;
}

function nowMicros(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

/** An independent consumer (librdkafka), which prints each record as it gets it. */
class Consumer implements Disposable {
  readonly arrivals: Arrival[] = [];
  readonly #kill: Disposable;

  constructor(brokers: string, topic: string) {
    const settings = ['-X', 'fetch.wait.max.ms=100', '-X', 'fetch.error.backoff.ms=5'];
    const args = ['-C', '-q', '-u', '-b', brokers, '-t', topic, '-o', 'beginning', '-f', '%S\\n%s\\n', ...settings];
    const child = spawn('kcat', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#kill = atEnd(() => child.kill('SIGKILL'));
    const frames = new FrameReader();
    child.stdout.on('data', (chunk: Buffer) => {
      const micros = nowMicros();
      for (const value of frames.push(chunk)) this.arrivals.push({ value, micros });
    });
  }

  [Symbol.dispose](): void {
    this.#kill[Symbol.dispose]();
  }
}

async function measure({ rounds = 3, progress }: Context): Promise<readonly Figure[]> {
  needCapture();
  const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  if (Math.abs(uptime - nowMicros() / 1e6) > suspendedAtMost)
    throw new Unmeasurable(
      'this machine was suspended since its boot: the clocks of the record and of the reader differ',
    );
  await using kafka = await startKafka();
  const medians: number[] = [];
  const tails: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const prefix = `latency${round}.`;
    await using place = new Place();
    await using sidecar = new Sidecar(place, kafka.brokers, ['--create-topics', '--topic-prefix', prefix]);
    await sidecar.ready();
    using consumer = new Consumer(kafka.brokers, `${prefix}exec-events`);
    await waitFor(() => consumer.arrivals.length > 0, {
      what: 'the consumer reads the first record',
      timeout: 20_000,
    }).catch(
      () => {}, // a machine without an exec of its own: the storm brings the first
    );
    progress(`round ${round + 1}: ${rate} execs/s for ${warmupSeconds + seconds} s`);
    const storm = startStorm({ count: rate * (warmupSeconds + seconds), rate });
    await storm.ended;
    await sleep(1_000);
    await sidecar.finish();
    const latencies = await latenciesOf(consumer.arrivals, storm.tokens);
    if (latencies.length < storm.tokens.size)
      throw new Error(`the consumer read ${latencies.length} of ${storm.tokens.size} execs`);
    const counted = latencies.slice(rate * warmupSeconds);
    medians.push(percentile(counted, 50));
    tails.push(percentile(counted, 99));
  }
  const what = `exec to record readable by kcat, ${rate.toLocaleString('en-US')} execs/s, resolution 0.1 ms`;
  return [
    { what: `${what}: p50`, unit: 'ms', ours: medians, goals: [{ of: 'ours', atMost: 25 }] },
    { what: `${what}: p99`, unit: 'ms', ours: tails, goals: [{ of: 'ours', atMost: 100 }] },
  ];
}

/** Milliseconds of each exec of the storm, in the order of the topic. */
async function latenciesOf(arrivals: readonly Arrival[], tokens: ReadonlySet<string>): Promise<number[]> {
  const decoder = createDecoder({ topic: 'exec-events' });
  const latencies: number[] = [];
  for (const { value, micros } of arrivals) {
    const decoded = await decoder.decode(value);
    if (!decoded.ok) throw new Error(decoded.reason);
    if (tokens.has(decoded.event.args?.[1] ?? '')) latencies.push((micros - decoded.event.boot_micros) / 1000);
  }
  return latencies;
}

export const latency: Row = { target: 9, title: 'exec to readable record', measure };
