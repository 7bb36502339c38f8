import type { Figure } from './harness/figure.ts';
import type { Context, Row } from './harness/row.ts';
import { pipelineRounds } from './pipeline/rounds.ts';

async function measure(context: Context): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const compression of ['zstd', 'none'] as const) {
    const { whole, client, notes } = await pipelineRounds(compression, context);
    const micros = (rounds: typeof whole) => rounds.map(({ cpuSeconds, records }) => (cpuSeconds / records) * 1e6);
    figures.push({
      what: `CPU a record from ring to acknowledgement, ${compression}; beside it: our Kafka client alone`,
      unit: 'us',
      ours: micros(whole),
      rival: micros(client),
      goals: [{ of: 'ours', atMost: 10 }],
      notes,
    });
  }
  return figures;
}

export const cpu: Row = { target: 5, title: 'CPU a record', measure };
