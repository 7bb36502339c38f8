import { open } from 'node:fs/promises';
import { isOutOfSpace, reasonOf } from '../errors.ts';

/** The disk has no room. Nothing was changed. */
export class NoSpace extends Error {}

/** What is written at once. */
const chunkBytes = 1024 * 1024;

/** A name that is new in it is still there after a loss of power. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Makes the file so long, with blocks that the disk has set apart for it. @throws NoSpace, leaving it as it was */
export async function reserve(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'a', 0o600);
  try {
    const { size } = await file.stat();
    if (size >= bytes) return;
    try {
      const zeros = Buffer.alloc(Math.min(chunkBytes, bytes - size));
      for (let left = bytes - size; left > 0; left -= zeros.length)
        await file.appendFile(zeros.subarray(0, Math.min(left, zeros.length)));
    } catch (error) {
      await file.truncate(size);
      if (isOutOfSpace(error)) throw new NoSpace(reasonOf(error), { cause: error });
      throw error;
    }
  } finally {
    await file.close();
  }
}
