import { readFileSync } from 'node:fs';
import type { ExecEvent } from './exec-event.ts';
import type { AvroSchema } from './fingerprint.ts';

/** Which events stand in which topic; names without prefix. */
export interface TopicEvents {
  'exec-events': ExecEvent;
}

export type TopicName = keyof TopicEvents;

export interface TopicSchema {
  readonly topic: TopicName;
  /** The schema that this build writes and reads with. */
  readonly schema: AvroSchema;
  /** Schemas that earlier releases wrote and that may still stand in a topic. */
  readonly released: readonly AvroSchema[];
}

// The .avsc files are the contract and ship as they are: the same path from src/schemas and from dist/schemas.
function load(file: string): AvroSchema {
  return JSON.parse(readFileSync(new URL(`../../src/schemas/${file}`, import.meta.url), 'utf8')) as AvroSchema;
}

const catalog: { readonly [Topic in TopicName]: TopicSchema } = {
  'exec-events': { topic: 'exec-events', schema: load('exec-events.avsc'), released: [] },
};

export const topicNames = Object.keys(catalog) as readonly TopicName[];

export function isTopicName(name: string): name is TopicName {
  return Object.hasOwn(catalog, name);
}

export function topicSchema(topic: TopicName): TopicSchema {
  return catalog[topic];
}

/** The subject of a topic's values in the registry (Confluent's TopicNameStrategy). */
export function subjectOf(topic: TopicName, topicPrefix: string): string {
  return `${topicPrefix}${topic}-value`;
}
