import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { text } from 'node:stream/consumers';
import type { TlsFiles } from './security.ts';
import { readTls } from './security-files.ts';

export interface HttpRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Used when the address is https. */
  readonly tls: TlsFiles;
  /** For the whole exchange. */
  readonly timeoutMillis: number;
}

/**
 * One request over a connection of its own. Not `fetch`, which takes no authority and no client certificate.
 * @throws Error of the connection; Bpf2KafkaError ERR_CONFIG when a file cannot be used
 */
export async function httpRequest(
  url: string,
  { method, headers, body = '', tls, timeoutMillis }: HttpRequest,
): Promise<{ readonly status: number; readonly text: string }> {
  const options = { method, headers, agent: false, signal: AbortSignal.timeout(timeoutMillis) };
  try {
    const request = url.startsWith('https:')
      ? requestHttps(url, { ...options, ...readTls(tls) })
      : requestHttp(url, options);
    const response = new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve).on('error', reject);
    });
    request.end(body);
    const { statusCode = 0 } = await response;
    return { status: statusCode, text: await text(await response) };
  } catch (error) {
    // Of a name with several addresses, each with a failure of its own and the whole without words.
    if (error instanceof AggregateError) throw error.errors[0];
    if ((error as Error).name !== 'AbortError') throw error;
    throw new Error(`no answer within ${timeoutMillis} ms`, { cause: error });
  }
}

/** Of basic authentication. */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
