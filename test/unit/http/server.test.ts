import { createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, test } from 'vitest';
import type { Health } from '../../../src/http/health.ts';
import type { LivePage } from '../../../src/http/live-events.ts';
import { type HttpOptions, type HttpServer, type MetricsPage, startHttp } from '../../../src/http/server.ts';
import { FakeClock, fakeLog } from '../producers/fakes.ts';

const healthy: Health = {
  capturing: true,
  stopping: false,
  deliveries: [{ topic: 'exec-events', state: 'idle', since: 0 }],
  spool: { state: 'empty', directory: '/state/spool', batches: 0, records: 0, bytes: 0 },
};
const away: Health = {
  ...healthy,
  deliveries: [{ topic: 'exec-events', state: 'retrying', since: 0, reason: 'connect ECONNREFUSED' }],
};

const noMetrics: MetricsPage = { contentType: 'text/plain', text: async () => undefined };

const token = 'token-of-the-tests';
const live: LivePage = {
  view: (mark = 0) => ({ mark: mark + 1, json: (withArgv) => JSON.stringify({ mark, withArgv }) }),
};

async function serve(health: () => Health, changes: Partial<HttpOptions> = {}): Promise<HttpServer> {
  const server = await startHttp({ ...options(health), ...changes });
  if (server === undefined) throw new Error('it does not listen');
  return server;
}

function options(health: () => Health): HttpOptions {
  const address = { host: '127.0.0.1', port: 0 };
  const { log } = fakeLog();
  return { address, hostName: 'web-17', token, health, metrics: noMetrics, live, clock: new FakeClock(), log };
}

/** Not `fetch`, which sets the Host header itself. */
function statusFor(url: string, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on('error', reject).end();
  });
}

test('/readyz follows the broker, and /healthz does not', async () => {
  let health = healthy;
  await using server = await serve(() => health);
  const ask = async (page: string) => {
    const response = await fetch(`${server.url}${page}`);
    return { status: response.status, body: await response.json() };
  };

  expect(await ask('/readyz')).toEqual({ status: 200, body: { ready: true, capturing: true, reasons: [] } });
  health = away;
  expect(await ask('/readyz')).toEqual({
    status: 503,
    body: { ready: false, capturing: true, reasons: [expect.stringMatching(/^exec-events: .*ECONNREFUSED$/)] },
  });
  expect(await ask('/healthz')).toEqual({
    status: 200,
    body: expect.objectContaining({ alive: true, capturing: true }),
  });
  health = healthy;
  expect((await ask('/readyz')).status).toBe(200);
});

test('an answer is never kept on the way', async () => {
  await using server = await serve(() => healthy);
  for (const page of ['/', '/json', '/readyz', '/healthz'])
    expect((await fetch(`${server.url}${page}`)).headers.get('cache-control')).toBe('no-store');
});

test('a request for another host gets nothing, on any page', async () => {
  await using server = await serve(() => healthy);
  for (const page of ['/', '/json', '/events', '/page/page.js', '/healthz', '/readyz', '/metrics', '/absent'])
    expect(await statusFor(`${server.url}${page}`, 'rebound.example.org')).toBe(421);
  expect(await statusFor(`${server.url}/healthz`, 'localhost')).toBe(200);
});

test('a page that is not there says which are', async () => {
  await using server = await serve(() => healthy);
  const response = await fetch(`${server.url}/absent`);
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({
    pages: ['/', '/json', '/events', '/healthz', '/readyz', '/metrics'],
  });
});

test('a fault of ours is not explained to the client', async () => {
  await using server = await serve(() => {
    throw new Error('/secret/path');
  });
  const response = await fetch(`${server.url}/readyz`);
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain('secret');
});

test('a taken port is a warning that names it, not a failure', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  const { log, lines } = fakeLog();
  const address = { host: '127.0.0.1', port };
  try {
    expect(await startHttp({ ...options(() => healthy), address, log })).toBeUndefined();
  } finally {
    other.close();
  }
  expect(lines).toMatchObject([
    { level: 'warn', fields: { host: '127.0.0.1', port, reason: expect.stringContaining('EADDRINUSE') } },
  ]);
});

test('an open connection does not hold the end up', async () => {
  const server = await serve(() => healthy);
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  const closed = new Promise((resolve) => socket.on('close', resolve).on('error', () => {}));
  await new Promise((resolve) => socket.on('connect', resolve));
  await server[Symbol.asyncDispose]();
  await closed;
});

test('/metrics is the page of metrics as it is, and 503 when there is none any more', async () => {
  let content: string | undefined = 'up 1\n';
  const contentType = 'text/plain; version=0.0.4; charset=utf-8';
  await using server = await serve(() => healthy, { metrics: { contentType, text: async () => content } });
  const page = await fetch(`${server.url}/metrics`);
  expect([page.status, page.headers.get('content-type'), await page.text()]).toEqual([200, contentType, 'up 1\n']);
  content = undefined;
  expect((await fetch(`${server.url}/metrics`)).status).toBe(503);
});

test('the page comes with a policy that lets nothing in but its own files', async () => {
  await using server = await serve(() => healthy);
  const { status, headers } = await fetch(`${server.url}/`);
  expect([status, headers.get('content-type'), headers.get('referrer-policy')]).toEqual([
    200,
    'text/html; charset=utf-8',
    'no-referrer',
  ]);
  const policy = headers.get('content-security-policy') as string;
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/unsafe|https?:|data:|\*/);
  const script = await fetch(`${server.url}/page/uplot.js`);
  expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
  expect(script.headers.get('x-content-type-options')).toBe('nosniff');
});

test('/json has command lines for who shows the token, and a wrong one is refused with what to do', async () => {
  await using server = await serve(() => healthy);
  const bearer = (text: string) => ({ headers: { authorization: `Bearer ${text}` } });
  const ask = async (path: string, init = {}) => (await fetch(`${server.url}${path}`, init)).json();
  expect(await ask('/json')).toEqual({ mark: 0, withArgv: false });
  expect(await ask(`/json?token=${token}`)).toEqual({ mark: 0, withArgv: true });
  expect(await ask('/json', bearer(token))).toEqual({ mark: 0, withArgv: true });
  for (const path of ['/', '/json', '/events']) {
    const refused = await fetch(`${server.url}${path}?token=${token}x`);
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    const text = await refused.text();
    expect(text).toContain('the token is wrong');
    expect(text).not.toContain(token);
    expect((await fetch(`${server.url}${path}`, bearer('other'))).status).toBe(401);
  }
});

test('/events goes on with what came since, and ends with the server', async () => {
  const clock = new FakeClock();
  const server = await serve(() => healthy, { clock });
  const { headers, body } = await fetch(`${server.url}/events?token=${token}`);
  expect(headers.get('content-type')).toBe('text/event-stream');
  expect(headers.get('cache-control')).toBe('no-store');
  const reader = (body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader.read()).value).toBe('event: state\ndata: {"mark":0,"withArgv":true}\n\n');
  await clock.advance(1_000);
  expect((await reader.read()).value).toBe('event: state\ndata: {"mark":1,"withArgv":true}\n\n');
  await server[Symbol.asyncDispose]();
  await expect(reader.read()).rejects.toThrow();
  expect(clock.waits).toEqual([]);
});

test('behind the end of the sidecar there is nothing to show', async () => {
  await using server = await serve(() => healthy, { live: { view: () => undefined } });
  for (const page of ['/json', '/events']) expect((await fetch(`${server.url}${page}`)).status).toBe(503);
});
