import type { Clock } from '../clock.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { NoSpace } from './disk.ts';

/** Why it takes nothing now: the ring goes on holding. */
export interface SpoolTrouble {
  readonly state: 'full' | 'no_space' | 'failed';
  /** Of the last two. */
  readonly reason?: string;
}

/** After it had no room, or failed, the disk is not asked again for so long (milliseconds). */
export const askAgainAfter = 1_000;

/** Whether the disk takes what is given to it; each change of that is told once. */
export class Availability {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #log: Log;
  #trouble: SpoolTrouble | undefined;
  #until = Number.NEGATIVE_INFINITY;

  constructor(directory: string, clock: Clock, log: Log) {
    this.#directory = directory;
    this.#clock = clock;
    this.#log = log;
  }

  get trouble(): SpoolTrouble | undefined {
    return this.#trouble;
  }

  /** It is too early to try again. */
  get isResting(): boolean {
    return this.#clock.elapsedMillis() < this.#until;
  }

  full(): void {
    this.#enter({ state: 'full' }, 'the spool is full; the kernel buffers');
  }

  failed(error: unknown): void {
    this.#until = this.#clock.elapsedMillis() + askAgainAfter;
    const reason = reasonOf(error);
    if (error instanceof NoSpace)
      this.#enter({ state: 'no_space', reason }, 'no_space: the disk is full; the kernel buffers');
    else this.#enter({ state: 'failed', reason }, 'the spool cannot be written; the kernel buffers');
  }

  worked(): void {
    if (this.#trouble !== undefined) this.#log.info({ directory: this.#directory }, 'the spool takes batches again');
    this.#trouble = undefined;
  }

  #enter(trouble: SpoolTrouble, message: string): void {
    const { state, ...fields } = trouble;
    if (this.#trouble?.state !== state) this.#log.error({ directory: this.#directory, ...fields }, message);
    this.#trouble = trouble;
  }
}
