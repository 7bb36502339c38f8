import { execFileSync } from 'node:child_process';
import { request } from 'node:http';
import { afterAll, beforeEach, expect, it } from 'vitest';
import type { LiveJson } from '../../src/live/live-json.ts';
import { createDecoder } from '../../src/schemas/codec.ts';
import { whyNoCapture } from '../support/capture.ts';
import { readTopic } from '../support/kcat.ts';
import { removeNetwork, VethPair, whyNoNetwork } from '../support/network.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { readPackets } from '../support/published.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { type CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { startStorm } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

afterAll(async () => {
  if (whyNoNetwork() === undefined) removeNetwork();
});

beforeEach(({ skip }) => {
  const reason = whyNoCapture() ?? whyNoNetwork();
  skip(reason !== undefined, reason);
});
oneStormAtATime();

const token = 'token-of-the-tests';

function urlOf(sidecar: CommandProcess): string {
  const [, url = ''] = /"url":"([^"]*)","msg":"HTTP is on"/.exec(sidecar.errors) ?? [];
  return url;
}

async function jsonOf(sidecar: CommandProcess, query = ''): Promise<LiveJson> {
  return (await fetch(`${urlOf(sidecar)}/json${query}`)).json() as Promise<LiveJson>;
}

/** Not `fetch`, which sets the Host header itself. */
function statusFor(url: string, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers: { host } }, (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    asked.on('error', reject).end();
  });
}

it('/json is what was published: the execs as they stand in the topic, the counts of packets, the account', {
  timeout: 120_000,
}, async () => {
  const pair = new VethPair();
  await using place = await SidecarPlace.create('live', [pair.name]);
  const flags = ['--create-topics', '--http', '127.0.0.1:0', '--http-token', token, '--ledger-interval', '1s'];
  await using sidecar = await place.run(kafka.brokers, '--topic-prefix', 'live.', ...flags);
  await startStorm({ count: 300 }).ended;
  execFileSync('/bin/echo', ['only-with-the-token']);
  const { packets: sent } = await pair.sendFlows(20);

  const state = await waitFor(
    async () => {
      const { execs, packets, ledger } = await jsonOf(sidecar, `?token=${token}`);
      const counted = packets?.interfaces.find(({ interface_name: name }) => name === pair.name)?.packets;
      const last = execs.events.findLast(({ args }) => args?.includes('only-with-the-token'));
      const account = ledger.streams.find(({ stream_name: name }) => name === `packets:${pair.name}`);
      return last && packets && counted === sent && account?.published === sent && { execs, packets, ledger };
    },
    { what: 'the execs and packets are on the page', timeout: 30_000 },
  );
  expect(await sidecar.end('SIGTERM')).toBe(0);

  const { execs, packets, ledger } = state;
  expect(execs.shown).toBe(200);
  expect(execs.published).toBeGreaterThan(300);
  const topic = (await readTopic(kafka.brokers, 'live.exec-events')).slice(execs.published - 200, execs.published);
  const decoder = createDecoder({ topic: 'exec-events' });
  const published = await Promise.all(topic.map(async ({ value }) => decoder.decode(value)));
  expect(execs.events.map(({ boot_id, seq, args }) => [boot_id, seq, args])).toEqual(
    published.map((record) => record.ok && [record.event.boot_id, record.event.seq, record.event.args]),
  );

  const { counts } = await readPackets(kafka.brokers, 'live.');
  const bySource = new Map<string, number>();
  for (const { source_address, source_port, packets: more } of counts) {
    const name = `${source_address} ${source_port}`;
    bySource.set(name, (bySource.get(name) ?? 0) + more);
  }
  expect(new Map(packets.leaders.map((row) => [`${row.source_address} ${row.source_port}`, row.packets]))).toEqual(
    bySource,
  );
  expect(packets.rows).toBe(packets.leaders.length);
  expect(ledger).toMatchObject({ lost: 0, unexplained: 0 });
});

it('shows command lines to who has the token only, and nothing to another host name', async () => {
  await using place = await SidecarPlace.create('live-token');
  const flags = ['--create-topics', '--http', '127.0.0.1:0', '--topic-prefix', 'token.', '--http-token', token];
  await using sidecar = await place.run(kafka.brokers, ...flags);
  execFileSync('/bin/echo', ['only-with-the-token']);
  const url = urlOf(sidecar);
  const headers = { authorization: `Bearer ${token}` };
  await waitFor(
    async () => {
      const shown = (await (await fetch(`${url}/json`, { headers })).json()) as LiveJson;
      return shown.execs.with_argv && shown.execs.events.some(({ args }) => args?.includes('only-with-the-token'));
    },
    { what: 'the exec is shown with the token' },
  );
  const open = await (await fetch(`${url}/json`)).text();
  expect(JSON.parse(open)).toMatchObject({ execs: { with_argv: false, published: expect.any(Number) } });
  expect(open).not.toContain('only-with-the-token');
  expect(JSON.parse(open).execs.events.some(({ comm }: { comm: string }) => comm === 'echo')).toBe(true);

  for (const page of ['/', '/json', '/events']) {
    expect((await fetch(`${url}${page}?token=other-other-other`)).status).toBe(401);
    expect(await statusFor(`${url}${page}`, 'rebound.example.org')).toBe(421);
  }
  for (const page of ['/healthz', '/readyz', '/metrics']) {
    expect(await statusFor(`${url}${page}`, '127.0.0.1')).toBe(200);
    expect(await statusFor(`${url}${page}`, '10.1.2.3:8080')).toBe(200);
  }

  const events = (await fetch(`${url}/events?token=${token}`)).body as ReadableStream<Uint8Array>;
  let text = '';
  for await (const piece of events.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (text.split('\n\n').length > 2) break;
  }
  const [first = '', second = ''] = text.split('\n\n');
  for (const message of [first, second]) expect(message).toMatch(/^event: state\ndata: \{.*\}$/);
  expect(first).toContain('only-with-the-token');
  expect(second).not.toContain('only-with-the-token');
  expect(await sidecar.end('SIGTERM')).toBe(0);
  expect(sidecar.errors).not.toContain(token);
});
