import { inject } from 'vitest';
import { ReachableKafka } from './kafka.ts';

/**
 * The broker of all files of the project that do nothing to it (start-shared-kafka.ts), as starting one takes seconds of a
 * processor. Other files use it at the same time: the topics of each begin with words that no other has.
 */
class SharedKafka extends ReachableKafka {
  override get port(): number {
    return inject('sharedKafkaPort');
  }
}

export const sharedKafka: ReachableKafka = new SharedKafka();
