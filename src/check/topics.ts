import type { TopicDescription } from '../kafka/kafka-client.ts';
import { fullBatchBytes, isEventTopic, type TopicName, wantedReplicas } from '../kafka/topics.ts';
import { degraded, type Finding, fail, pass } from './finding.ts';

/** What the broker says of a topic. */
export interface TopicFindings {
  /** Without prefix. */
  readonly name: TopicName;
  /** With it. */
  readonly topic: string;
  /** Undefined when it does not exist. */
  readonly description: TopicDescription | undefined;
  /** Undefined when they may not be read. */
  readonly settings: ReadonlyMap<string, string> | undefined;
}

/** One finding: the worst of what holds, with all that is wrong at that level. */
export function topicFinding({ name, topic, description, settings }: TopicFindings, createTopics: boolean): Finding {
  const subject = `topic ${topic}`;
  if (description === undefined) {
    if (createTopics) return pass(subject, 'it does not exist; run creates it');
    return fail(subject, 'it does not exist', 'create it, or give --create-topics');
  }
  if (!description.ready)
    return fail(subject, 'a partition has no leader', 'check that the brokers which hold it are up');
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;
  const shape = `${count(description.partitions, 'partition')}, ${count(description.replicas, 'replica')}`;
  const compacts = settings?.get('cleanup.policy')?.includes('compact') ?? false;
  if (isEventTopic(name) && compacts)
    return fail(
      subject,
      'its cleanup.policy is compact: the key is the host, so only the newest record of each host would survive',
      'set cleanup.policy=delete',
    );
  const weak = [...weaknesses({ name, description, settings, compacts })];
  const found = [shape, ...settingsText(settings), ...weak.map(({ found: what }) => what)].join(', ');
  if (weak.length === 0) return pass(subject, found);
  return degraded(subject, found, weak.map(({ remedy }) => remedy).join('; '));
}

interface Weakness {
  readonly found: string;
  readonly remedy: string;
}

function* weaknesses({
  name,
  description,
  settings,
  compacts,
}: Pick<TopicFindings, 'name' | 'settings'> & {
  readonly description: TopicDescription;
  readonly compacts: boolean;
}): Generator<Weakness> {
  if (description.replicas < wantedReplicas)
    yield {
      found: 'a broker that is lost can take acknowledged records with it',
      remedy: `give it ${wantedReplicas} replicas`,
    };
  if (settings === undefined) {
    yield { found: 'its settings may not be read', remedy: 'grant DescribeConfigs on it' };
    return;
  }
  // Brokers from 3.7 on take the smaller of the two (KAFKA-15583).
  if (Number(settings.get('min.insync.replicas')) > description.replicas)
    yield {
      found: 'min.insync.replicas is more than that: brokers before Kafka 3.7 refuse every write',
      remedy: 'lower min.insync.replicas',
    };
  if (description.replicas >= wantedReplicas && Number(settings.get('min.insync.replicas')) < 2)
    yield { found: 'one copy suffices for an acknowledgement', remedy: 'set min.insync.replicas=2' };
  if (Number(settings.get('max.message.bytes')) < fullBatchBytes)
    yield {
      found: 'batches are made smaller, and a larger record is refused',
      remedy: `set max.message.bytes=${fullBatchBytes}`,
    };
  if (settings.get('message.timestamp.type') === 'LogAppendTime')
    yield {
      found: 'record timestamps are the arrival, not the event',
      remedy: 'set message.timestamp.type=CreateTime',
    };
  if (!isEventTopic(name) && !compacts)
    yield { found: 'a host that has been quiet for its retention is forgotten', remedy: 'set cleanup.policy=compact' };
}

function settingsText(settings: ReadonlyMap<string, string> | undefined): string[] {
  return ['cleanup.policy', 'min.insync.replicas', 'max.message.bytes'].flatMap((name) => {
    const value = settings?.get(name);
    return value === undefined ? [] : [`${name}=${value}`];
  });
}
