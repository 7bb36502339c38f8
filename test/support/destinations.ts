import type { TopicFacts } from '../../src/kafka/topics.ts';
import { partitionFor } from '../../src/producers/partitioner.ts';

/** Destinations of a host that has never written before. */
export function destinationsOf<Facts extends Pick<TopicFacts, 'partitions'>>(
  topics: ReadonlyMap<string, Facts>,
  hostId: string,
): Map<string, Facts & { partition: number }> {
  return new Map(
    [...topics].map(([name, facts]) => [name, { ...facts, partition: partitionFor(hostId, facts.partitions) }]),
  );
}
