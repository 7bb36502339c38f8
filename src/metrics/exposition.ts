import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { version } from '../version.ts';
import type { Figures } from './figures.ts';
import { processMetrics } from './process.ts';
import { deliverySeconds, type Metric, metrics } from './table.ts';

/** What Prometheus gets to read. */
export interface Exposition {
  readonly contentType: string;
  /**
   * Takes the figures at this moment; nothing is counted in between but the times of batches.
   * @returns undefined when there are none any more
   */
  text(): Promise<string | undefined>;
  /** A batch was acknowledged. */
  delivered(topic: string, seconds: number): void;
}

export const buildInfo = {
  name: 'bpf2kafka_build_info',
  help: 'Always 1; the version is in the labels',
  labels: ['version', 'node_version'],
} as const;

/** The only place that knows prom-client. */
export function createExposition(figures: () => Figures | undefined): Exposition {
  const registry = new Registry();
  // What all of one answer are taken from.
  let present: Figures;
  for (const metric of [...metrics, ...processMetrics]) register(metric, registry, () => present);
  const { name, help, labels, buckets } = deliverySeconds;
  const registers = [registry];
  const seconds = new Histogram({ name, help, labelNames: labels, buckets: [...buckets], registers });
  new Gauge({ name: buildInfo.name, help: buildInfo.help, labelNames: buildInfo.labels, registers }).set(
    { version, node_version: process.versions.node },
    1,
  );
  return {
    contentType: registry.contentType,
    text: async () => {
      const now = figures();
      if (now === undefined) return undefined;
      present = now;
      return registry.metrics();
    },
    delivered: (topic, taken) => seconds.observe({ topic }, taken),
  };
}

function register(
  { name, type, help, labels, samples }: Metric,
  registry: Registry,
  figures: () => Figures,
): Counter | Gauge {
  const Kind = type === 'counter' ? Counter : Gauge;
  return new Kind({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    collect() {
      this.reset();
      const taken = samples(figures());
      // After a reset a metric without labels has the value 0, which nobody has counted.
      if (labels.length === 0 && taken.length === 0) this.remove({});
      for (const [value, ...values] of taken)
        this.inc(Object.fromEntries(labels.map((label, at) => [label, values[at] ?? ''])), value);
    },
  });
}
