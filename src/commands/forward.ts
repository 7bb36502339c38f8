import { systemClock as clock } from '../clock.ts';
import type { ForwardConfig, TailConfig } from '../config/types.ts';
import { Bpf2KafkaError } from '../errors.ts';
import { createKafkaClient } from '../kafka/client.ts';
import type { ReadRecord } from '../kafka/reader.ts';
import type { Log } from '../log.ts';
import type { OutgoingRecord } from '../records/packed-records.ts';
import { type TopicName, topicNames } from '../schemas/catalog.ts';
import { createDecoder, type Decoder } from '../schemas/codec.ts';
import { createSchemaFetcher } from '../schemas/registry.ts';
import { siemDocument, siemId } from '../siem/document.ts';
import type { SiemFormat } from '../siem/formats.ts';
import type { SiemRecords, SiemStream } from '../siem/records.ts';
import { type CommandIo, escapeText, writeLine } from '../terminal.ts';
import { createDocumentLetters } from './document-letters.ts';
import { TargetTopic, type TargetTopicOptions } from './target-topic.ts';

export interface ForwardOptions extends Omit<TailConfig, 'json' | 'format' | 'forward' | 'fromBeginning'> {
  /** Name without prefix of the stream's topic. */
  readonly topic: TopicName;
  readonly format: SiemFormat;
  readonly forward: ForwardConfig;
  readonly io: Pick<CommandIo, 'stdout' | 'stderr'>;
  readonly log: Log;
  /** Ends it behind the batch at hand. */
  readonly signal: AbortSignal;
}

/** How long the batch at hand may take after the signal, milliseconds. */
const drainMillis = 10_000;

/**
 * Writes the documents of a stream to a topic, as a member of a consumer group, which is told that records are done with
 * when the broker has acknowledged their documents, there or as dead letters: at least once. A document keeps key, time
 * and headers of its record; the header `id` is its id.
 *
 * @returns how many documents were written
 * @throws Bpf2KafkaError ERR_BROKER, ERR_TOPIC; ERR_REGISTRY when the schema of a record cannot be had, with the record
 * and all behind it left for the next start
 */
export async function forwardDocuments(stream: SiemStream, options: ForwardOptions): Promise<number> {
  const { brokers, security, registry, registrySecurity, topicPrefix, topic, forward, log, signal, io } = options;
  const source = `${topicPrefix}${topic}`;
  refuseOwnTopics(forward, topicPrefix);
  const client = createKafkaClient({ brokers, security, clientId: 'bpf2kafka-forward', log });
  const open = (of: Pick<TargetTopicOptions, 'topic' | 'deadLetters'>) =>
    TargetTopic.open({ client, clock, log, signal, ...of });
  await using letters = forward.deadLetter === undefined ? undefined : await open({ topic: forward.deadLetter });
  const deadLetters = letters && createDocumentLetters(letters, clock);
  await using target = await open({ topic: forward.topic, deadLetters });
  const decoder = createDecoder({
    topic,
    ...(registry === undefined ? {} : { schemaById: createSchemaFetcher(registry, registrySecurity) }),
  }) as Decoder<SiemRecords[SiemStream]>;

  const tooLate = new AbortController();
  const expire = () => void clock.sleep(drainMillis, tooLate.signal).then(() => tooLate.abort());
  signal.addEventListener('abort', expire, { once: true });
  await using reader = await client.readGroup({ topic: source, groupId: forward.group, signal });
  await writeLine(io.stdout, `ready ${stream} as ${options.format} to ${forward.topic}`);
  let written = 0;
  let left = options.limit ?? Number.POSITIVE_INFINITY;
  try {
    for await (const batch of reader) {
      const records = batch.records.slice(0, left);
      const documents = await documentsOf(stream, records, decoder, options);
      await target.write(documents, tooLate.signal);
      await batch.commit(records.length);
      written += documents.length;
      left -= records.length;
      if (left === 0) break;
    }
  } finally {
    signal.removeEventListener('abort', expire);
    tooLate.abort();
  }
  return written;
}

async function documentsOf(
  stream: SiemStream,
  records: readonly ReadRecord[],
  decoder: Decoder<SiemRecords[SiemStream]>,
  { format, io, signal }: ForwardOptions,
): Promise<OutgoingRecord[]> {
  const documents: OutgoingRecord[] = [];
  for (const { topic, partition, offset, key, value, headers, timestamp } of records) {
    const decoded = await decoder.decode(value);
    if (decoded.ok) {
      const { event } = decoded;
      documents.push({
        key: key?.toString() ?? event.host_id,
        value: Buffer.from(JSON.stringify(siemDocument(format, stream, event))),
        timestamp,
        headers: { ...headers, id: siemId(stream, event) },
      });
      continue;
    }
    const where = `the record at offset ${offset} of partition ${partition}`;
    // Left out it would be lost for good; with a registry that answers, or the version that wrote it, it is not.
    if (decoded.schemaMissing) {
      throw new Bpf2KafkaError('ERR_REGISTRY', {
        operation: `read ${where} of`,
        subject: topic,
        reason: escapeText(decoded.reason),
        remedy: 'nothing is lost: the next start goes on with it',
      });
    }
    await writeLine(io.stderr, `bpf2kafka: cannot read ${where}, left out: ${escapeText(decoded.reason)}`, signal);
  }
  return documents;
}

/** Ours hold records, not documents, and one of them is what is read here. */
function refuseOwnTopics({ topic, deadLetter }: ForwardConfig, topicPrefix: string): void {
  const own = new Set(topicNames.map((name) => `${topicPrefix}${name}`));
  for (const [flag, name] of [['--to', topic] as const, ['--dead-letter', deadLetter] as const]) {
    if (name === undefined || !own.has(name)) continue;
    throw new Bpf2KafkaError('ERR_USAGE', {
      operation: 'write documents to',
      subject: name,
      reason: 'it is a topic of records, which others read as such',
      remedy: `give ${flag} another topic`,
    });
  }
}
