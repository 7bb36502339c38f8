import net from 'node:net';
import tls from 'node:tls';

interface SocketRequest {
  readonly host: string;
  readonly port: number;
  readonly ssl?: tls.ConnectionOptions | undefined;
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
  #closed = false;

  /** For kafkajs's `socketFactory`. */
  readonly connect = ({ host, port, ssl, onConnect }: SocketRequest): net.Socket => {
    if (this.#closed) throw new Error('the client is closed');
    const socket = ssl
      ? tls.connect({ host, port, ...(net.isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
      : net.connect({ host, port }, onConnect);
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
