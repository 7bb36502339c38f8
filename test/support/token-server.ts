import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface TokenRequest {
  readonly authorization: string | undefined;
  readonly form: Readonly<Record<string, string>>;
}

export interface TokenAnswer {
  readonly status?: number;
  readonly body: string;
}

/** An identity provider on loopback that gives tokens for client credentials (RFC 6749, section 4.4). */
export class TokenServer implements AsyncDisposable {
  readonly requests: TokenRequest[] = [];
  /** What it answers with from now on. */
  answer: () => TokenAnswer;
  readonly #server: Server;

  private constructor(answer: () => TokenAnswer) {
    this.answer = answer;
    this.#server = createServer((request, response) => {
      void this.#take(request).then(({ status = 200, body }) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(body);
      });
    });
  }

  static async listen(answer: () => TokenAnswer): Promise<TokenServer> {
    const server = new TokenServer(answer);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/token`;
  }

  async #take(request: IncomingMessage): Promise<TokenAnswer> {
    const form = Object.fromEntries(new URLSearchParams(await text(request)));
    this.requests.push({ authorization: request.headers.authorization, form });
    return this.answer();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
