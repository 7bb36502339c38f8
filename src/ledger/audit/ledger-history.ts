import type { LedgerEntry, LedgerState } from '../../schemas/ledger-entry.ts';

type Counts = Readonly<Record<string, number>>;

/** Where records went; one object for each place of a history, so that places can be compared by identity. */
export interface Place {
  readonly clusterId: string;
  readonly topic: string;
  readonly partition: number;
}

/** What the audit needs of a ledger entry, without the words that are the same in all of them. */
export interface HistoryEntry {
  readonly epoch: number;
  readonly state: LedgerState;
  readonly intervalStart: number;
  readonly intervalEnd: number;
  readonly lowWatermark: number;
  readonly closed: boolean;
  readonly seen: number;
  readonly published: number;
  readonly pending: number;
  readonly filtered: Counts;
  readonly lost: Counts;
  readonly unexplained: number;
  readonly unobservedMicros: number;
  readonly place: Place | null;
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** The ledger entries of one stream of one attach, in whatever order and however often they were read. */
export class LedgerHistory {
  readonly hostId: string;
  readonly bootId: string;
  readonly attachId: number;
  readonly streamName: string;
  hostName: string | null = null;
  readonly #entries: HistoryEntry[] = [];
  readonly #places: Place[] = [];
  #last: HistoryEntry | undefined;

  constructor({ host_id, boot_id, attach_id, stream_name }: LedgerEntry) {
    this.hostId = host_id;
    this.bootId = boot_id;
    this.attachId = attach_id;
    this.streamName = stream_name;
  }

  add(entry: LedgerEntry): void {
    this.hostName = entry.host_name ?? this.hostName;
    const added: HistoryEntry = {
      epoch: entry.epoch,
      state: entry.state,
      intervalStart: entry.interval_start,
      intervalEnd: entry.interval_end,
      lowWatermark: entry.low_watermark,
      closed: entry.closed,
      seen: entry.seen,
      published: entry.published,
      pending: entry.pending,
      // They seldom change from one entry to the next: kept once.
      filtered: sameOr(this.#last?.filtered, entry.filtered),
      lost: sameOr(this.#last?.lost, entry.lost),
      unexplained: entry.unexplained,
      unobservedMicros: entry.unobserved_micros,
      place: this.#placeOf(entry),
      firstOffset: entry.destination?.first_offset ?? -1,
      lastOffset: entry.destination?.last_offset ?? -1,
    };
    this.#entries.push(added);
    this.#last = added;
  }

  /**
   * By epoch, and those of one epoch as they must have come about: open ones first, `closing` last, of these too the open
   * ones first. Repeats are gone.
   * A stream that had nothing pending can be told of twice, when another one of the same cut had.
   */
  ordered(): readonly HistoryEntry[] {
    const rank = ({ closed, state }: HistoryEntry) =>
      state === 'closing' ? (closed ? 4 : 3) : !closed ? 0 : state === 'stopped' ? 2 : 1;
    this.#entries.sort(
      (a, b) => a.epoch - b.epoch || rank(a) - rank(b) || a.published - b.published || a.lastOffset - b.lastOffset,
    );
    return this.#entries.filter(
      (entry, index) => index === 0 || !same(entry, this.#entries[index - 1] as HistoryEntry),
    );
  }

  #placeOf({ destination }: LedgerEntry): Place | null {
    if (destination === null) return null;
    const { cluster_id: clusterId, topic, partition } = destination;
    const known = this.#places.find(
      (place) => place.clusterId === clusterId && place.topic === topic && place.partition === partition,
    );
    if (known !== undefined) return known;
    const place = { clusterId, topic, partition };
    this.#places.push(place);
    return place;
  }
}

function sameOr(kept: Counts | undefined, counts: Counts): Counts {
  return kept !== undefined && sameCounts(kept, counts) ? kept : { ...counts };
}

export function sameCounts(a: Counts, b: Counts): boolean {
  if (a === b) return true;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && a[name] === b[name]);
}

function same(a: HistoryEntry, b: HistoryEntry): boolean {
  const { filtered, lost, ...plain } = a;
  return (
    sameCounts(filtered, b.filtered) &&
    sameCounts(lost, b.lost) &&
    (Object.keys(plain) as (keyof typeof plain)[]).every((name) => a[name] === b[name])
  );
}
