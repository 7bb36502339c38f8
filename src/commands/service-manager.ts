import type { ServiceManagerConfig } from '../config/types.ts';
import { tellServiceManager } from '../kernel/addon.ts';
import type { Log } from '../log.ts';

/**
 * Tells the service manager, when there is one, how far this process is (sd_notify(3)). What cannot be told is a
 * warning: the manager draws its own conclusions.
 */
export class ServiceManager implements Disposable {
  readonly #config: ServiceManagerConfig | undefined;
  readonly #log: Log;
  #watchdog: NodeJS.Timeout | undefined;

  constructor(config: ServiceManagerConfig | undefined, log: Log) {
    this.#config = config;
    this.#log = log;
  }

  /** From now on also says, twice in each watchdog time, that the main loop turns. */
  ready(status: string): void {
    this.#tell(`READY=1\nSTATUS=${status}`);
    const millis = this.#config?.watchdogMillis;
    if (millis !== undefined) this.#watchdog = setInterval(() => this.#tell('WATCHDOG=1'), millis / 2);
  }

  stopping(): void {
    this.#tell('STOPPING=1\nSTATUS=publishing what is left');
  }

  [Symbol.dispose](): void {
    clearInterval(this.#watchdog);
  }

  #tell(message: string): void {
    if (this.#config === undefined) return;
    const { socket } = this.#config;
    const errno = tellServiceManager(socket, message);
    if (errno !== 0) this.#log.warn({ socket, errno }, 'the service manager cannot be told');
  }
}
