import { createServer } from 'node:net';

/** Below the usual ephemeral range: there an outgoing connection could hold the port when the broker starts again. */
const lowest = 20_000;
const count = 10_000;
const attempts = 100;

export function isFreePort(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

export async function chooseFreePort(): Promise<number> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const port = lowest + Math.floor(Math.random() * count);
    if (await isFreePort(port)) return port;
  }
  throw new Error(`no free port between ${lowest} and ${lowest + count}`);
}
