/**
 * docs/metrics.md out of the table of metrics: the page cannot name others than are exported.
 * `node scripts/metrics-page.ts` writes it; a test fails while it is not what this makes of the table.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildInfo } from '../src/metrics/exposition.ts';
import { processMetrics } from '../src/metrics/process.ts';
import { deliverySeconds, metrics } from '../src/metrics/table.ts';

export const metricsPage = join(import.meta.dirname, '../docs/metrics.md');

const head = `# Metrics

Generated from the table in \`src/metrics\` by \`npm run docs\`.

\`http://127.0.0.1:8080/metrics\` (\`--http HOST:PORT\` moves it) is for Prometheus, without a token: nothing in it comes from
a process that was observed. Labels have few values: streams, rules, reasons, rings, interfaces, topics.

\`\`\`yaml
scrape_configs:
  - job_name: bpf2kafka
    static_configs: [{ targets: ['web-17:8080'] }]
\`\`\`

- [deploy/prometheus/bpf2kafka.rules.yml](../deploy/prometheus/bpf2kafka.rules.yml) has alerts: what was lost, an account that
  does not balance, a ring that fills, a broker that is away. They take the job's name for \`bpf2kafka\`.
- [deploy/grafana/bpf2kafka.json](../deploy/grafana/bpf2kafka.json) is a dashboard for Grafana.

The terms of the account (\`seen\` to \`unexplained\`) are those of the newest entry of the ledger, all of one cut, so that
\`seen = published + filtered + lost + pending\` holds in every scrape; they are as old as \`--ledger-interval\` allows
([ledger.md](ledger.md)). They count since the capture was attached, and go on over a restart with \`--on-exit keep\`. What
is of the delivery counts since the process started. The rest is as it is at the scrape.

| metric | type | labels | what it is |
|---|---|---|---|
`;

const cell = (text: string) => text.replaceAll('|', '\\|');

export function makeMetricsPage(): string {
  const histogram = { ...deliverySeconds, type: 'histogram' };
  const rows = [...metrics, histogram, { ...buildInfo, type: 'gauge' }, ...processMetrics].map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${cell(help)} |\n`,
  );
  return `${head}${rows.join('')}`;
}

if (import.meta.main) writeFileSync(metricsPage, makeMetricsPage());
