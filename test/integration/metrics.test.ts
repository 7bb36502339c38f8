import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { whyNoCapture } from '../support/capture.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { removeNetwork, VethPair, whyNoNetwork } from '../support/network.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { findPromtool } from '../support/promtool.ts';
import { type CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { startStorm } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

let kafka: TestKafka;
beforeAll(async () => {
  kafka = await startKafka();
});
afterAll(async () => {
  await kafka[Symbol.asyncDispose]();
  if (whyNoNetwork() === undefined) removeNetwork();
});

beforeEach(({ skip }) => {
  const reason = whyNoCapture() ?? whyNoNetwork();
  skip(reason !== undefined, reason);
});
oneStormAtATime();

async function pageOf(sidecar: CommandProcess): Promise<string> {
  const [, url] = /"url":"([^"]*)","msg":"HTTP is on"/.exec(sidecar.errors) ?? [];
  return (await fetch(`${url}/metrics`)).text();
}

/** Values by name with labels, as the page has them. */
async function scrape(sidecar: CommandProcess): Promise<ReadonlyMap<string, number>> {
  const lines = (await pageOf(sidecar)).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

const publishedOf = (values: ReadonlyMap<string, number>) =>
  values.get('bpf2kafka_published_total{stream="exec"}') ?? 0;

const sumOf = (values: ReadonlyMap<string, number>, begin: string) =>
  [...values].reduce((sum, [name, value]) => (name.startsWith(begin) ? sum + value : sum), 0);

it('/metrics has the account, the rings and the deliveries of a real run, over an outage', {
  timeout: 180_000,
}, async (ctx) => {
  const pair = new VethPair();
  await using place = await SidecarPlace.create('metrics', [pair.name]);
  const ring = 1024 * 1024;
  const flags = [
    '--create-topics',
    '--http',
    '127.0.0.1:0',
    '--ledger-interval',
    '1s',
    '--exec-ring-bytes',
    String(ring),
  ];
  await using sidecar = await place.run(kafka.brokers, ...flags, '--exclude-uid', '4242');
  await startStorm({ count: 300 }).ended;
  await pair.sendFlows(20);

  const balanced = await waitFor(
    async () => {
      const values = await scrape(sidecar);
      const seen = values.get('bpf2kafka_seen_total{stream="exec"}') ?? 0;
      const packets = values.get(`bpf2kafka_seen_total{stream="packets:${pair.name}"}`) ?? 0;
      return seen >= 300 && packets >= 20 && values;
    },
    { what: 'the execs and the packets are in the account', timeout: 30_000 },
  );
  for (const stream of ['exec', 'exit', `packets:${pair.name}`]) {
    const of = (term: string) => sumOf(balanced, `bpf2kafka_${term}{stream="${stream}"`);
    expect(of('seen_total'), stream).toBeGreaterThan(0);
    expect(of('published_total') + of('filtered_total') + of('lost_total') + of('pending'), stream).toBe(
      of('seen_total'),
    );
    expect(balanced.get(`bpf2kafka_unexplained{stream="${stream}"}`)).toBe(0);
  }
  expect(balanced.get('bpf2kafka_lost_total{stream="exec",reason="ring_full"}')).toBe(0);
  expect(balanced.get('bpf2kafka_capturing')).toBe(1);
  expect(balanced.get('bpf2kafka_ring_capacity_bytes{ring="exec"}')).toBe(ring);
  expect(balanced.get('bpf2kafka_ring_capacity_bytes{ring="exec_bare"}')).toBe(ring / 8);
  expect(balanced.get(`bpf2kafka_interface_counted{interface="${pair.name}"}`)).toBe(1);
  expect(balanced.get('bpf2kafka_packet_flow_capacity')).toBe(131_072);
  expect(balanced.get('bpf2kafka_delivery_records_total{topic="exec-events"}')).toBeGreaterThanOrEqual(300);
  expect(balanced.get('bpf2kafka_delivery_seconds_count{topic="exec-events"}')).toBeGreaterThan(0);
  expect(balanced.get('bpf2kafka_delivery_producers_total{topic="exec-events"}')).toBe(1);

  const promtool = await findPromtool();
  if ('path' in promtool) {
    const { status, stdout, stderr } = spawnSync(promtool.path, ['check', 'metrics'], {
      input: await pageOf(sidecar),
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  } else ctx.annotate(promtool.reason);

  await kafka.stop();
  await startStorm({ count: 300 }).ended;
  const away = await waitFor(
    async () => {
      const values = await scrape(sidecar);
      return values.get('bpf2kafka_delivery_state{topic="exec-events",state="retrying"}') === 1 && values;
    },
    { what: 'the outage shows', timeout: 30_000 },
  );
  // An exec takes more than 200 bytes of the ring.
  expect(away.get('bpf2kafka_ring_used_bytes{ring="exec"}')).toBeGreaterThan(300 * 200);
  expect(away.get('bpf2kafka_delivery_retries_total{topic="exec-events"}')).toBeGreaterThan(0);

  await kafka.start();
  const back = await waitFor(
    async () => {
      const values = await scrape(sidecar);
      return publishedOf(values) >= publishedOf(away) + 300 && values;
    },
    { what: 'what waited is published', timeout: 60_000 },
  );
  expect(back.get('bpf2kafka_delivery_state{topic="exec-events",state="retrying"}')).toBe(0);
  expect(back.get('bpf2kafka_delivery_producers_total{topic="exec-events"}')).toBeGreaterThan(1);
  expect(await sidecar.end('SIGTERM')).toBe(0);
});
