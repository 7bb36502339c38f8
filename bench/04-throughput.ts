import type { Figure } from './harness/figure.ts';
import type { Context, Row } from './harness/row.ts';
import { pipelineRounds } from './pipeline/rounds.ts';

async function measure(context: Context): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const compression of ['zstd', 'none'] as const) {
    const { whole, performance, why, notes } = await pipelineRounds(compression, context);
    const bytes = Math.round(whole[0]?.recordBytes ?? 0);
    figures.push({
      what: `records/s from a full ring to acknowledgement, ${compression}, ${bytes} bytes each; rival: ProducerPerformance`,
      unit: '/s',
      ours: whole.map(({ records, seconds }) => records / seconds),
      ...(performance.length > 0 ? { rival: performance } : {}),
      goals: [{ of: 'ratio', atLeast: 1 }],
      notes,
      ...(why === undefined ? {} : { why }),
    });
  }
  return figures;
}

export const throughput: Row = { target: 4, title: 'records/s from ring to acknowledgement', measure };
