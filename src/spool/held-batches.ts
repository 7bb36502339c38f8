import type { Acknowledgement } from '../batch.ts';
import type { SpoolIndex, SpoolKey } from './spool-store.ts';
import { type RingIdentity, recordsThrough } from './tallies.ts';

/** A batch on disk. */
export interface SpoolEntry {
  readonly key: SpoolKey;
  readonly index: SpoolIndex;
  /** Its acknowledgement, when it was under way already as it was put on disk. */
  readonly sent: Promise<Acknowledgement> | undefined;
}

export interface Held extends SpoolEntry {
  /** Some of it was sent: the topic may have it, whatever became of that, so it is not dropped and counted as lost. */
  tried: boolean;
}

/** What is known in memory of the batches on disk, in the order in which they came. */
export class HeldBatches {
  readonly #batches: Held[] = [];
  #bytes = 0;
  #nextOrder = 0;

  get isEmpty(): boolean {
    return this.#batches.length === 0;
  }

  get oldest(): Held | undefined {
    return this.#batches[0];
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Of the next one that comes. */
  get nextOrder(): number {
    return this.#nextOrder;
  }

  get totals(): { readonly batches: number; readonly records: number; readonly bytes: number } {
    return { batches: this.#batches.length, records: recordsOf(this.#batches), bytes: this.#bytes };
  }

  add(held: Held): void {
    this.#batches.push(held);
    this.#bytes += held.index.bytes;
    this.#nextOrder = held.key.order + 1;
  }

  remove(held: Held): void {
    this.#batches.splice(this.#batches.indexOf(held), 1);
    this.#bytes -= held.index.bytes;
  }

  /** Takes all of them out. */
  clear(): readonly Held[] {
    this.#bytes = 0;
    return this.#batches.splice(0);
  }

  /** Of one attach, oldest first. */
  of({ bootId, attachId }: Pick<RingIdentity, 'bootId' | 'attachId'>): readonly Held[] {
    return this.#batches.filter(({ key }) => key.bootId === bootId && key.attachId === attachId);
  }

  /** Records of one attach that latched the epoch or an earlier one. */
  recordsThrough(epoch: number, attach: RingIdentity): number {
    return this.of(attach).reduce((total, { index }) => total + recordsThrough(epoch, index.epochs), 0);
  }

  /** The oldest ones that take so many bytes, without those that were tried; undefined when there are not so many. */
  oldestOf(bytes: number): readonly Held[] | undefined {
    const oldest: Held[] = [];
    let left = bytes;
    for (const held of this.#batches) {
      if (left <= 0) break;
      if (held.tried) continue;
      oldest.push(held);
      left -= held.index.bytes;
    }
    return left <= 0 ? oldest : undefined;
  }
}

export function recordsOf(batches: readonly SpoolEntry[]): number {
  return batches.reduce((total, { index }) => total + index.records, 0);
}
