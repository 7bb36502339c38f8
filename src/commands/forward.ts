import type { OutgoingRecord } from '../batch.ts';
import { systemClock as clock } from '../clock.ts';
import type { ForwardConfig, TailConfig } from '../config/types.ts';
import { Bpf2KafkaError } from '../errors.ts';
import { createKafkaClient } from '../kafka/client.ts';
import type { ReadRecord } from '../kafka/reader.ts';
import { prepareTarget, type TopicFacts } from '../kafka/topics.ts';
import type { Log } from '../log.ts';
import { Delivery } from '../producers/delivery.ts';
import { partitionFor } from '../producers/partitioner.ts';
import type { TopicName } from '../schemas/catalog.ts';
import { createDecoder, type Decoder } from '../schemas/codec.ts';
import { createSchemaFetcher } from '../schemas/registry.ts';
import { siemDocument, siemId } from '../siem/document.ts';
import type { SiemFormat } from '../siem/formats.ts';
import type { SiemRecords, SiemStream } from '../siem/records.ts';
import { type CommandIo, escapeText, writeLine } from '../terminal.ts';

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
 * when the broker has acknowledged their documents: at least once. A document keeps key, time and headers of its record;
 * the header `id` is its id.
 *
 * @returns how many documents were written
 * @throws Bpf2KafkaError ERR_BROKER, ERR_TOPIC; ERR_REGISTRY when the schema of a record cannot be had, with the record
 * and all behind it left for the next start
 */
export async function forwardDocuments(stream: SiemStream, options: ForwardOptions): Promise<number> {
  const { brokers, security, registry, registrySecurity, topicPrefix, topic, forward, log, signal, io } = options;
  const source = `${topicPrefix}${topic}`;
  if (forward.topic === source) throw ownTopic(source);
  const client = createKafkaClient({ brokers, security, clientId: 'bpf2kafka-forward', log });
  let target: TopicFacts;
  {
    await using admin = await client.connectAdmin({ signal });
    target = await prepareTarget(admin, { topic: forward.topic, log, clock });
  }
  // One producer for all hosts, and one partition a send: each partition is a destination of its own.
  const partitions = Array.from({ length: target.partitions }, (_, partition) => ({ ...target, partition }));
  const destinations = new Map(partitions.map((each) => [String(each.partition), each]));
  // Each record brings its key.
  await using delivery = new Delivery({ client, destinations, hostId: '', clock, log });
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
      for (const [partition, group] of Map.groupBy(documents, ({ key }) => partitionFor(key, target.partitions))) {
        await delivery.accept({ topic: String(partition), records: group }, tooLate.signal);
      }
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

interface DocumentRecord extends OutgoingRecord {
  readonly key: string;
}

async function documentsOf(
  stream: SiemStream,
  records: readonly ReadRecord[],
  decoder: Decoder<SiemRecords[SiemStream]>,
  { format, io, signal }: ForwardOptions,
): Promise<DocumentRecord[]> {
  const documents: DocumentRecord[] = [];
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

function ownTopic(topic: string): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_USAGE', {
    operation: 'write documents to',
    subject: topic,
    reason: 'they are made of what stands there',
    remedy: 'give --to another topic',
  });
}
