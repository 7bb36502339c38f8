import { once } from 'node:events';
import { createServer } from 'node:net';
import { waitFor } from './wait-for.ts';

/**
 * Waits until no other process of this machine has the turn of this name. It ends with `dispose`, or with this process,
 * however that ends: the turn is a socket's name, which the kernel takes back (unix(7), abstract).
 */
export async function takeTurn(name: string): Promise<Disposable> {
  const server = await waitFor(
    async () => {
      const candidate = createServer().listen(`\0bpf2kafka-test-${name}`);
      await once(candidate, 'listening');
      return candidate;
    },
    { what: `the turn of ${name}`, timeout: 900_000, interval: 200 },
  );
  server.unref();
  return { [Symbol.dispose]: () => server.close() };
}
