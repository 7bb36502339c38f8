import net from 'node:net';
import tls from 'node:tls';
import { answeredInTls } from '../tls-failure.ts';

/** Whom to believe and what to show; never the host, which is the connection's own. */
export type TlsOptions = tls.SecureContextOptions & { readonly rejectUnauthorized: true };

interface SocketRequest {
  readonly host: string;
  readonly port: number;
  readonly onConnect: () => void;
}

/**
 * The sockets of one kafkajs client, so that they can be ended for certain. kafkajs's own disconnect first waits for
 * the answers to all pending requests (src/network/connection.js) and by then has stopped the timer that would time
 * them out (src/network/requestQueue/index.js): with a broker that is only silent it never returns and never closes
 * the socket.
 */
export class Sockets {
  readonly #open = new Set<net.Socket>();
  /** Undefined for plain text; read anew for each connection. */
  readonly #tls: (() => TlsOptions) | undefined;
  #closed = false;

  constructor(tlsOptions: (() => TlsOptions) | undefined) {
    this.#tls = tlsOptions;
  }

  /** For kafkajs's `socketFactory`. */
  readonly connect = ({ host, port, onConnect }: SocketRequest): net.Socket => {
    if (this.#closed) throw new Error('the client is closed');
    const socket = this.#tls
      ? tls.connect({ host, port, ...serverName(host), ...this.#tls() }, onConnect)
      : net.connect({ host, port }, onConnect).once('data', refuseTlsAlert);
    socket.setKeepAlive(true, 60_000);
    // A batch is many segments; with Nagle its last one waits for the acknowledgement of the others.
    socket.setNoDelay(true);
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    return socket;
  };

  /** Ends every connection at once and refuses new ones. The error makes kafkajs reject what is pending on them. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#open) socket.destroy(new Error('the client is closed'));
  }
}

/**
 * A listener with TLS answers a request in plain text with an alert (RFC 8446, section 6). kafkajs takes its first
 * bytes for the length of an answer of 352 MB and waits for that.
 */
function refuseTlsAlert(this: net.Socket, first: Buffer): void {
  if (first[0] === 0x15 && first[1] === 0x03) this.destroy(new Error(answeredInTls));
}

/** An address is no server name (RFC 6066, section 3); the certificate is checked against it all the same. */
function serverName(host: string): { servername?: string } {
  return net.isIP(host) === 0 ? { servername: host } : {};
}
