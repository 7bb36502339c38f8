import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Compression } from '../../src/kafka/compression.ts';
import { startKafka } from '../../test/support/kafka.ts';
import { readTopic } from '../../test/support/kcat.ts';
import { atEnd } from '../harness/cleanup.ts';
import { MachineWatch } from '../harness/machine.ts';
import { kafkaTools } from '../harness/rivals.ts';
import { type Context, interleaved, Unmeasurable } from '../harness/row.ts';
import type { PipelineResult } from './process.ts';
import { producerPerformance, writePayloads } from './producer-performance.ts';
import { runPipeline, typicalRecording } from './run.ts';

/** What rows 4 and 5 look at: measured once, in turn. */
export interface PipelineRounds {
  readonly whole: readonly PipelineResult[];
  /** Our producer alone, with records that were encoded before. */
  readonly client: readonly PipelineResult[];
  /** Of the rival, records a second. */
  readonly performance: readonly number[];
  /** Why there is no rival. */
  readonly why: string | undefined;
  /** Whether the machine was busy meanwhile. */
  readonly notes: readonly string[];
}

const records = 400_000;
const warmup = 100_000;
const payloadRecords = 2_000;

const measured = new Map<Compression, Promise<PipelineRounds>>();

export function pipelineRounds(compression: Compression, context: Context): Promise<PipelineRounds> {
  let rounds = measured.get(compression);
  if (rounds === undefined) {
    rounds = measure(compression, context);
    measured.set(compression, rounds);
  }
  return rounds;
}

async function measure(compression: Compression, { rounds = 5, progress }: Context): Promise<PipelineRounds> {
  const recording = await typicalRecording();
  const why = whyNoRival();
  await using kafka = await startKafka();
  const watch = new MachineWatch();
  const { brokers } = kafka;
  const directory = mkdtempSync(join(tmpdir(), 'bpf2kafka-bench-'));
  using _ = atEnd(() => rmSync(directory, { recursive: true, force: true }));
  // What is measured must not wait for a disk that fills: only the newest segments stay.
  const config = { 'retention.bytes': String(256 * 1024 * 1024), 'segment.bytes': String(128 * 1024 * 1024) };
  for (const topic of ['payloads', 'whole', 'client', 'rival']) await kafka.createTopic(topic, { config });

  const options = { recording, brokers, compression, records, warmup };
  // What the sidecar publishes, taken from the topic, is what the rival sends.
  await runPipeline({ ...options, mode: 'whole', topic: 'payloads', records: payloadRecords, warmup: 0 });
  const payloads = join(directory, 'payloads');
  writePayloads(
    payloads,
    (await readTopic(brokers, 'payloads')).map(({ key, value, headers }) =>
      Buffer.concat([key, Buffer.from(Object.entries(headers).flat().join('')), value]),
    ),
  );

  const client: PipelineResult[] = [];
  const performance: number[] = [];
  const [whole = []] = await interleaved(rounds, [
    async (round) => {
      progress(
        `${compression}, round ${round + 1}: the pipeline, then the client alone${why === undefined ? ', then ProducerPerformance' : ''}`,
      );
      return runPipeline({ ...options, mode: 'whole', topic: 'whole' });
    },
    async () => {
      const result = await runPipeline({ ...options, mode: 'client', topic: 'client' });
      client.push(result);
      return result;
    },
    ...(why === undefined
      ? [
          async () => {
            const rate = await producerPerformance({ brokers, topic: 'rival', records, warmup, compression, payloads });
            performance.push(rate);
            return undefined as never;
          },
        ]
      : []),
  ]);
  const busy = watch.note();
  return { whole, client, performance, why, notes: busy === undefined ? [] : [busy] };
}

function whyNoRival(): string | undefined {
  try {
    kafkaTools();
    return undefined;
  } catch (error) {
    if (error instanceof Unmeasurable) return error.message;
    throw error;
  }
}
