import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { parse } from 'yaml';
import { makeMetricsPage, metricsPage } from '../../../scripts/metrics-page.ts';
import { createExposition } from '../../../src/metrics/exposition.ts';
import type { Figures } from '../../../src/metrics/figures.ts';
import { findPromtool } from '../../support/promtool.ts';

const figures: Figures = {
  capturing: true,
  epoch: 1_000_007,
  streams: [
    {
      stream: 'exec',
      at: 1_764_000_000_500,
      seen: 100,
      published: 80,
      pending: 5,
      filtered: { 'exe:/usr/bin/cc1': 12 },
      lost: { ring_full: 3, skipped: 0 },
      unexplained: 0,
      unobservedMicros: 2_500_000,
    },
  ],
  rings: [{ ring: 'exec', capacityBytes: 4_096, usedBytes: 512, highWaterBytes: 1_024 }],
  spool: { state: 'no_space', records: 21, bytes: 9_999, capacityBytes: 65_536 },
  packets: { interfaces: ['eth0'], flows: 7, flowCapacity: 1_024, overflow: [{ name: 'eth0', packets: 9 }] },
  deliveries: [
    { topic: 'p.exec-events', state: 'retrying', records: 80, bytes: 8_000, retries: 4, producers: 2, deadLetters: 1 },
  ],
};

const linesOf = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
const textOf = async (given: Figures = figures) => (await createExposition(() => given).text()) as string;

test('each figure under its name, with its labels', async () => {
  const lines = linesOf(await textOf());
  for (const line of [
    'bpf2kafka_capturing 1',
    'bpf2kafka_epoch 1000007',
    'bpf2kafka_seen_total{stream="exec"} 100',
    'bpf2kafka_published_total{stream="exec"} 80',
    'bpf2kafka_filtered_total{stream="exec",rule="exe:/usr/bin/cc1"} 12',
    'bpf2kafka_lost_total{stream="exec",reason="ring_full"} 3',
    'bpf2kafka_lost_total{stream="exec",reason="skipped"} 0',
    'bpf2kafka_pending{stream="exec"} 5',
    'bpf2kafka_unexplained{stream="exec"} 0',
    'bpf2kafka_unobserved_seconds_total{stream="exec"} 2.5',
    'bpf2kafka_ledger_timestamp_seconds{stream="exec"} 1764000000.5',
    'bpf2kafka_ring_used_bytes{ring="exec"} 512',
    'bpf2kafka_ring_capacity_bytes{ring="exec"} 4096',
    'bpf2kafka_ring_high_water_bytes{ring="exec"} 1024',
    'bpf2kafka_spool_state{state="no_space"} 1',
    'bpf2kafka_spool_state{state="empty"} 0',
    'bpf2kafka_spool_records 21',
    'bpf2kafka_spool_used_bytes 9999',
    'bpf2kafka_spool_capacity_bytes 65536',
    'bpf2kafka_interface_counted{interface="eth0"} 1',
    'bpf2kafka_packet_flows 7',
    'bpf2kafka_packet_flow_capacity 1024',
    'bpf2kafka_packet_overflow_total{interface="eth0"} 9',
    'bpf2kafka_delivery_state{topic="p.exec-events",state="retrying"} 1',
    'bpf2kafka_delivery_state{topic="p.exec-events",state="idle"} 0',
    'bpf2kafka_delivery_records_total{topic="p.exec-events"} 80',
    'bpf2kafka_delivery_bytes_total{topic="p.exec-events"} 8000',
    'bpf2kafka_delivery_retries_total{topic="p.exec-events"} 4',
    'bpf2kafka_delivery_producers_total{topic="p.exec-events"} 2',
    'bpf2kafka_dead_letters_total{topic="p.exec-events"} 1',
  ])
    expect(lines).toContain(line);
});

test('a second answer has the figures of then: counts are not added up, and what is gone is gone', async () => {
  let now: Figures | undefined = figures;
  const exposition = createExposition(() => now);
  await exposition.text();
  now = { ...figures, capturing: false, streams: [], packets: undefined };
  const lines = linesOf((await exposition.text()) as string);
  expect(lines).toContain('bpf2kafka_capturing 0');
  expect(lines).toContain('bpf2kafka_delivery_records_total{topic="p.exec-events"} 80');
  expect(lines.filter((line) => /^bpf2kafka_(seen|packet|interface)/.test(line))).toEqual([]);
  now = undefined;
  expect(await exposition.text()).toBeUndefined();
});

test('the time of a batch falls into its bucket', async () => {
  const exposition = createExposition(() => figures);
  exposition.delivered('t', 0.03);
  exposition.delivered('t', 400);
  const lines = linesOf((await exposition.text()) as string);
  expect(lines).toContain('bpf2kafka_delivery_seconds_bucket{le="0.025",topic="t"} 0');
  expect(lines).toContain('bpf2kafka_delivery_seconds_bucket{le="0.05",topic="t"} 1');
  expect(lines).toContain('bpf2kafka_delivery_seconds_bucket{le="300",topic="t"} 1');
  expect(lines).toContain('bpf2kafka_delivery_seconds_count{topic="t"} 2');
});

test('of the process: time on a CPU, memory, start, descriptors', async () => {
  const lines = linesOf(await textOf());
  const numberOf = (name: string) => Number(lines.find((line) => line.startsWith(`${name} `))?.split(' ')[1]);
  expect(numberOf('process_cpu_seconds_total')).toBeGreaterThan(0);
  expect(numberOf('process_resident_memory_bytes')).toBeGreaterThan(2 ** 20);
  expect(Math.abs(numberOf('process_start_time_seconds') * 1e3 - performance.timeOrigin)).toBeLessThan(1_000);
  expect(numberOf('process_open_fds')).toBeGreaterThan(3);
});

const deploy = join(import.meta.dirname, '../../../deploy');

describe('what names metrics', () => {
  let exported: string[];
  beforeAll(async () => {
    exported = [...(await textOf()).matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name as string);
  });

  test('docs/metrics.md is what the table makes of it, and has every metric', () => {
    const page = readFileSync(metricsPage, 'utf8');
    expect(page, 'run `npm run docs`').toBe(makeMetricsPage());
    const documented = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
    expect(documented.toSorted()).toEqual(exported.toSorted());
  });

  const named = (text: string) => new Set(text.match(/\b(bpf2kafka|process)_[a-z_]+/g));
  const base = (name: string) => name.replace(/_(bucket|count|sum)$/, '');

  test('the dashboard asks for nothing else', () => {
    const { panels } = JSON.parse(readFileSync(join(deploy, 'grafana/bpf2kafka.json'), 'utf8')) as {
      panels: readonly { readonly targets: readonly { readonly expr: string }[] }[];
    };
    const asked = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)).join('\n');
    expect([...named(asked)].map(base).filter((name) => !exported.includes(name))).toEqual([]);
  });

  test('the alerts ask for nothing else', () => {
    const { groups } = parse(readFileSync(join(deploy, 'prometheus/bpf2kafka.rules.yml'), 'utf8')) as {
      groups: readonly { readonly rules: readonly { readonly expr: string }[] }[];
    };
    const asked = groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)).join('\n');
    expect([...named(asked)].map(base).filter((name) => !exported.includes(name))).toEqual([]);
  });
});

describe('promtool', () => {
  let found: Awaited<ReturnType<typeof findPromtool>>;
  beforeAll(async () => {
    found = await findPromtool();
  }, 120_000);
  const promtool = (ctx: TestContext, words: readonly string[], input = '') => {
    if ('reason' in found) return ctx.skip(found.reason);
    const { status, stdout, stderr } = spawnSync(found.path, words, {
      encoding: 'utf8',
      input,
      cwd: join(deploy, 'prometheus'),
    });
    return { status, stdout, stderr };
  };

  test('check metrics finds nothing', async (ctx) => {
    const exposition = createExposition(() => figures);
    exposition.delivered('t', 0.03);
    const text = (await exposition.text()) as string;
    expect(promtool(ctx, ['check', 'metrics'], text)).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  test('check rules and test rules find nothing', (ctx) => {
    expect(promtool(ctx, ['check', 'rules', 'bpf2kafka.rules.yml'])).toMatchObject({ status: 0 });
    expect(promtool(ctx, ['test', 'rules', 'bpf2kafka.rules.test.yml'])).toMatchObject({ status: 0 });
  });
});
