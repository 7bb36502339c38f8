import { open } from 'node:fs/promises';

/*
 * What LMDB itself does not look at. It maps the file into memory and trusts what it finds there: behind the end of a
 * file that was cut off the process would be killed by SIGBUS.
 */

const magic = 0xbeefc0de;
/** Of the first two pages, as lmdb-js 3 lays them out (MDB_page, then MDB_meta, in its liblmdb/mdb.c). */
const metaAt = { magic: 24, pageSize: 48, lastPage: 144, transaction: 152, end: 160 } as const;

/** Why the file is not a whole LMDB file, in words; undefined when it looks like one. A file that is not there is whole. */
export async function whyNotWhole(path: string): Promise<string | undefined> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { size } = await file.stat();
    const first = await metaOf(file, 0);
    if (first === undefined) return 'it is not a spool';
    const second = await metaOf(file, first.pageSize);
    if (second === undefined) return 'its second page is broken';
    const newest = second.transaction > first.transaction ? second : first;
    const bytes = (newest.lastPage + 1) * newest.pageSize;
    return size < bytes ? `it has ${size} bytes, and ought to have ${bytes}` : undefined;
  } finally {
    await file.close();
  }
}

interface Meta {
  readonly pageSize: number;
  readonly lastPage: number;
  readonly transaction: number;
}

async function metaOf(file: Awaited<ReturnType<typeof open>>, position: number): Promise<Meta | undefined> {
  const bytes = Buffer.alloc(metaAt.end);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, position);
  if (bytesRead < bytes.length || bytes.readUInt32LE(metaAt.magic) !== magic) return undefined;
  return {
    pageSize: bytes.readUInt32LE(metaAt.pageSize),
    lastPage: Number(bytes.readBigUInt64LE(metaAt.lastPage)),
    transaction: Number(bytes.readBigUInt64LE(metaAt.transaction)),
  };
}
