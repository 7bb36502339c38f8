import { type FastifyInstance, fastify } from 'fastify';
import type { Clock } from '../clock.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { version } from '../version.ts';
import { type Health, readinessOf } from './health.ts';
import { isOurHost } from './host-header.ts';

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
  readonly health: () => Health;
  readonly metrics: MetricsPage;
  readonly clock: Clock;
  readonly log: Log;
}

export interface HttpServer extends AsyncDisposable {
  /** Where it listens, as in `http://127.0.0.1:8080`. */
  readonly url: string;
}

/**
 * Answers over HTTP how the sidecar is. Resolves to undefined when the address cannot be listened on: capturing goes
 * before being asked about it.
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

function createApp({ address, health, metrics, clock, log }: HttpOptions): FastifyInstance {
  // A client that keeps its connection must not hold the end of the process up.
  const app = fastify({ forceCloseConnections: true, logger: false });
  app.addHook('onRequest', async (request, reply) => {
    if (isOurHost(request.headers.host, address.host)) return;
    // The header is the client's: it is not repeated.
    await reply.code(421).send({ error: 'this is not the host that the request names', remedy: 'ask by its address' });
  });
  app.setNotFoundHandler(async (_request, reply) => {
    await reply.code(404).send({ error: 'there is no such page', pages: ['/healthz', '/readyz', '/metrics'] });
  });
  app.setErrorHandler(async (error, _request, reply) => {
    const { statusCode = 500 } = error as { statusCode?: number };
    if (statusCode >= 500) log.error({ reason: reasonOf(error) }, 'an HTTP request failed');
    await reply.code(statusCode).send({ error: statusCode >= 500 ? 'internal error' : reasonOf(error) });
  });
  addHealthRoutes(app, health, clock);
  app.get('/metrics', async (_request, reply) => {
    const text = await metrics.text();
    if (text === undefined) return reply.code(503).send({ error: 'the sidecar has ended' });
    return reply.type(metrics.contentType).send(text);
  });
  return app;
}

function addHealthRoutes(app: FastifyInstance, health: () => Health, clock: Clock): void {
  // An answer is the proof that the main loop turns: whoever restarts what is stuck should ask nothing more.
  app.get('/healthz', async (_request, reply) => {
    reply.header('cache-control', 'no-store');
    return { alive: true, capturing: health().capturing, version };
  });
  app.get('/readyz', async (_request, reply) => {
    const readiness = readinessOf(health(), clock.nowMillis());
    reply.header('cache-control', 'no-store').code(readiness.ready ? 200 : 503);
    return readiness;
  });
}
