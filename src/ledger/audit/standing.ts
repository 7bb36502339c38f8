import type { TopicFacts } from './audit-facts.ts';
import type { HistoryEntry, Place } from './ledger-history.ts';
import type { StreamEntries } from './stream-entries.ts';
import type { TopicRecords } from './stream-kind.ts';

/** Whether the records of a window must still be where the broker acknowledged them. */
export type Standing =
  | { readonly kind: 'there' | 'elsewhere' }
  | { readonly kind: 'gone' | 'deleted'; readonly reason: string };

/** The topic that is audited, and what of a stream it has. */
export interface Home {
  readonly clusterId: string;
  readonly facts: TopicFacts;
  readonly records: TopicRecords;
}

/** @param index of the closed entry at the end of the window */
export function standingOf(index: number, entries: StreamEntries, home: Home): Standing {
  const position = entries.positions[index] as number;
  const after = entries.epochOf(index - 1);
  const { lowest, highest } = offsetsOf(position, after, entries.all);

  const atHome = [...lowest.keys()].every((place) => isHome(place, home));
  if (lowest.size === 0 || !atHome) {
    // Where the newest of its entries went that did not go to a copy.
    const lastAtHome = entries.all.findLastIndex(({ place }) => place !== null && isHome(place, home));
    if (lowest.size > 0 && lastAtHome >= position) {
      return {
        kind: 'deleted',
        reason: 'published to another topic or cluster, before the sidecar was moved to this one',
      };
    }
    // A copy, or a topic of another name: its offsets are others.
    const whole = home.facts.partitions.every(({ logStart }) => logStart === 0);
    if (whole || (index > 0 && home.records.distinct(Number.NEGATIVE_INFINITY, after) > 0))
      return { kind: 'elsewhere' };
    return {
      kind: 'deleted',
      reason: 'the topic is not the one that the ledger names, and its oldest records have been deleted',
    };
  }
  return atOffsets(lowest, highest, home.facts);
}

/** Offsets between which the records of a window were acknowledged, by place. */
function offsetsOf(position: number, after: number, entries: readonly HistoryEntry[]) {
  const lowest = new Map<Place, number>();
  const highest = new Map<Place, number>();
  for (let at = position; at >= 0; at -= 1) {
    const { epoch, place, firstOffset, lastOffset } = entries[at] as HistoryEntry;
    // When the entry of epoch `after` was written, records of the next epoch can have been acknowledged already. The
    // one before it was written when epoch `after` had not ended: the window's records stand behind its last offset.
    const outside = epoch < after;
    // Where it went does not matter any more: the process that wrote the entry of epoch `after` had its own place.
    if (place !== null && lastOffset >= 0 && (!outside || lowest.has(place))) {
      const low = outside ? lastOffset + 1 : firstOffset;
      lowest.set(place, outside ? low : Math.min(lowest.get(place) ?? low, low));
      if (!outside) highest.set(place, Math.max(highest.get(place) ?? -1, lastOffset));
    }
    if (outside) break;
  }
  return { lowest, highest };
}

function atOffsets(
  lowest: ReadonlyMap<Place, number>,
  highest: ReadonlyMap<Place, number>,
  { topic, partitions }: TopicFacts,
): Standing {
  if (partitions.length === 0) return { kind: 'gone', reason: `there is no topic ${topic}` };
  for (const [place, last] of highest) {
    const there = partitions.find(({ partition }) => partition === place.partition);
    if (there === undefined) return { kind: 'gone', reason: `partition ${place.partition} is not there any more` };
    if (there.end <= last)
      return {
        kind: 'gone',
        reason: `offset ${last} of partition ${place.partition} was acknowledged, and the partition ends before ${there.end}: the topic was made anew, or an unclean leader election cut it`,
      };
  }
  for (const [place, first] of lowest) {
    const start = partitions.find(({ partition }) => partition === place.partition)?.logStart ?? 0;
    if (first < start)
      return {
        kind: 'deleted',
        reason: `partition ${place.partition} begins at offset ${start}: the records before it have been deleted (retention)`,
      };
  }
  return { kind: 'there' };
}

function isHome({ clusterId, topic }: Place, home: Home): boolean {
  return clusterId === home.clusterId && topic === home.facts.topic;
}
