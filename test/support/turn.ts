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
    { what: `the turn of ${name}`, timeout: 1_800_000, interval: 200 },
  );
  server.unref();
  return { [Symbol.dispose]: () => server.close() };
}

/** A turn that a process has until all in it who took it, one inside of another, have given it back. */
export class SharedTurn {
  readonly #name: string;
  #turn: Disposable | undefined;
  #holders = 0;

  constructor(name: string) {
    this.#name = name;
  }

  async take(): Promise<Disposable> {
    this.#turn ??= await takeTurn(this.#name);
    this.#holders += 1;
    return { [Symbol.dispose]: () => this.#giveBack() };
  }

  #giveBack(): void {
    this.#holders -= 1;
    if (this.#holders > 0) return;
    this.#turn?.[Symbol.dispose]();
    this.#turn = undefined;
  }
}
