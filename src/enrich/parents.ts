import { type CacheBounds, RecentCache } from './recent-cache.ts';
import type { ProcessIdentity, RunningPrograms } from './running-programs.ts';

/** An exec, as the record of a child names its parent's. */
export interface ParentExec extends ProcessIdentity {
  readonly execId: string;
}

/** What an exec ran, as Avro: what was written of it is copied for its children, and nothing of the record is held on to. */
export interface ProgramImage {
  /** A nullable string. */
  readonly exe: Uint8Array;
  /** A nullable array of strings. */
  readonly args: Uint8Array;
}

/** Execs that are remembered, and their texts: enough for the parents of some ten thousand processes. */
const bounds = {
  entries: 32_768,
  bytes: 8 * 1024 * 1024,
  bytesOf: ({ exe, args }: ProgramImage) => exe.length + args.length + 200,
};

/** @param imageOf of a program of which only the path is known */
export function createParents(running: RunningPrograms, imageOf: (exe: string) => ProgramImage): Parents<ProgramImage> {
  return new Parents<ProgramImage>(bounds, running, imageOf);
}

/**
 * What the last execs ran, by their exec_id, for the records of their children. An exec that is not here, because it
 * was too long ago or was lost or filtered, is unknown: nothing is guessed.
 */
export class Parents<Image> {
  readonly #execs: RecentCache<string, Image>;
  readonly #running: RunningPrograms;
  readonly #imageOf: (exe: string) => Image;

  /** @param imageOf what is known of a program that ran before, besides its path nothing */
  constructor(bounds: CacheBounds<Image>, running: RunningPrograms, imageOf: (exe: string) => Image) {
    this.#execs = new RecentCache(bounds);
    this.#running = running;
    this.#imageOf = imageOf;
  }

  /** In the order of the records, each before those of its children. */
  remember(execId: string, pid: number, image: Image): void {
    this.#running.forget(pid);
    this.#execs.set(execId, image);
  }

  /** @param bootMicros of the child's record */
  of(parent: ParentExec, bootMicros: number): Image | undefined {
    const known = this.#execs.get(parent.execId);
    if (known !== undefined) return known;
    const exe = this.#running.take(parent, bootMicros);
    if (exe === undefined) return undefined;
    const image = this.#imageOf(exe);
    this.#execs.set(parent.execId, image);
    return image;
  }
}
