import { readFileSync, statSync } from 'node:fs';
import type { Clock } from '../clock.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';

/** How often the file may be looked at, milliseconds. */
const lookInterval = 1_000;

export interface UserNamesOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** In the form of passwd(5). */
  readonly path?: string;
}

/**
 * Names of users by uid, from /etc/passwd of where this process runs. No NSS: a directory service that is slow to
 * answer would hold up every record, and its users have no name here.
 */
export class UserNames {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #path: string;
  /** Undefined while the file cannot be read. */
  #names: ReadonlyMap<number, string> | undefined;
  /** Of the file that the names are from. */
  #version = '';
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor({ clock, log, path = '/etc/passwd' }: UserNamesOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#path = path;
  }

  /** The name; null when the file has none, undefined when it cannot be read. */
  of(uid: number): string | null | undefined {
    this.#lookAgain();
    return this.#names === undefined ? undefined : (this.#names.get(uid) ?? null);
  }

  /** Another one when what was said before may be wrong. */
  get version(): string {
    this.#lookAgain();
    return this.#version;
  }

  #lookAgain(): void {
    const now = this.#clock.elapsedMillis();
    if (now - this.#lookedAt < lookInterval) return;
    this.#lookedAt = now;
    this.#look();
  }

  #look(): void {
    try {
      // The tools that change it put a new file in its place; whoever edits it changes its time.
      const { ino, mtimeNs, size } = statSync(this.#path, { bigint: true });
      const version = `${ino} ${mtimeNs} ${size}`;
      if (version === this.#version) return;
      this.#names = namesIn(readFileSync(this.#path, 'utf8'));
      this.#version = version;
    } catch (error) {
      // Said once each time it becomes unreadable.
      if (this.#names !== undefined || this.#version === '') {
        const fields = { path: this.#path, reason: reasonOf(error) };
        this.#log.warn(fields, 'names of users cannot be read; records are published without');
      }
      this.#names = undefined;
      this.#version = 'unreadable';
    }
  }
}

/** Of several names for a uid the first, as with getpwuid(3). */
function namesIn(passwd: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of passwd.split('\n')) {
    const [, name, digits] = /^([^#:][^:]*):[^:]*:(\d{1,10}):/.exec(line) ?? [];
    if (name === undefined) continue;
    const uid = Number(digits);
    if (!names.has(uid)) names.set(uid, name);
  }
  return names;
}
