import { reasonOf } from '../errors.ts';
import type { NetworkInterface, PacketCapture } from '../kernel/packet-capture.ts';
import type { Log } from '../log.ts';

export interface InterfaceWatchOptions {
  readonly packets: Pick<PacketCapture, 'interfaces' | 'attach' | 'detach'>;
  /** Names, and `auto` for every physical interface that is up. */
  readonly wanted: readonly string[];
  readonly log: Log;
}

/** Stands for every physical interface. */
export const automatic = 'auto';
/** Under which a failure of the look itself is told; no interface has this name. */
const everyInterface = '*';
const notCounted = 'packets are not counted there';

export function isWantedAmong(
  wanted: readonly string[],
  { name, kind }: Pick<NetworkInterface, 'name' | 'kind'>,
): boolean {
  return wanted.includes(name) || (wanted.includes(automatic) && kind === 'physical');
}

/**
 * Puts the packet program on the interfaces that are wanted, also on those that appear later or come up. One that
 * refuses does not keep the others from it; each reason is told once.
 */
export class InterfaceWatch {
  readonly #options: InterfaceWatchOptions;
  /** By name, what was told of it last. */
  readonly #told = new Map<string, string>();
  #attached = new Set<string>();

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
      const isWanted = isWantedAmong(wanted, found);
      if (found.attached && (isWanted || !this.#detach(found))) attached.add(found.name);
      if (!found.attached && isWanted && this.#isUp(found) && this.#attach(found)) attached.add(found.name);
    }
    for (const name of this.#attached) {
      if (attached.has(name)) continue;
      const reason = present.some((found) => found.name === name) ? 'it has lost the program' : 'it is gone';
      log.warn({ interface: name, reason }, `${notCounted} any more`);
    }
    this.#attached = attached;
    for (const name of wanted) {
      if (name !== automatic && !present.some((found) => found.name === name))
        this.#tell(name, 'it does not exist', `${notCounted}; they are when it appears`);
    }
    if (!wanted.includes(automatic)) return;
    if (attached.size > 0 || present.some(({ kind, up }) => kind === 'physical' && up)) this.#told.delete(automatic);
    else this.#tell(automatic, 'no physical interface is up', `${notCounted}; name others with --interface`);
  }

  /** The same, again and again: a failure is told once, and what was found before stays. */
  lookAgain(): void {
    try {
      this.look();
      this.#told.delete(everyInterface);
    } catch (error) {
      this.#tell(everyInterface, reasonOf(error), 'cannot look for interfaces');
    }
  }

  #isUp({ name, up }: NetworkInterface): boolean {
    if (!up && this.#options.wanted.includes(name))
      this.#tell(name, 'it is down', `${notCounted}; they are when it comes up`);
    return up;
  }

  /** An earlier process was asked to count there, and this one was not. False when it goes on. */
  #detach({ index, name }: NetworkInterface): boolean {
    const { packets, log } = this.#options;
    try {
      packets.detach(index);
      log.info({ interface: name, index }, `${notCounted} any more`);
      this.#told.delete(name);
      this.#attached.delete(name);
      return true;
    } catch (error) {
      this.#tell(
        name,
        reasonOf(error),
        'packets are still counted there, though the interface is not asked for any more',
      );
      return false;
    }
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
      this.#tell(name, reasonOf(error), notCounted);
      return false;
    }
  }

  #tell(name: string, reason: string, message: string): void {
    if (this.#told.get(name) === reason) return;
    this.#told.set(name, reason);
    this.#options.log.warn({ interface: name, reason }, message);
  }
}
