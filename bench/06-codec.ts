import type { Figure } from './harness/figure.ts';
import { type Context, interleaved, type Row } from './harness/row.ts';
import { runPipeline, typicalRecording } from './pipeline/run.ts';

/** Garbage is collected on the same core, and its threads are counted. */
const oneCore = ['taskset', '-c', '0'];

async function measure({ rounds = 5, progress }: Context): Promise<readonly Figure[]> {
  const recording = await typicalRecording();
  const modes = ['codec', 'general'] as const;
  const samples = await interleaved(
    rounds,
    modes.map((mode) => async (round: number) => {
      progress(`round ${round + 1}: ${mode}`);
      return runPipeline({ mode, recording, records: 600_000, warmup: 200_000 }, oneCore);
    }),
  );
  const bytes = Math.round(samples[0]?.[0]?.valueBytes ?? 0);
  const figure = (index: number, what: string): Figure => ({
    what,
    unit: '/s',
    ours: (samples[index] ?? []).map((result) => result.records / result.cpuSeconds),
    goals: index === 0 ? [{ of: 'ours', atLeast: 400_000 }] : [],
  });
  return [
    figure(0, `from the kernel's record to Avro on one core, typical record (${bytes} bytes of Avro)`),
    figure(1, 'beside it, by way of an event and avsc, as records that are not whole'),
  ];
}

export const codec: Row = { target: 6, title: 'decode and Avro encode', measure };
