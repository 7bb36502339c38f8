import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Database, RootDatabase } from 'lmdb';
import type { EpochCount } from '../batch.ts';
import { reasonOf } from '../errors.ts';
import { reserve, syncDirectory } from './disk.ts';
import { whyNotWhole } from './whole-file.ts';

/** Where a batch stood, and in which order it came: unique for ever. */
export interface SpoolKey {
  /** `exec`; each ring is a queue of its own. */
  readonly ring: string;
  /** Grows by one with each batch of the ring, over boots and attaches. */
  readonly order: number;
  readonly bootId: string;
  readonly attachId: number;
  /** Ring positions, as in RingSpan. */
  readonly start: number;
  readonly end: number;
}

/** What is known of a batch without reading it. */
export interface SpoolIndex {
  readonly records: number;
  readonly undecodable: number;
  /** Of the stored value. */
  readonly bytes: number;
  readonly epochs: readonly EpochCount[];
  /** Some of it was sent before it was put on disk; absent in what earlier versions wrote. */
  readonly tried?: boolean;
}

/** What the spool did with the records of one ring of one attach; totals, kept until the account of the attach is closed. */
export interface SpoolTally {
  readonly ring: string;
  readonly bootId: string;
  readonly attachId: number;
  /** Put on disk. What was neither acknowledged nor evicted, and is not there, is missing. */
  readonly entered: number;
  readonly acknowledged: number;
  readonly evicted: number;
  /** In the topic, of the last acknowledged record; -1 before there is one. */
  readonly lastOffset: number;
  /** Since the attach is over: what has become of the records up to the epoch that its last entry is about. */
  readonly late?: LateTally;
}

export interface LateTally {
  readonly epoch: number;
  /** Records up to that epoch that the spool had when the end was noted. */
  readonly records: number;
  readonly acknowledged: number;
  readonly evicted: number;
}

/** One transaction: all of it is on disk, or nothing. */
export interface SpoolChange {
  readonly put?: { readonly key: SpoolKey; readonly index: SpoolIndex; readonly value: Buffer };
  readonly remove?: readonly SpoolKey[];
  readonly tallies?: readonly SpoolTally[];
  readonly forget?: readonly SpoolTally[];
  readonly schema?: SpoolSchema;
}

/** What values are written with, so that a later version can tell consumers. */
export interface SpoolSchema {
  /** Hexadecimal digits. */
  readonly fingerprint: string;
  /** JSON. */
  readonly text: string;
}

/** A batch is not as it was written. */
export class Damaged extends Error {}

/** Of a tree in the file, as LMDB says it. */
interface PageCounts {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

type KeyParts = [ring: string, order: number, bootId: string, attachId: number, start: number, end: number];

const checksumBytes = 4;
const pageBytes = 4096;
/** Before the value, in the first of its pages. */
const pageHeaderBytes = 24;
/** In the index. */
const indexBytes = 512;
/** Pages of one transaction besides the value, at most: paths through the trees, free lists. LMDB copies what it changes. */
const overheadBytes = 128 * 1024;
/** Behind what is used, when a batch is put in: so that there is room to take batches out of a full disk's spool. */
const slackBytes = 8 * overheadBytes;

/**
 * Batches in an LMDB file, the only user of the library. What a change returns is flushed to the disk, and a change that
 * is not there as a whole after a crash is not there at all.
 */
export class SpoolStore {
  /** Random, kept in the file: it tells this spool from another one in its place. */
  readonly id: number;
  readonly #file: string;
  readonly #root: RootDatabase<Buffer, string>;
  readonly #batches: Database<Buffer, KeyParts>;
  readonly #index: Database<SpoolIndex, KeyParts>;
  readonly #tallies: Database<SpoolTally, string[]>;
  readonly #schemas: Database<string, string>;

  private constructor(file: string, root: RootDatabase<Buffer, string>, id: number) {
    this.#file = file;
    this.#root = root;
    this.id = id;
    this.#batches = root.openDB({ name: 'batches', encoding: 'binary' });
    this.#index = root.openDB({ name: 'index', encoding: 'json' });
    this.#tallies = root.openDB({ name: 'tallies', encoding: 'json' });
    this.#schemas = root.openDB({ name: 'schemas', encoding: 'string' });
  }

  /**
   * Opens the spool in the directory.
   * @param bytes that the batches may take
   * @returns undefined when there is none
   * @throws Damaged when what is there is not a whole spool; an error of the file system
   */
  static async open(directory: string, bytes: number): Promise<SpoolStore | undefined> {
    const file = fileIn(directory);
    if (!existsSync(file)) return undefined;
    const fault = await whyNotWhole(file);
    if (fault !== undefined) throw new Damaged(fault);
    try {
      const root = await openRoot(directory, bytes);
      const id = openMeta(root).get('id');
      if (id !== undefined) return new SpoolStore(file, root, id);
      await root.close();
    } catch (error) {
      throw new Damaged(reasonOf(error));
    }
    throw new Damaged('it is not a spool');
  }

  /** Makes one in the directory, which has none. A crash leaves none or a whole one. @throws NoSpace, an error of the file system */
  static async create(directory: string, bytes: number): Promise<SpoolStore> {
    const unfinished = `${directory}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true, mode: 0o700 });
    const file = fileIn(unfinished);
    // LMDB wants no file or one of its own, so the room that it needs is only looked for.
    await reserve(file, 2 * slackBytes);
    await rm(file);
    const root = await openRoot(unfinished, bytes);
    await openMeta(root).put('id', randomInt(1, 2 ** 48 - 1));
    await root.close();
    await chmod(file, 0o600);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await rename(file, fileIn(directory));
    for (const changed of [directory, dirname(directory)]) await syncDirectory(changed);
    await rm(unfinished, { recursive: true });
    return (await SpoolStore.open(directory, bytes)) as SpoolStore;
  }

  /** Batches in the order in which they came, by ring. */
  *entries(): Generator<{ readonly key: SpoolKey; readonly index: SpoolIndex }> {
    for (const { key, value } of this.#index.getRange()) yield { key: keyOf(key), index: value };
  }

  *tallies(): Generator<SpoolTally> {
    for (const { value } of this.#tallies.getRange()) yield value;
  }

  schema(fingerprint: string): string | undefined {
    return this.#schemas.get(fingerprint);
  }

  /** @throws Damaged when it is not what was written */
  read(key: SpoolKey): Buffer {
    const stored = this.#batches.get(partsOf(key));
    if (stored === undefined) throw new Damaged('a batch is not there');
    const value = stored.subarray(checksumBytes);
    if (stored.length < checksumBytes || stored.readUInt32LE(0) !== crc32(value))
      throw new Damaged('a batch is not as it was written');
    return value;
  }

  /** Writes what is stored of a batch to a file beside the spool, for who wants to look at it; returns its path. */
  async export(key: SpoolKey): Promise<string> {
    const path = join(dirname(this.#file), `damaged-${key.order}`);
    await writeFile(path, this.#batches.get(partsOf(key)) ?? Buffer.alloc(0), { mode: 0o600, flush: true });
    return path;
  }

  /** @throws NoSpace, an error of the file system; then nothing was changed */
  async apply({ put, remove = [], tallies = [], forget = [], schema }: SpoolChange): Promise<void> {
    // LMDB answers a full disk with a half-written file and a general error, so it never gets to see one.
    await reserve(this.#file, this.#bytesFor(put?.value));
    try {
      await this.#root.transaction(() => {
        for (const key of remove) {
          this.#batches.remove(partsOf(key));
          this.#index.remove(partsOf(key));
        }
        if (put !== undefined) {
          this.#batches.put(partsOf(put.key), withChecksum(put.value));
          this.#index.put(partsOf(put.key), put.index);
        }
        for (const tally of tallies) this.#tallies.put(tallyKey(tally), tally);
        for (const tally of forget) this.#tallies.remove(tallyKey(tally));
        if (schema !== undefined) this.#schemas.put(schema.fingerprint, schema.text);
      });
      await this.#root.flushed;
    } catch (error) {
      // lmdb tells the reason by a promise of its own, which nobody else would listen to.
      const reason = await (error as { commitError?: Promise<never> }).commitError?.catch((cause: unknown) => cause);
      throw reason ?? error;
    }
  }

  /** How long the file has to be for a change. */
  #bytesFor(value: Buffer | undefined): number {
    const stats = this.#root.getStats() as unknown as PageCounts & { lastPageNumber: number; free: PageCounts };
    const pages = stats.lastPageNumber + 1;
    if (value === undefined) return pages * pageBytes + overheadBytes;
    const databases = [this.#batches, this.#index, this.#tallies, this.#schemas];
    const inUse = [stats, stats.free, ...databases.map((database) => database.getStats() as unknown as PageCounts)];
    const free = inUse.reduce((left, { treeBranchPageCount, treeLeafPageCount, overflowPages }) => {
      return left - treeBranchPageCount - treeLeafPageCount - overflowPages;
    }, pages);
    // What batches have left behind is used again, except what the newest transactions still refer to.
    const growth = free * pageBytes > 2 * value.length ? 0 : value.length;
    return pages * pageBytes + growth + slackBytes;
  }

  close(): Promise<void> {
    return this.#root.close();
  }
}

let library: Promise<typeof import('lmdb')> | undefined;

/** When it is needed, and not before: most hosts never have a spool. */
export function loadLibrary(): Promise<typeof import('lmdb')> {
  library ??= import('lmdb');
  return library;
}

async function openRoot(directory: string, bytes: number): Promise<RootDatabase<Buffer, string>> {
  const { open: openLmdb } = await loadLibrary();
  return openLmdb<Buffer, string>({
    path: directory,
    noSubdir: false, // otherwise a dot in the name decides
    encoding: 'binary',
    // Twice what the batches may take: deletes need pages, too.
    mapSize: 2 * bytes + 16 * slackBytes,
    maxDbs: 8,
    pageSize: pageBytes,
    // A transaction is flushed before it is told to be committed.
    overlappingSync: false,
  });
}

function openMeta(root: RootDatabase<Buffer, string>): Database<number, string> {
  return root.openDB({ name: 'meta', encoding: 'json' });
}

/** Bytes that a batch takes: whole pages, with a header of their own and its part of the index. */
export function storedBytes(value: Buffer): number {
  return Math.ceil((value.length + checksumBytes + pageHeaderBytes) / pageBytes) * pageBytes + indexBytes;
}

function fileIn(directory: string): string {
  return join(directory, 'data.mdb');
}

/** Moves the spool out of the way, whatever it is; returns to where. */
export async function setAside(directory: string, now: Date): Promise<string> {
  const aside = `${directory}.aside-${now.toISOString().replaceAll(':', '')}`;
  await rename(directory, aside);
  return aside;
}

function withChecksum(value: Buffer): Buffer {
  const stored = Buffer.allocUnsafe(checksumBytes + value.length);
  stored.writeUInt32LE(crc32(value), 0);
  value.copy(stored, checksumBytes);
  return stored;
}

function partsOf({ ring, order, bootId, attachId, start, end }: SpoolKey): KeyParts {
  return [ring, order, bootId, attachId, start, end];
}

function keyOf([ring, order, bootId, attachId, start, end]: KeyParts): SpoolKey {
  return { ring, order, bootId, attachId, start, end };
}

function tallyKey({ ring, bootId, attachId }: SpoolTally): string[] {
  return [ring, bootId, String(attachId)];
}
