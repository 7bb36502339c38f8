import { readFileSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Content of a file, undefined when it is not there or may not be read; replaced in tests. */
export type ReadText = (path: string) => string | undefined;

export const readText: ReadText = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};

/** The directory itself, or the nearest above it that is there. */
export function nearestDirectory(path: string): string {
  return statSync(path, { throwIfNoEntry: false }) === undefined ? nearestDirectory(dirname(path)) : path;
}

/** f_type of bpffs (BPF_FS_MAGIC in linux/magic.h). */
const bpffsMagic = 0xcafe4a11;

/** @param path of something that is there */
export function isOnBpffs(path: string): boolean {
  return statfsSync(path).type === bpffsMagic;
}

/** Namespaces that the host booted with, by numbers that never change (init_ns_ino in linux/nsfs.h). */
export const hostNamespaces = {
  pid: 'pid:[4026531836]',
  /** From Linux 6.18 on; before it is any other number. */
  mount: 'mnt:[4026531832]',
} as const;
