import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { Clock } from '../clock.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { version } from '../version.ts';
import { accessOf } from './access.ts';
import { type Health, readinessOf } from './health.ts';
import { isOurHost, namesOf } from './host-header.ts';
import { LiveEvents, type LivePage, type LiveView } from './live-events.ts';
import { pageFiles, pagePolicy } from './page-files.ts';

/** Where to listen. */
export interface ListenAddress {
  /** A name or an address, an IPv6 address without brackets. */
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
}

/** What Prometheus reads. */
export interface MetricsPage {
  readonly contentType: string;
  /** Undefined when there is nothing to count any more. */
  text(): Promise<string | undefined>;
}

export interface HttpOptions {
  readonly address: ListenAddress;
  /** Of this host, which a request may name when others than the host itself can connect. */
  readonly hostName: string;
  /** Who shows it sees command lines. */
  readonly token: string;
  readonly health: () => Health;
  readonly metrics: MetricsPage;
  readonly live: LivePage;
  readonly clock: Clock;
  readonly log: Log;
}

export interface HttpServer extends AsyncDisposable {
  /** Where it listens, as in `http://127.0.0.1:8080`. */
  readonly url: string;
}

const pages = ['/', '/json', '/events', '/healthz', '/readyz', '/metrics'];

/**
 * Answers over HTTP how the sidecar is and what it sees. Resolves to undefined when the address cannot be listened on:
 * capturing goes before being asked about it.
 */
export async function startHttp(options: HttpOptions): Promise<HttpServer | undefined> {
  const { address, log } = options;
  const app = createApp(options);
  try {
    const url = await app.listen(address);
    log.info({ url }, 'HTTP is on');
    return { url, [Symbol.asyncDispose]: () => app.close() };
  } catch (error) {
    await app.close();
    const remedy = 'give --http another HOST:PORT, or off';
    log.warn({ ...address, reason: reasonOf(error), remedy }, 'HTTP is off: it cannot listen; capturing goes on');
    return undefined;
  }
}

function createApp(options: HttpOptions): FastifyInstance {
  const { address, hostName, metrics, log } = options;
  // A client that keeps its connection must not hold the end of the process up.
  const app = fastify({ forceCloseConnections: true, logger: false });
  const names = namesOf(address.host, hostName);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
    if (isOurHost(request.headers.host, names)) return;
    // The header is the client's: it is not repeated.
    const remedy = `ask by an address, or by ${names.join(' or ')}`;
    await reply.code(421).send({ error: 'this is not the host that the request names', remedy });
  });
  app.setNotFoundHandler(async (_request, reply) => {
    await reply.code(404).send({ error: 'there is no such page', pages });
  });
  app.setErrorHandler(async (error, _request, reply) => {
    const { statusCode = 500 } = error as { statusCode?: number };
    if (statusCode >= 500) log.error({ reason: reasonOf(error) }, 'an HTTP request failed');
    await reply.code(statusCode).send({ error: statusCode >= 500 ? 'internal error' : reasonOf(error) });
  });
  addHealthRoutes(app, options);
  app.get('/metrics', async (_request, reply) => {
    const text = await metrics.text();
    if (text === undefined) return ended(reply);
    return reply.type(metrics.contentType).send(text);
  });
  addLiveRoutes(app, options);
  return app;
}

function addHealthRoutes(app: FastifyInstance, { health, clock }: HttpOptions): void {
  // An answer is the proof that the main loop turns: whoever restarts what is stuck should ask nothing more.
  app.get('/healthz', async () => ({ alive: true, capturing: health().capturing, version }));
  app.get('/readyz', async (_request, reply) => {
    const readiness = readinessOf(health(), clock.nowMillis());
    reply.code(readiness.ready ? 200 : 503);
    return readiness;
  });
}

function addLiveRoutes(app: FastifyInstance, { live, token, clock, log }: HttpOptions): void {
  const events = new LiveEvents(live, clock, log);
  app.addHook('preClose', async () => events[Symbol.dispose]());

  for (const [path, { type, content }] of pageFiles) {
    app.get(path, async (request, reply) => {
      if (path === '/' && accessFor(request, token) === undefined) return refused(reply);
      return reply.header('content-security-policy', pagePolicy).type(type).send(content());
    });
  }
  app.get('/json', async (request, reply) => {
    const access = accessFor(request, token);
    if (access === undefined) return refused(reply);
    const view = live.view();
    if (view === undefined) return ended(reply);
    return reply.type('application/json; charset=utf-8').send(view.json(access.withArgv));
  });
  app.get('/events', { exposeHeadRoute: false }, async (request, reply) => {
    const access = accessFor(request, token);
    if (access === undefined) return refused(reply);
    if (events.isFull) return reply.code(503).send({ error: 'too many pages are open', remedy: 'close some of them' });
    const view = live.view();
    if (view === undefined) return ended(reply);
    return stream(reply, events, view, access.withArgv);
  });
}

function accessFor({ query, headers: { authorization } }: FastifyRequest, token: string) {
  return accessOf({ query: (query as { readonly token?: unknown }).token, authorization }, token);
}

/** From here on the response is no longer the framework's. */
function stream(reply: FastifyReply, events: LiveEvents, view: LiveView, withArgv: boolean): FastifyReply {
  reply.hijack();
  const headers = { ...reply.getHeaders(), 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' };
  reply.raw.writeHead(200, headers as Record<string, string>);
  events.serve(reply.raw, view, withArgv);
  return reply;
}

function refused(reply: FastifyReply): FastifyReply {
  const remedy = 'show the right one, or none, which shows all but command lines';
  return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'the token is wrong', remedy });
}

function ended(reply: FastifyReply): FastifyReply {
  return reply.code(503).send({ error: 'the sidecar has ended' });
}
