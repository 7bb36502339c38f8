import type { AuditConfig } from '../config/types.ts';
import { createKafkaClient } from '../kafka/client.ts';
import type { ReadRecord } from '../kafka/reader.ts';
import { readSnapshot, type Snapshot, type SnapshotOptions } from '../kafka/snapshot.ts';
import { Audit } from '../ledger/audit/audit.ts';
import type { TopicFacts } from '../ledger/audit/audit-facts.ts';
import type { AuditReport } from '../ledger/audit/audit-report.ts';
import { auditLines } from '../ledger/audit/audit-text.ts';
import { interfaceOf } from '../ledger/audit/packet-records.ts';
import { createLog } from '../log.ts';
import { createDecoder } from '../schemas/codec.ts';
import type { DeadLetter } from '../schemas/dead-letter.ts';
import { createSchemaFetcher } from '../schemas/registry.ts';
import { type CommandIo, escapeJson, escapeText, writeLine } from '../terminal.ts';

/** Records that cannot be read are told one by one up to here, and then as a number. */
const unreadableShown = 10;

/** What an audit needs of the topics' content; replaced in tests. */
export type OpenSnapshot = (
  topics: Pick<SnapshotOptions, 'topics' | 'optional'>,
) => Promise<Pick<Snapshot, 'clusterId' | 'offsets' | 'records' | 'offsetsNow'>>;

/** `audit` of the command line: 0 when every account closes, 1 when one does not or there is none. */
export async function auditCommand(config: AuditConfig, io: CommandIo): Promise<number> {
  // What ends the audit is thrown; what the client tries again is its own affair.
  const { brokers, security } = config;
  const client = createKafkaClient({ brokers, security, clientId: 'bpf2kafka-audit', log: createLog('error') });
  const report = await audit(config, io, (topics) => readSnapshot(client, topics));
  if (config.json) await writeLine(io.stdout, auditJson(config, report));
  else for (const line of auditLines(report)) await writeLine(io.stdout, line);
  return report.closes ? 0 : 1;
}

export async function audit(
  config: AuditConfig,
  io: Pick<CommandIo, 'stderr'>,
  open: OpenSnapshot,
): Promise<AuditReport> {
  const ledgerTopic = `${config.topicPrefix}bpf2kafka-ledger`;
  const execTopic = `${config.topicPrefix}exec-events`;
  const exitTopic = `${config.topicPrefix}exit-events`;
  const packetTopic = `${config.topicPrefix}packet-counts`;
  const deadLetterTopic = `${config.topicPrefix}bpf2kafka-dead-letter`;
  // The ledger first: what its entries account for was in the other topics before they were written. Hosts that never
  // captured execs, exits or packets have no topic for them, and those of an earlier version none for dead letters.
  const snapshot = await open({
    topics: [ledgerTopic],
    optional: [execTopic, exitTopic, packetTopic, deadLetterTopic],
  });
  const { registry, registrySecurity } = config;
  const schemaById = registry === undefined ? {} : { schemaById: createSchemaFetcher(registry, registrySecurity) };
  const ledger = createDecoder({ topic: 'bpf2kafka-ledger', ...schemaById });
  const execs = createDecoder({ topic: 'exec-events', ...schemaById });
  const exits = createDecoder({ topic: 'exit-events', ...schemaById });
  const packets = createDecoder({ topic: 'packet-counts', ...schemaById });
  const letters = createDecoder({ topic: 'bpf2kafka-dead-letter', ...schemaById });

  const books = new Audit();
  /** Resolves with the reason when it could not be read. */
  const add = async ({ topic, partition, offset, value }: ReadRecord): Promise<string | undefined> => {
    const at = Number(offset);
    switch (topic) {
      case ledgerTopic: {
        const decoded = await ledger.decode(value);
        if (!decoded.ok) return decoded.reason;
        books.addEntry(decoded.event);
        return undefined;
      }
      case exitTopic: {
        const decoded = await exits.decode(value);
        if (!decoded.ok) return decoded.reason;
        books.addExit(decoded.event, partition, at);
        return undefined;
      }
      case packetTopic: {
        const decoded = await packets.decode(value);
        if (!decoded.ok) return decoded.reason;
        books.addPacketCount(decoded.event, partition, at);
        return undefined;
      }
      case deadLetterTopic: {
        const decoded = await letters.decode(value);
        if (!decoded.ok) return decoded.reason;
        return addDeadLetter(decoded.event, partition, at);
      }
      default: {
        const decoded = await execs.decode(value);
        if (!decoded.ok) return decoded.reason;
        books.addRecord(decoded.event, partition, at);
        return undefined;
      }
    }
  };
  const addDeadLetter = async (letter: DeadLetter, partition: number, at: number): Promise<string | undefined> => {
    const { stream_name: stream, value_bytes: value } = letter;
    if (stream === 'exec') {
      const decoded = value === null ? undefined : await execs.decode(value);
      if (decoded?.ok === false) return decoded.reason;
      books.addDeadExec(letter, decoded?.event, partition, at);
      return undefined;
    }
    if (stream === 'exit') {
      const decoded = value === null ? undefined : await exits.decode(value);
      if (decoded?.ok === false) return decoded.reason;
      books.addDeadExit(letter, decoded?.event, partition, at);
      return undefined;
    }
    if (interfaceOf(stream) === undefined) return 'it is of a stream that this version does not know';
    if (value === null) return 'it does not have the packet count that it is about';
    const decoded = await packets.decode(value);
    if (!decoded.ok) return decoded.reason;
    books.addDeadPacketCount(decoded.event, partition, at);
    return undefined;
  };
  let unreadable = 0;
  for await (const record of snapshot.records) {
    const reason = await add(record);
    if (reason === undefined) continue;
    unreadable += 1;
    if (unreadable > unreadableShown) continue;
    const where = `${escapeText(record.topic)}, record at offset ${record.offset} of partition ${record.partition}`;
    await writeLine(io.stderr, `bpf2kafka: cannot read ${where}: ${escapeText(reason)}`);
  }
  if (unreadable > unreadableShown) {
    await writeLine(io.stderr, `bpf2kafka: cannot read ${unreadable - unreadableShown} more records`);
  }

  return books.finish({
    now: Date.now(),
    clusterId: snapshot.clusterId,
    ...(await factsOf(execTopic, snapshot)),
    exitEvents: await factsOf(exitTopic, snapshot),
    packetCounts: await factsOf(packetTopic, snapshot),
    unreadable,
    since: config.since,
    until: config.until,
  });
}

/** What is left of a topic now, up to the end that was read. */
async function factsOf(
  topic: string,
  { offsets, offsetsNow }: Pick<Snapshot, 'offsets' | 'offsetsNow'>,
): Promise<TopicFacts> {
  const then = offsets.get(topic);
  if (then === undefined) return { topic, partitions: [] };
  const ends = new Map(then.map(({ partition, high }) => [partition, high]));
  const partitions = (await offsetsNow(topic)).map(({ partition, low, high }) => ({
    partition,
    logStart: Number(low),
    end: Number(ends.get(partition) ?? high),
  }));
  return { topic, partitions };
}

function auditJson({ since, until }: AuditConfig, report: AuditReport): string {
  return escapeJson(JSON.stringify({ since: since ?? null, until: until ?? null, ...report }));
}
