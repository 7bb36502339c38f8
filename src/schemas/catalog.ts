import { readFileSync } from 'node:fs';
import type { DeadLetter } from './dead-letter.ts';
import { eventHeaders } from './event-headers.ts';
import type { ExecEvent } from './exec-event.ts';
import type { ExitEvent } from './exit-event.ts';
import type { AvroSchema } from './fingerprint.ts';
import type { HostInfo } from './host-info.ts';
import type { LedgerEntry } from './ledger-entry.ts';
import type { PacketCount } from './packet-count.ts';

/** Which events stand in which topic; names without prefix. */
export interface TopicEvents {
  'exec-events': ExecEvent;
  'exit-events': ExitEvent;
  'packet-counts': PacketCount;
  'bpf2kafka-ledger': LedgerEntry;
  'bpf2kafka-dead-letter': DeadLetter;
  'bpf2kafka-hosts': HostInfo;
}

export type TopicName = keyof TopicEvents;

export interface TopicSchema<Topic extends TopicName = TopicName> {
  readonly topic: Topic;
  /** The schema that this build writes and reads with. */
  readonly schema: AvroSchema;
  /** Schemas that earlier releases wrote and that may still stand in a topic. */
  readonly released: readonly AvroSchema[];
  /** What stands beside the value in the Kafka record: its time, milliseconds since 1970, and its headers. */
  readonly timestampOf: (event: TopicEvents[Topic]) => number;
  readonly headersOf: (event: TopicEvents[Topic]) => Readonly<Record<string, string>>;
  /** Name of the ledger's stream that the event belongs to. */
  readonly streamOf: (event: TopicEvents[Topic]) => string;
}

// The .avsc files are the contract and ship as they are: the same path from src/schemas and from dist/schemas.
function load(file: string): AvroSchema {
  return JSON.parse(readFileSync(new URL(`../../src/schemas/${file}`, import.meta.url), 'utf8')) as AvroSchema;
}

const catalog: { readonly [Topic in TopicName]: TopicSchema<Topic> } = {
  'exec-events': {
    topic: 'exec-events',
    schema: load('exec-events.avsc'),
    released: [],
    timestampOf: (event) => event.event_time,
    headersOf: eventHeaders,
    streamOf: () => 'exec',
  },
  'exit-events': {
    topic: 'exit-events',
    schema: load('exit-events.avsc'),
    released: [],
    timestampOf: (event) => event.event_time,
    headersOf: eventHeaders,
    streamOf: () => 'exit',
  },
  'packet-counts': {
    topic: 'packet-counts',
    schema: load('packet-counts.avsc'),
    released: [],
    timestampOf: (count) => count.interval_end,
    headersOf: () => ({}),
    streamOf: (count) => `packets:${count.interface_name}`,
  },
  'bpf2kafka-ledger': {
    topic: 'bpf2kafka-ledger',
    schema: load('bpf2kafka-ledger.avsc'),
    released: [],
    timestampOf: (entry) => entry.interval_end,
    headersOf: () => ({}),
    streamOf: (entry) => entry.stream_name,
  },
  'bpf2kafka-dead-letter': {
    topic: 'bpf2kafka-dead-letter',
    schema: load('bpf2kafka-dead-letter.avsc'),
    released: [],
    timestampOf: (letter) => letter.event_time,
    headersOf: () => ({}),
    streamOf: (letter) => letter.stream_name,
  },
  'bpf2kafka-hosts': {
    topic: 'bpf2kafka-hosts',
    schema: load('bpf2kafka-hosts.avsc'),
    released: [],
    timestampOf: (host) => host.event_time,
    headersOf: () => ({}),
    streamOf: () => 'hosts',
  },
};

export const topicNames = Object.keys(catalog) as readonly TopicName[];

export function isTopicName(name: string): name is TopicName {
  return Object.hasOwn(catalog, name);
}

export function topicSchema<Topic extends TopicName>(topic: Topic): TopicSchema<Topic> {
  return catalog[topic];
}

/** The subject of a topic's values in the registry (Confluent's TopicNameStrategy). */
export function subjectOf(topic: TopicName, topicPrefix: string): string {
  return `${topicPrefix}${topic}-value`;
}
