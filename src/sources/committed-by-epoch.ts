/** What can become of a committed record. */
export interface CommitKinds {
  acknowledged: number;
  undecodable: number;
  /** Dropped by the spool. */
  evicted: number;
  /** Gone with the spool. */
  missing: number;
}

interface Counts extends CommitKinds {
  readonly epoch: number;
}

/** The newest epochs whose counts are kept apart: the present one, and the one that is ending on another thread. */
const keptApart = 2;

/**
 * What was committed, by the epoch that the records latched. An account is taken through the newest epoch that has
 * ended, and again and again until nothing of that is pending; meanwhile any number of later epochs can end, and none
 * of those is asked for before it is the newest. So all of them but the last ones are counted as one.
 */
export class CommittedByEpoch {
  /** Oldest first. The first one, when there are more than are kept apart, also stands for those before it. */
  readonly #counts: Counts[] = [];
  /** The newest epoch that was asked for: what belongs to it, or before it, is not counted any more. */
  #asked = -1;

  /** Of the newest record; -1 before there is one. */
  get newest(): number {
    return this.#counts.at(-1)?.epoch ?? this.#asked;
  }

  /** Where to count a record that latched the epoch. */
  of(epoch: number): CommitKinds {
    if (epoch <= this.#asked) return { acknowledged: 0, undecodable: 0, evicted: 0, missing: 0 };
    const counts = this.#counts;
    let at = counts.length;
    while (at > 0 && (counts[at - 1] as Counts).epoch > epoch) at -= 1;
    const known = counts[at - 1];
    if (known?.epoch === epoch) return known;
    if (at === 0 && counts.length > keptApart) return counts[0] as Counts;
    const added = { epoch, acknowledged: 0, undecodable: 0, evicted: 0, missing: 0 };
    counts.splice(at, 0, added);
    if (counts.length > keptApart + 1) {
      const oldest = counts.shift() as Counts;
      const next = counts[0] as Counts;
      next.acknowledged += oldest.acknowledged;
      next.undecodable += oldest.undecodable;
      next.evicted += oldest.evicted;
      next.missing += oldest.missing;
    }
    return added;
  }

  /** @param epoch the newest one that has ended, or the one of the call before */
  after(epoch: number): CommitKinds {
    this.#asked = epoch;
    while (this.#counts[0] !== undefined && this.#counts[0].epoch <= epoch) this.#counts.shift();
    const total = { acknowledged: 0, undecodable: 0, evicted: 0, missing: 0 };
    for (const { acknowledged, undecodable, evicted, missing } of this.#counts) {
      total.acknowledged += acknowledged;
      total.undecodable += undecodable;
      total.evicted += evicted;
      total.missing += missing;
    }
    return total;
  }
}
