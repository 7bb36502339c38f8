import type { Acknowledgement, EpochCount } from '../batch.ts';
import type { SpoolIndex, SpoolKey, SpoolTally } from './spool-store.ts';

/** A ring of one attach. */
export type RingIdentity = Pick<SpoolTally, 'ring' | 'bootId' | 'attachId'>;

/** How a batch leaves. Missing: it could not be read any more. */
export interface Fate {
  readonly kind: 'acknowledged' | 'evicted' | 'missing';
  /** Of one that was acknowledged. */
  readonly acknowledgement: Acknowledgement | undefined;
}

interface Counted {
  readonly key: SpoolKey;
  readonly index: SpoolIndex;
}

/** What the spool did with the records of each attach; those of earlier ones until their account is closed. */
export class Tallies {
  readonly #byAttach = new Map<string, SpoolTally>();

  has(identity: RingIdentity): boolean {
    return this.#byAttach.has(attachKey(identity));
  }

  of({ ring, bootId, attachId }: RingIdentity): SpoolTally {
    const known = this.#byAttach.get(attachKey({ ring, bootId, attachId }));
    return known ?? { ring, bootId, attachId, entered: 0, acknowledged: 0, evicted: 0, lastOffset: -1 };
  }

  set(tally: SpoolTally): void {
    this.#byAttach.set(attachKey(tally), tally);
  }

  delete(identity: RingIdentity): void {
    this.#byAttach.delete(attachKey(identity));
  }

  /** The tallies that change when batches leave and one comes, as they are then. */
  after(leaving: readonly Counted[], fate: Fate, put: Counted | undefined): readonly SpoolTally[] {
    const changed = new Map<string, SpoolTally>();
    const update = (identity: RingIdentity, updated: (tally: SpoolTally) => SpoolTally) => {
      const key = attachKey(identity);
      changed.set(key, updated(changed.get(key) ?? this.of(identity)));
    };
    for (const { key, index } of leaving) update(key, (tally) => tallyAfter(tally, index, fate));
    if (put !== undefined) update(put.key, (tally) => ({ ...tally, entered: tally.entered + put.index.records }));
    return [...changed.values()];
  }
}

/** The counts, with a batch that leaves. */
function tallyAfter(tally: SpoolTally, { records, epochs }: SpoolIndex, { kind, acknowledgement }: Fate): SpoolTally {
  // What is missing is what nobody counts.
  if (kind === 'missing') return tally;
  const { late } = tally;
  return {
    ...tally,
    [kind]: tally[kind] + records,
    lastOffset: acknowledgement?.lastOffset ?? tally.lastOffset,
    ...(late && { late: { ...late, [kind]: late[kind] + recordsThrough(late.epoch, epochs) } }),
  };
}

/** How many records latched the epoch or an earlier one. */
export function recordsThrough(epoch: number, epochs: readonly EpochCount[]): number {
  return epochs.reduce((total, [latched, records]) => total + (latched <= epoch ? records : 0), 0);
}

function attachKey({ ring, bootId, attachId }: RingIdentity): string {
  return `${ring} ${bootId} ${attachId}`;
}
