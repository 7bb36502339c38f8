import { join } from 'node:path';
import type { TopicFacts, TopicName } from '../kafka/topics.ts';
import type { Log } from '../log.ts';
import { readState, writeState } from '../state-file.ts';
import { partitionFor } from './partitioner.ts';

/** Where the records of a topic go: one partition a host, for as long as the topic lives. */
export interface Destination extends TopicFacts {
  readonly clusterId: string;
  readonly partition: number;
  /** The host wrote to another cluster, topic or partition before: offsets of then mean nothing here. */
  readonly moved: boolean;
}

/** Where records were acknowledged. */
export interface Place {
  readonly clusterId: string;
  /** With the prefix. */
  readonly topic: string;
  readonly partition: number;
}

interface Kept {
  readonly clusterId: string;
  readonly partition: number;
  /** The host came from elsewhere. */
  readonly moved?: true;
}

/**
 * Chooses the partition of each topic by the host id, as the Java client does, and keeps the choice in the state
 * directory: a topic that gains partitions must not move a host, because the order of its records would be lost. Call
 * it with nothing in flight.
 *
 * @param options.acknowledged where the capture that goes on had its newest acknowledgement, by topic
 */
export async function assignDestinations<Name extends TopicName>(options: {
  readonly topics: ReadonlyMap<Name, TopicFacts>;
  readonly hostId: string;
  readonly clusterId: string;
  readonly stateDir: string;
  readonly acknowledged: ReadonlyMap<TopicName, Place>;
  readonly log: Log;
}): Promise<ReadonlyMap<Name, Destination>> {
  const { topics, hostId, clusterId, stateDir, acknowledged, log } = options;
  const path = join(stateDir, 'destinations.json');
  const kept = ((await readState(path)) ?? {}) as Record<string, Kept | undefined>;
  const destinations = new Map<Name, Destination>();
  for (const [name, facts] of topics) {
    const before = kept[facts.topic];
    const chosen = partitionFor(hostId, facts.partitions);
    const stays = before !== undefined && before.clusterId === clusterId && before.partition < facts.partitions;
    const partition = stays ? before.partition : chosen;
    if (stays && partition !== chosen) {
      log.info(
        { topic: facts.topic, partition, partitions: facts.partitions },
        'keeps its partition although the topic has gained some',
      );
    }
    const place = { clusterId, topic: facts.topic, partition };
    const last = acknowledged.get(name);
    // Killed before it had an acknowledgement here, it has still to be told apart from one that always was.
    const moved = last === undefined ? before !== undefined && (!stays || before.moved === true) : !isSame(last, place);
    destinations.set(name, { ...facts, ...place, moved });
    kept[facts.topic] = moved ? { clusterId, partition, moved } : { clusterId, partition };
  }
  await writeState(path, kept);
  return destinations;
}

function isSame(a: Place, b: Place): boolean {
  return a.clusterId === b.clusterId && a.topic === b.topic && a.partition === b.partition;
}
