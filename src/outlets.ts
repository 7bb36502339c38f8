import type { Clock } from './clock.ts';
import type { RunConfig } from './config/types.ts';
import { createKafkaClient } from './kafka/client.ts';
import { loadCodec } from './kafka/compression.ts';
import { prepareTopics } from './kafka/topics.ts';
import type { Log } from './log.ts';
import { createDeadLetters, type EventTopic } from './producers/dead-letters.ts';
import { Delivery } from './producers/delivery.ts';
import { assignDestinations, type Destination, type Place } from './producers/destinations.ts';
import { subjectOf, type TopicName, topicSchema } from './schemas/catalog.ts';
import { type AvroCodec, createCodec, type Framing, frameOf } from './schemas/codec.ts';
import type { ExecEvent } from './schemas/exec-event.ts';
import type { ExitEvent } from './schemas/exit-event.ts';
import type { AvroSchema } from './schemas/fingerprint.ts';
import type { HostInfo } from './schemas/host-info.ts';
import type { LedgerEntry } from './schemas/ledger-entry.ts';
import type { PacketCount } from './schemas/packet-count.ts';

/** Out of the sidecar: for each stream what encodes and what delivers. */
export interface Outlets {
  /** Undefined when execs are not captured. */
  readonly exec: EventOutlet<ExecEvent> | undefined;
  /** Undefined when exits are not captured. */
  readonly exit: EventOutlet<ExitEvent> | undefined;
  /** Undefined when packets are not counted. */
  readonly packets: EventOutlet<PacketCount> | undefined;
  /** With a producer of its own, so that a heartbeat never waits behind a backlog of events; dead letters and hosts share it. */
  readonly ledger: LedgerOutlet;
}

export interface Outlet<Event> {
  readonly codec: AvroCodec<Event>;
  readonly delivery: Delivery;
  readonly destination: Destination;
}

export interface EventOutlet<Event> extends Outlet<Event> {
  /** What stands before values of another schema of the topic. @throws Bpf2KafkaError ERR_REGISTRY */
  frameOf(schema: AvroSchema): Promise<Buffer>;
}

export interface LedgerOutlet extends Outlet<LedgerEntry> {
  /** Of the records about this host, which take the same way. */
  readonly hosts: AvroCodec<HostInfo>;
}

export interface OutletsOptions {
  readonly config: RunConfig;
  readonly log: Log;
  readonly clock: Clock;
  /** The broker is the embedded one: a single node is meant. */
  readonly singleNode?: boolean;
}

/** Where the capture that goes on had its newest acknowledgement, by topic. */
export type AcknowledgedPlaces = ReadonlyMap<TopicName, Place>;

/**
 * Reaches the broker, checks or creates the topics, and finds the schemas in the registry.
 * @throws Bpf2KafkaError ERR_BROKER, ERR_TOPIC, ERR_REGISTRY
 */
export async function openOutlets(
  { config, log, clock, singleNode = false }: OutletsOptions,
  acknowledged: AcknowledgedPlaces,
): Promise<Outlets> {
  const { brokers, security, clientId } = config;
  await loadCodec(config.compression);
  const client = createKafkaClient({ brokers, security, clientId, log, clock });
  await using admin = await client.connectAdmin();
  const topics = await prepareTopics(admin, {
    topics: topicsOf(config),
    prefix: config.topicPrefix,
    createTopics: config.createTopics,
    singleNode,
    log,
    clock,
  });
  const clusterId = await admin.clusterId();
  const { hostId, stateDir, compression, maxBytesPerSecond = Number.POSITIVE_INFINITY } = config;
  const destinations = await assignDestinations({ topics, hostId, clusterId, stateDir, acknowledged, log });

  const codecOf = async <Topic extends TopicName>(topic: Topic) =>
    createCodec({ topic, framing: await framingOf(topic, config, log) });
  const settings = { compression, maxBytesPerSecond };
  const destinationOf = (topic: TopicName) => destinations.get(topic) as Destination;
  const common = { client, destinations, clock, log, settings };

  const ledger = {
    codec: await codecOf('bpf2kafka-ledger'),
    delivery: new Delivery(common),
    destination: destinationOf('bpf2kafka-ledger'),
    hosts: await codecOf('bpf2kafka-hosts'),
  };
  const letters = { codec: await codecOf('bpf2kafka-dead-letter'), delivery: ledger.delivery };
  async function open<Topic extends EventTopic>(topic: Topic) {
    const codec = await codecOf(topic);
    const deadLetters = createDeadLetters({ topic, codec, letters, clock });
    const delivery = new Delivery({ ...common, deadLetters });
    const framing = async (schema: AvroSchema) => frameOf(await framingOf(topic, config, log, schema), schema);
    return { codec, delivery, destination: destinationOf(topic), frameOf: framing };
  }
  return {
    exec: config.execRingBytes === undefined ? undefined : await open('exec-events'),
    exit: config.exitRingBytes === undefined ? undefined : await open('exit-events'),
    packets: config.packets && (await open('packet-counts')),
    ledger,
  };
}

/** The topics that a run with these settings writes to. */
export function topicsOf({ execRingBytes, exitRingBytes, packets }: RunConfig): readonly TopicName[] {
  const topics: TopicName[] = [];
  if (execRingBytes !== undefined) topics.push('exec-events');
  if (exitRingBytes !== undefined) topics.push('exit-events');
  if (packets !== undefined) topics.push('packet-counts');
  return [...topics, 'bpf2kafka-ledger', 'bpf2kafka-dead-letter', 'bpf2kafka-hosts'];
}

async function framingOf(
  topic: TopicName,
  config: RunConfig,
  log: Log,
  schema: AvroSchema = topicSchema(topic).schema,
): Promise<Framing> {
  if (config.registry === undefined) return { kind: 'single-object' };
  // Loaded when it is needed: its client is a fifth of the start.
  const { resolveSchemaId } = await import('./schemas/registry.ts');
  const schemaId = await resolveSchemaId({
    url: config.registry,
    security: config.registrySecurity,
    subject: subjectOf(topic, config.topicPrefix),
    schema,
    register: config.registerSchemas,
    stateDir: config.stateDir,
    log,
  });
  return { kind: 'confluent', schemaId };
}
