import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { whyNoCapture } from '../support/capture.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic } from '../support/kcat.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { type CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, startStorm } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

let kafka: TestKafka;
beforeAll(async () => {
  kafka = await startKafka();
});
afterAll(async () => {
  await kafka[Symbol.asyncDispose]();
});

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});
oneStormAtATime();

const onFreePort = ['--create-topics', '--http', '127.0.0.1:0'];

async function readiness(sidecar: CommandProcess) {
  const [, url] = /"url":"([^"]*)","msg":"HTTP is on"/.exec(sidecar.errors) ?? [];
  const response = await fetch(`${url}/readyz`);
  return { status: response.status, ...((await response.json()) as { capturing: boolean; reasons: string[] }) };
}

it('/readyz is 503 while the broker is away, capture goes on, and it is 200 again when the broker is back', {
  timeout: 120_000,
}, async () => {
  await using place = await SidecarPlace.create('health');
  await using sidecar = await place.run(kafka.brokers, ...onFreePort, '--ledger-interval', '1s');
  expect(await readiness(sidecar)).toMatchObject({ status: 200, capturing: true, reasons: [] });

  await kafka.stop();
  const away = await waitFor(
    async () => {
      const answer = await readiness(sidecar);
      return answer.status === 503 && answer;
    },
    { what: 'the outage shows', timeout: 30_000 },
  );
  expect(away).toMatchObject({ capturing: true });
  // Of the stream that had something to send first.
  expect(away.reasons[0]).toMatch(
    /^(exec-events|exit-events|bpf2kafka-ledger): no acknowledgement since .*; the kernel buffers/,
  );
  const storm = startStorm({ count: 200 });
  await storm.ended;

  await kafka.start();
  await waitFor(async () => (await readiness(sidecar)).status === 200, {
    what: 'the end of it shows',
    timeout: 60_000,
  });
  expect(await sidecar.end('SIGTERM')).toBe(0);
  const records = await readTopic(kafka.brokers, 'exec-events');
  expect(compare(storm.tokens, records)).toMatchObject({ missing: [], found: 200 });
});

it('captures when the port of --http is taken', async () => {
  await using place = await SidecarPlace.create('taken');
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  try {
    await using sidecar = await place.run(kafka.brokers, '--create-topics', '--http', `127.0.0.1:${port}`);
    expect(sidecar.errors).toMatch(/"level":40.*EADDRINUSE.*HTTP is off/);
    expect(await sidecar.end('SIGTERM')).toBe(0);
  } finally {
    other.close();
  }
});

it.for(['v1/exec_link', 'v1/exit_link'])(
  'is not ready when somebody has removed %s, and with it the programs',
  async (pin) => {
    await using place = await SidecarPlace.create('unpinned');
    await using sidecar = await place.run(kafka.brokers, ...onFreePort);
    expect(await readiness(sidecar)).toMatchObject({ status: 200, capturing: true });
    rmSync(join(place.pinPath, pin));
    expect(await readiness(sidecar)).toMatchObject({ status: 503, capturing: false });
  },
);
