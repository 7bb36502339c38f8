import { type LearnedTable, openLearnedTable } from '../kernel/record-writer.ts';
import type { ProcessIdentity, RunningPrograms } from './running-programs.ts';

/** An exec, as the record of a child names its parent's. */
export interface ParentExec extends ProcessIdentity {
  /** The bytes of its identity in the record, boot aside. */
  readonly execId: Uint8Array;
}

/** What an exec ran, as Avro: what was written of it is copied for its children, and nothing of the record is held on to. */
export interface ProgramImage {
  /** A nullable string. */
  readonly exe: Uint8Array;
  /** A nullable array of strings. */
  readonly args: Uint8Array;
}

/** Fields that are made of it, in the order of its parts. */
export const programNames = ['parent_exe', 'parent_args'] as const;

/** Names of those that are null. */
export function missingOf({ exe, args }: ProgramImage): string[] {
  return programNames.filter((_, part) => [exe, args][part]?.[0] === 0);
}

/** Execs that are remembered, and their texts: enough for the parents of some ten thousand processes. */
const bounds = { entries: 32_768, bytes: 8 * 1024 * 1024 };

/**
 * What the last execs ran, by their exec_id, for the records of their children. An exec that is not here, because it
 * was too long ago or was lost or filtered, is unknown: nothing is guessed.
 */
export class Parents {
  /** An image each, by the id of its exec; what the addon has written itself it puts there too. */
  readonly programs: LearnedTable;
  readonly #running: RunningPrograms;
  readonly #imageOf: (exe: string) => ProgramImage;

  /** @param imageOf what is known of a program that ran before, besides its path nothing */
  constructor(running: RunningPrograms, imageOf: (exe: string) => ProgramImage, within = bounds) {
    this.programs = openLearnedTable(within);
    this.#running = running;
    this.#imageOf = imageOf;
  }

  /** In the order of the records, each before those of its children. */
  remember(execId: Uint8Array, pid: number, image: ProgramImage): void {
    this.noteRemembered(pid);
    this.#set(execId, image);
  }

  /** To be told when `programs` has got the image of this process's exec already. */
  noteRemembered(pid: number): void {
    this.#running.forget(pid);
  }

  /** @param bootMicros of the child's record */
  of(parent: ParentExec, bootMicros: number): ProgramImage | undefined {
    const known = this.programs.get(parent.execId);
    if (known !== undefined) {
      const [exe, args] = known as [Uint8Array, Uint8Array];
      return { exe, args };
    }
    const path = this.#running.take(parent, bootMicros);
    if (path === undefined) return undefined;
    const image = this.#imageOf(path);
    this.#set(parent.execId, image);
    return image;
  }

  #set(execId: Uint8Array, image: ProgramImage): void {
    this.programs.set(execId, [image.exe, image.args], missingOf(image));
  }
}
