import type { Clock } from '../clock.ts';
import { Bpf2KafkaError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { KafkaAdmin, TopicDescription } from './kafka-client.ts';

/** How a topic is made when `--create-topics` asks for it. */
interface TopicPlan {
  readonly partitions: number;
  /** Undefined for a compacted topic, which keeps the newest record of each key. */
  readonly retentionDays?: number;
}

/**
 * Every topic, without prefix. One host writes to one partition, so partitions spread hosts over brokers and consumers.
 * The ledger and the dead letter outlive the records that they are about.
 */
export const topicPlans = {
  'exec-events': { partitions: 6, retentionDays: 7 },
  'exit-events': { partitions: 6, retentionDays: 7 },
  'packet-counts': { partitions: 6, retentionDays: 3 },
  'bpf2kafka-ledger': { partitions: 3, retentionDays: 30 },
  'bpf2kafka-dead-letter': { partitions: 3, retentionDays: 30 },
  'bpf2kafka-hosts': { partitions: 3 },
} as const satisfies Record<string, TopicPlan>;

export type TopicName = keyof typeof topicPlans;

/** What delivery must know of a topic. Read once at start: the partition of a host must not change while it runs. */
export interface TopicFacts {
  /** With the prefix. */
  readonly topic: string;
  readonly partitions: number;
  /** Milliseconds; Infinity when unlimited or not known. */
  readonly retentionMillis: number;
  /** What one batch may hold before compression, bytes. */
  readonly maxBatchBytes: number;
  /** Copies of the partition that has the fewest. */
  readonly replicas: number;
  /** Copies that an acknowledgement vouches for; 0 when the setting may not be read. */
  readonly minInsyncReplicas: number;
}

export interface PrepareTopicsOptions {
  /** Without prefix. */
  readonly topics: readonly TopicName[];
  /** Literal: no separator is added. */
  readonly prefix: string;
  /** Create what is missing. */
  readonly createTopics: boolean;
  /** The embedded broker has one node: fewer than three copies is meant, and not warned about. */
  readonly singleNode?: boolean;
  readonly log: Log;
  readonly clock: Clock;
}

const dayMillis = 24 * 60 * 60 * 1_000;
/** With fewer, one broker that is lost can take acknowledged records with it. */
export const wantedReplicas = 3;
const leaderDeadlineMillis = 10_000;
const leaderPauseMillis = 100;

/** The most that one send carries: values, keys and headers, bytes before compression. */
export const batchBytes = 512 * 1024;
/** Framing of 500 records and of the batch that a broker counts in `max.message.bytes`, when nothing compresses. */
const framingBytes = 32 * 1024;
/** The `max.message.bytes` with which no batch has to be made smaller. */
export const fullBatchBytes = batchBytes + framingBytes;

/**
 * Checks each topic and answers with its facts, by name without prefix.
 *
 * @throws Bpf2KafkaError ERR_TOPIC: missing and not to be created, or compacted although it holds events (the key is
 * the host, so one record of each would survive); ERR_BROKER
 */
export async function prepareTopics(
  admin: KafkaAdmin,
  { topics, prefix, createTopics, singleNode = false, log, clock }: PrepareTopicsOptions,
): Promise<ReadonlyMap<TopicName, TopicFacts>> {
  const facts = new Map<TopicName, TopicFacts>();
  const fewReplicas: string[] = [];
  const unreadable: string[] = [];
  for (const name of topics) {
    const topic = `${prefix}${name}`;
    const found = await admin.describeTopic(topic);
    if (found === undefined && !createTopics) throw missing(topic);
    if (found === undefined) await create(admin, name, topic, log);
    const description = found?.ready ? found : await untilReady(admin, topic, clock);
    if (description.replicas < wantedReplicas) fewReplicas.push(`${topic} (${description.replicas})`);
    const settings = await admin.topicSettings(topic);
    if (settings === undefined) unreadable.push(topic);
    const events = isEventTopic(name);
    facts.set(name, factsOf(topic, description, { events, settings: settings ?? new Map() }, log));
  }
  if (fewReplicas.length > 0 && !singleNode) {
    log.warn(
      { topics: fewReplicas },
      'topics with fewer than 3 replicas: a broker that is lost can take acknowledged records with it',
    );
  }
  if (unreadable.length > 0) {
    log.warn(
      { topics: unreadable },
      'topic settings may not be read (DESCRIBE_CONFIGS): cleanup policy, retention and message size are not checked',
    );
  }
  return facts;
}

/**
 * Checks a topic of a user's that events are written to, with the host for their key as in ours.
 * @throws Bpf2KafkaError ERR_TOPIC: missing, or compacted; ERR_BROKER
 */
export async function prepareTarget(
  admin: KafkaAdmin,
  { topic, log, clock }: { readonly topic: string; readonly log: Log; readonly clock: Clock },
): Promise<TopicFacts> {
  const found = await admin.describeTopic(topic);
  if (found === undefined) throw missing(topic, 'create it');
  const description = found.ready ? found : await untilReady(admin, topic, clock);
  return factsOf(topic, description, { events: true, settings: (await admin.topicSettings(topic)) ?? new Map() }, log);
}

function factsOf(
  topic: string,
  { partitions, replicas }: TopicDescription,
  { events, settings }: { readonly events: boolean; readonly settings: ReadonlyMap<string, string> },
  log: Log,
): TopicFacts {
  if (events && settings.get('cleanup.policy')?.includes('compact')) {
    throw new Bpf2KafkaError('ERR_TOPIC', {
      operation: 'publish to the topic',
      subject: topic,
      reason:
        'its cleanup.policy is compact: the key is the host, so only the newest record of each host would survive',
      remedy: 'set cleanup.policy=delete',
    });
  }
  if (settings.get('message.timestamp.type') === 'LogAppendTime') {
    log.warn({ topic }, 'message.timestamp.type is LogAppendTime: record timestamps are the arrival, not the event');
  }
  return {
    topic,
    partitions,
    retentionMillis: retentionOf(settings),
    maxBatchBytes: maxBatchBytesOf(topic, settings, log),
    replicas,
    minInsyncReplicas: Number(settings.get('min.insync.replicas') ?? 0),
  };
}

/** Its records are events; otherwise it keeps the newest record of each key. */
export function isEventTopic(name: TopicName): boolean {
  return 'retentionDays' in topicPlans[name];
}

function retentionOf(settings: ReadonlyMap<string, string>): number {
  const millis = Number(settings.get('retention.ms') ?? -1);
  const deletes = settings.get('cleanup.policy')?.includes('delete') ?? true;
  return deletes && millis >= 0 ? millis : Number.POSITIVE_INFINITY;
}

function maxBatchBytesOf(topic: string, settings: ReadonlyMap<string, string>, log: Log): number {
  const setting = settings.get('max.message.bytes');
  const maxMessageBytes = setting === undefined ? Number.POSITIVE_INFINITY : Number(setting);
  if (maxMessageBytes >= fullBatchBytes) return batchBytes;
  // The framing shrinks with the batch, but not below that of a few records.
  const maxBatchBytes = Math.max(1, maxMessageBytes - Math.min(framingBytes, Math.ceil(maxMessageBytes / 8)));
  log.warn(
    { topic, maxMessageBytes, wanted: fullBatchBytes, maxBatchBytes },
    'max.message.bytes is smaller than a full batch: batches are made smaller, and a larger record is refused',
  );
  return maxBatchBytes;
}

async function create(admin: KafkaAdmin, name: TopicName, topic: string, log: Log): Promise<void> {
  const plan: TopicPlan = topicPlans[name];
  const replicas = Math.min(wantedReplicas, await admin.brokerCount());
  const settings: Record<string, string> =
    plan.retentionDays === undefined
      ? { 'cleanup.policy': 'compact' }
      : { 'cleanup.policy': 'delete', 'retention.ms': String(plan.retentionDays * dayMillis) };
  if (replicas === wantedReplicas) settings['min.insync.replicas'] = '2';
  const created = await admin.createTopic({ topic, partitions: plan.partitions, replicas, settings });
  if (created) log.info({ topic, partitions: plan.partitions, replicas, ...settings }, 'topic created');
}

/** A new topic, or one in an election, has no leader for a moment; and not every broker knows a new one at once. */
async function untilReady(admin: KafkaAdmin, topic: string, clock: Clock): Promise<TopicDescription> {
  const deadline = clock.elapsedMillis() + leaderDeadlineMillis;
  for (;;) {
    const description = await admin.describeTopic(topic);
    if (description?.ready) return description;
    if (clock.elapsedMillis() >= deadline) {
      throw new Bpf2KafkaError('ERR_TOPIC', {
        operation: 'publish to the topic',
        subject: topic,
        reason: `a partition has had no leader for ${leaderDeadlineMillis / 1_000} s`,
        remedy: 'check that the brokers which hold it are up',
      });
    }
    await clock.sleep(leaderPauseMillis);
  }
}

function missing(topic: string, remedy = 'create it, or start with --create-topics'): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_TOPIC', {
    operation: 'publish to the topic',
    subject: topic,
    reason: 'it does not exist',
    remedy,
  });
}
