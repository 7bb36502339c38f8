import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { Certificate } from './certificates.ts';

export interface HttpsProxyOptions {
  /** Where a request goes when it is let in, `http://…`. */
  readonly target: string;
  readonly server: Certificate;
  /** File of the authority whose clients are let in; undefined for everybody. */
  readonly clientAuthority?: string;
  /** `USER:PASSWORD` of basic authentication; undefined for everybody. */
  readonly login?: string;
}

/** What stands before a registry in many a company: TLS and a login, on loopback. */
export class HttpsProxy implements AsyncDisposable {
  readonly #options: HttpsProxyOptions;
  readonly #server: Server;

  private constructor(options: HttpsProxyOptions) {
    this.#options = options;
    const { server, clientAuthority } = options;
    const clients =
      clientAuthority === undefined
        ? {}
        : { ca: readFileSync(clientAuthority), requestCert: true, rejectUnauthorized: true };
    this.#server = createServer(
      { cert: readFileSync(server.certificate), key: readFileSync(server.key), ...clients },
      (request, response) => this.#take(request, response),
    );
  }

  static async listen(options: HttpsProxyOptions): Promise<HttpsProxy> {
    const proxy = new HttpsProxy(options);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** With the path of the target. */
  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}${new URL(this.#options.target).pathname}`;
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const { login, target } = this.#options;
    const expected = login === undefined ? undefined : `Basic ${Buffer.from(login).toString('base64')}`;
    if (expected !== undefined && request.headers.authorization !== expected) {
      response
        .writeHead(401, { 'content-type': 'application/json' })
        .end('{"error_code":401,"message":"Unauthorized"}');
      return;
    }
    const { method, headers } = request;
    const onward = forward(new URL(request.url as string, target), { method, headers });
    onward.once('response', (answer) => {
      response.writeHead(answer.statusCode as number, answer.headers);
      pipeline(answer, response).catch(() => response.destroy());
    });
    pipeline(request, onward).catch(() => response.destroy());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
