import { CompressionTypes, Kafka, logLevel } from 'kafkajs';
import { expect } from 'vitest';
import type { ReachableKafka } from './kafka.ts';
import { readTopic, type TopicRecord } from './kcat.ts';
import { VethPair } from './network.ts';
import { sumOf } from './packets.ts';
import type { TestRegistry } from './registry.ts';
import { SidecarPlace } from './sidecar.ts';
import { compare, startStorm } from './storm.ts';
import { mixedRuns, tallyOfRuns } from './traffic.ts';

/** Topics that a sidecar has written, the same in each framing, and what a consumer has to count in them. */

export const framings = ['with a registry', 'without a registry'] as const;
export type Framing = (typeof framings)[number];
export const prefixOf = (framing: Framing) => (framing === 'with a registry' ? 'framed.' : 'plain.');

/** What has to be counted of one topic. */
export interface Counts {
  readonly topic: string;
  readonly records: number;
  readonly distinct: number;
  readonly packets?: number;
}

export type AllCounts = readonly [execs: Counts, exits: Counts, packets: Counts];

/** 1,000 execs and frames that are known, published by a sidecar of its own, and then a hundred of each topic again. */
export async function publish(framing: Framing, kafka: ReachableKafka, registry: TestRegistry): Promise<AllCounts> {
  const prefix = prefixOf(framing);
  const pair = new VethPair();
  await using place = await SidecarPlace.create('consumers', [pair.name]);
  const framed = framing === 'with a registry' ? ['--registry', registry.url, '--register-schemas'] : [];
  // Room for what else this machine execs meanwhile: a bare record has no arguments to tell the storm's by.
  const flags = ['--create-topics', '--topic-prefix', prefix, '--exec-ring-bytes', String(64 * 2 ** 20), ...framed];
  await using sidecar = await place.run(kafka.brokers, ...flags);
  const storm = startStorm({ count: 1_000 });
  for (let round = 0; round < 3; round += 1) await pair.sendFrames(mixedRuns);
  await storm.ended;
  expect(await sidecar.end('SIGTERM')).toBe(0);

  const [execs, exits, packets] = await Promise.all([
    repeated(kafka, `${prefix}exec-events`),
    repeated(kafka, `${prefix}exit-events`),
    repeated(kafka, `${prefix}packet-counts`),
  ]);
  expect(compare(storm.tokens, execs)).toMatchObject({ missing: [], found: 1_000 });
  return [
    { topic: 'exec-events', ...countsOf(execs) },
    { topic: 'exit-events', ...countsOf(exits) },
    { topic: 'packet-counts', ...countsOf(packets), packets: sumOf(tallyOfRuns(mixedRuns, 3)).packets },
  ];
}

/** Publishes the first records once more, as after a crash; resolves to all that the topic has then. */
async function repeated(kafka: ReachableKafka, topic: string): Promise<TopicRecord[]> {
  await send(kafka, topic, (await readTopic(kafka.brokers, topic)).slice(0, 100));
  return readTopic(kafka.brokers, topic);
}

async function send(kafka: ReachableKafka, topic: string, records: readonly TopicRecord[]): Promise<void> {
  const producer = new Kafka({ brokers: [kafka.brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  const messages = records.map((record) => ({ ...record, timestamp: String(record.timestamp) }));
  // A few at a time: this machine may exec with arguments of many kilobytes.
  for (let at = 0; at < messages.length; at += 20)
    await producer.send({ topic, messages: messages.slice(at, at + 20), compression: CompressionTypes.GZIP });
  await producer.disconnect();
}

/** Repeats are the same in every byte, and no two others are: their identity is part of them. */
function countsOf(records: readonly TopicRecord[]): { records: number; distinct: number } {
  return { records: records.length, distinct: new Set(records.map(({ value }) => value.toString('latin1'))).size };
}
