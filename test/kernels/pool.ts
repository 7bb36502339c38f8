import { EventEmitter } from 'node:events';
import type { PoolRunnerInitializer, PoolWorker } from 'vitest/node';
import { encodeFrame, FrameDecoder } from './frames.ts';
import { type Guest, VirtualMachine } from './virtual-machine.ts';

/** Seconds that one machine may take for everything. An emulated one that has the processor to itself takes a tenth. */
const limit = 600;

/** A pool of vitest whose workers run in guests: vitest itself, its configuration and its reporters stay here. */
export function inGuest(name: string, guest: Guest): PoolRunnerInitializer {
  return { name, createPoolWorker: ({ env }) => new GuestWorker(name, guest, env) };
}

class GuestWorker extends EventEmitter implements PoolWorker {
  readonly name: string;
  readonly #guest: Guest;
  readonly #environment: Partial<NodeJS.ProcessEnv>;
  #machine: VirtualMachine | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(name: string, guest: Guest, environment: Partial<NodeJS.ProcessEnv>) {
    super();
    this.name = name;
    this.#guest = guest;
    this.#environment = environment;
  }

  async start(): Promise<void> {
    const machine = await VirtualMachine.boot(this.#guest);
    this.#machine = machine;
    const fail = (reason: string) => {
      if (!this.#stopping) this.emit('error', new Error(`${this.name}: ${reason}`));
    };
    let broken = '';
    // The machine ends with its channel, and then says more.
    machine.channel.on('error', ({ message }) => {
      broken = ` (${message})`;
    });
    machine.ended.then((printed) => fail(`the guest has ended${broken}:\n${printed}`));
    this.#timer = setTimeout(() => fail(`the guest has taken ${limit} s`), limit * 1000);

    const decoder = new FrameDecoder();
    machine.channel.on('data', (chunk) => {
      for (const message of decoder.push(chunk)) this.emit('message', message);
    });
    machine.channel.write(encodeFrame(ours(this.#environment)));
  }

  send(message: unknown): void {
    this.#machine?.channel.write(encodeFrame(message));
  }

  deserialize(message: unknown): unknown {
    return message;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    await this.#machine?.close();
  }
}

/** What vitest and our tests look at. PATH and the like are the guest's own. */
function ours(environment: Partial<NodeJS.ProcessEnv>): Partial<NodeJS.ProcessEnv> {
  const names = /^(TEST|VITEST.*|NODE_ENV|NO_COLOR|FORCE_COLOR|BPF2KAFKA_.*)$/;
  return Object.fromEntries(Object.entries(environment).filter(([name]) => names.test(name)));
}
