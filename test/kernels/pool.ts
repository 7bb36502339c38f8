import { EventEmitter } from 'node:events';
import type { PoolRunnerInitializer, PoolWorker } from 'vitest/node';
import { encodeFrame, FrameDecoder } from './frames.ts';
import { type Guest, VirtualMachine } from './virtual-machine.ts';

/** Seconds that one machine may take for everything. An emulated one takes minutes, and stands behind all other tests. */
const limit = 2_400;

/** A kernel that panicked while it booted. */
export interface BootPanic {
  readonly machine: string;
  /** What its console said last. */
  readonly printed: string;
}

/** A machine as the pool sees it. */
export type Machine = Pick<VirtualMachine, 'channel' | 'ended' | 'close'>;

/**
 * A pool of vitest whose workers run in guests: vitest itself, its configuration and its reporters stay here.
 * @param panics of those that were therefore booted once more; the pool adds to it
 */
export function inGuest(name: string, guest: Guest, panics: BootPanic[]): PoolRunnerInitializer {
  const boot = () => VirtualMachine.boot(guest);
  return { name, createPoolWorker: ({ env }) => new GuestWorker(name, boot, env, panics) };
}

export class GuestWorker extends EventEmitter implements PoolWorker {
  readonly name: string;
  readonly #boot: () => Promise<Machine>;
  readonly #panics: BootPanic[];
  #machine: Machine | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  /** What a guest is told first. */
  readonly #greeting: unknown[];
  /** What comes behind that, until the worker has started. */
  #waiting: unknown[] | undefined = [];
  #boots = 0;

  constructor(
    name: string,
    boot: () => Promise<Machine>,
    environment: Partial<NodeJS.ProcessEnv>,
    panics: BootPanic[],
  ) {
    super();
    this.name = name;
    this.#boot = boot;
    this.#greeting = [ours(environment)];
    this.#panics = panics;
  }

  async start(): Promise<void> {
    await this.#connect();
    this.#timer = setTimeout(() => this.#fail(`the guest has taken ${limit} s`), limit * 1000);
  }

  async #connect(): Promise<void> {
    this.#boots += 1;
    const machine = await this.#boot();
    this.#machine = machine;
    let broken = '';
    // The machine ends with its channel, and then says more.
    machine.channel.on('error', ({ message }) => {
      broken = ` (${message})`;
    });
    machine.ended.then((printed) => this.#end(machine, printed, broken));
    const decoder = new FrameDecoder();
    machine.channel.on('data', (chunk) => {
      for (const message of decoder.push(chunk)) this.#receive(message);
    });
    for (const message of this.#greeting) this.#write(message);
  }

  send(message: unknown): void {
    if (typeOf(message) === 'start') {
      this.#greeting.push(message);
      this.#write(message);
      // vitest gives a worker 60 s to start, which a guest on a busy host needs to boot: that has the limit of the whole.
      queueMicrotask(() => this.emit('message', started));
    } else if (this.#waiting === undefined) {
      this.#write(message);
    } else {
      this.#waiting.push(message);
    }
  }

  #write(message: unknown): void {
    this.#machine?.channel.write(encodeFrame(message));
  }

  #receive(message: unknown): void {
    if (typeOf(message) !== 'started') {
      this.emit('message', message);
      return;
    }
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    const { error } = message as { error?: unknown };
    if (error === undefined) for (const each of waiting) this.#write(each);
    else this.#fail(`the worker did not start: ${error}`);
  }

  /**
   * A machine whose kernel panics before the worker has started is booted once more, and told of: nothing of ours
   * had run. QEMU's emulation does not do all that a kernel may rely on while it writes into its own code.
   */
  async #end(machine: Machine, printed: string, broken: string): Promise<void> {
    if (this.#stopping) return;
    if (this.#waiting === undefined || this.#boots > 1 || !printed.includes('Kernel panic')) {
      this.#fail(`the guest has ended${broken}:\n${printed}`);
      return;
    }
    this.#panics.push({ machine: this.name, printed });
    try {
      await machine.close();
      await this.#connect();
    } catch (error) {
      this.#fail(String(error));
    }
  }

  #fail(reason: string): void {
    if (!this.#stopping) this.emit('error', new Error(`${this.name}: ${reason}`));
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

/** The answer of a worker of vitest to the message `start`. */
const started = { type: 'started', __vitest_worker_response__: true };

function typeOf(message: unknown): unknown {
  return (message as { type?: unknown } | undefined)?.type;
}

/** What vitest and our tests look at. PATH and the like are the guest's own. */
function ours(environment: Partial<NodeJS.ProcessEnv>): Partial<NodeJS.ProcessEnv> {
  const names = /^(TEST|VITEST.*|NODE_ENV|NO_COLOR|FORCE_COLOR|BPF2KAFKA_.*)$/;
  return Object.fromEntries(Object.entries(environment).filter(([name]) => names.test(name)));
}
