import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { startKafka, type TestKafka } from './kafka.ts';
import { type ProducedBatch, producedBatchIn } from './record-batches.ts';

const produceKey = 0;

/**
 * A TCP proxy on loopback in front of one broker, which must advertise the proxy's port. On command it loses the
 * broker's answers to produce requests: the request gets through and is written, the answer is dropped, the connection
 * is cut. That is what a network failure at the wrong moment does. Or it damages what the requests carry.
 */
export class LossyProxy implements AsyncDisposable {
  /** Set it before the first connection. */
  targetPort = 0;
  loseProduceAnswers = false;
  /** Answers that were lost. */
  lost = 0;
  /** Changes the bytes of a batch on its way to the broker; false when it does not. */
  damage: (produced: ProducedBatch) => boolean = () => false;
  /** Batches that were damaged. */
  damaged = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  static async listen(): Promise<LossyProxy> {
    const proxy = new LossyProxy();
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  private constructor() {
    this.#server = createServer((client) => this.#serve(client));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get brokers(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Ends every connection; new ones are served. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.cut();
    await once(this.#server, 'close');
  }

  #serve(client: Socket): void {
    const broker = connect(this.targetPort, '127.0.0.1');
    const cut = () => {
      client.destroy();
      broker.destroy();
    };
    for (const socket of [client, broker]) {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on('error', cut);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        cut();
      });
    }
    const produceRequests = new Set<number>();
    onFrame(client, (frame) => {
      // Request header: length int32, api_key int16, api_version int16, correlation_id int32.
      if (frame.readInt16BE(4) === produceKey) {
        produceRequests.add(frame.readInt32BE(8));
        if (this.damage(producedBatchIn(frame))) this.damaged += 1;
      }
      broker.write(frame);
    });
    onFrame(broker, (frame) => {
      const isProduceAnswer = produceRequests.delete(frame.readInt32BE(4));
      if (isProduceAnswer && this.loseProduceAnswers) {
        this.lost += 1;
        cut();
      } else {
        client.write(frame);
      }
    });
  }
}

/** A broker that clients reach through a proxy only. */
export async function startBehindProxy(): Promise<
  AsyncDisposable & { readonly kafka: TestKafka; readonly proxy: LossyProxy }
> {
  await using stack = new AsyncDisposableStack();
  const proxy = stack.use(await LossyProxy.listen());
  const properties = { 'advertised.listeners': `PLAINTEXT://${proxy.brokers}` };
  const kafka = stack.use(await startKafka({ properties }));
  proxy.targetPort = kafka.port;
  const both = stack.move();
  return { kafka, proxy, [Symbol.asyncDispose]: () => both.disposeAsync() };
}

/** Calls back for every whole frame: a big-endian int32 length and as many bytes. */
function onFrame(socket: Socket, take: (frame: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  socket.on('data', (data: Buffer) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 4) {
      const end = 4 + rest.readInt32BE(0);
      if (rest.length < end) break;
      const frame = rest.subarray(0, end);
      rest = rest.subarray(end);
      take(frame);
    }
  });
}
