import { reasonOf } from '../errors.ts';
import type { NetworkInterface, PacketCapture } from '../kernel/addon.ts';
import type { Log } from '../log.ts';

export interface InterfaceWatchOptions {
  readonly packets: Pick<PacketCapture, 'interfaces' | 'attach' | 'detach'>;
  /** Names, and `auto` for every physical interface that is up. */
  readonly wanted: readonly string[];
  readonly log: Log;
}

const automatic = 'auto';

/**
 * Puts the packet program on the interfaces that are wanted, also on those that appear later or come up. One that
 * refuses does not keep the others from it; each reason is told once.
 */
export class InterfaceWatch {
  readonly #options: InterfaceWatchOptions;
  /** By name, what was told of it last. */
  readonly #told = new Map<string, string>();
  #attached: ReadonlySet<string> = new Set();

  constructor(options: InterfaceWatchOptions) {
    this.#options = options;
  }

  /** Names of the interfaces that are counted on. */
  get attached(): readonly string[] {
    return [...this.#attached];
  }

  /** Looks at all interfaces once; takes less than a millisecond when there is nothing to do. */
  look(): void {
    const { packets, wanted, log } = this.#options;
    const present = packets.interfaces();
    const attached = new Set<string>();
    for (const found of present) {
      const isWanted = this.#isWanted(found);
      if (found.attached && !isWanted) this.#detach(found);
      else if (found.attached || (isWanted && this.#isUp(found) && this.#attach(found))) attached.add(found.name);
    }
    for (const name of this.#attached) {
      if (!attached.has(name))
        log.warn({ interface: name }, 'the interface is gone; nothing is counted there any more');
    }
    this.#attached = attached;
    for (const name of wanted) {
      if (name !== automatic && !present.some((found) => found.name === name))
        this.#tell(name, 'it does not exist', 'they are when it appears');
    }
    if (wanted.includes(automatic) && attached.size === 0)
      this.#tell(automatic, 'no physical interface is up', 'name others with --interface');
  }

  #isWanted({ name, kind }: NetworkInterface): boolean {
    const { wanted } = this.#options;
    return wanted.includes(name) || (wanted.includes(automatic) && kind === 'physical');
  }

  #isUp({ name, up }: NetworkInterface): boolean {
    if (!up && this.#options.wanted.includes(name)) this.#tell(name, 'it is down', 'they are when it comes up');
    return up;
  }

  /** An earlier process was asked to count there, and this one was not. */
  #detach({ index, name }: NetworkInterface): void {
    this.#options.packets.detach(index);
    this.#options.log.info({ interface: name, index }, 'packets are not counted there any more');
  }

  #attach({ index, name }: NetworkInterface): boolean {
    const { packets, log } = this.#options;
    try {
      const { mode, nativeRefusal } = packets.attach(index);
      const refusal = nativeRefusal === '' ? {} : { nativeRefusal };
      log.info({ interface: name, index, mode, ...refusal }, 'counting packets');
      this.#told.delete(name);
      return true;
    } catch (error) {
      this.#tell(name, reasonOf(error));
      return false;
    }
  }

  #tell(name: string, reason: string, remedy?: string): void {
    if (this.#told.get(name) === reason) return;
    this.#told.set(name, reason);
    const what = 'packets are not counted there';
    this.#options.log.warn({ interface: name, reason }, remedy === undefined ? what : `${what}; ${remedy}`);
  }
}
