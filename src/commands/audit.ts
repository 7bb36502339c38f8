import type { AuditConfig } from '../config.ts';
import { createKafkaClient } from '../kafka/client.ts';
import { readSnapshot, type Snapshot } from '../kafka/snapshot.ts';
import { Audit } from '../ledger/audit.ts';
import type { AuditReport } from '../ledger/audit-report.ts';
import { auditLines } from '../ledger/audit-text.ts';
import { createLog } from '../log.ts';
import { createDecoder } from '../schemas/codec.ts';
import { createSchemaFetcher } from '../schemas/registry.ts';
import { type CommandIo, escapeJson, escapeText, writeLine } from '../terminal.ts';

/** Records that cannot be read are told one by one up to here, and then as a number. */
const unreadableShown = 10;

/** What an audit needs of a topic's content; replaced in tests. */
export type OpenSnapshot = (
  topics: readonly string[],
) => Promise<Pick<Snapshot, 'clusterId' | 'offsets' | 'records' | 'offsetsNow'>>;

/** `audit` of the command line: 0 when every account closes, 1 when one does not or there is none. */
export async function auditCommand(config: AuditConfig, io: CommandIo): Promise<number> {
  // What ends the audit is thrown; what the client tries again is its own affair.
  const client = createKafkaClient({ brokers: config.brokers, clientId: 'bpf2kafka-audit', log: createLog('error') });
  const report = await audit(config, io, (topics) => readSnapshot(client, { topics }));
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
  const recordTopic = `${config.topicPrefix}exec-events`;
  // The ledger first: what its entries account for was in the other topic before they were written.
  const snapshot = await open([ledgerTopic, recordTopic]);
  const schemaById = config.registry === undefined ? {} : { schemaById: createSchemaFetcher(config.registry) };
  const ledger = createDecoder({ topic: 'bpf2kafka-ledger', ...schemaById });
  const records = createDecoder({ topic: 'exec-events', ...schemaById });

  const books = new Audit();
  let unreadable = 0;
  for await (const { topic, partition, offset, value } of snapshot.records) {
    let reason: string;
    if (topic === ledgerTopic) {
      const decoded = await ledger.decode(value);
      if (decoded.ok) {
        books.addEntry(decoded.event);
        continue;
      }
      reason = decoded.reason;
    } else {
      const decoded = await records.decode(value);
      if (decoded.ok) {
        books.addRecord(decoded.event, partition, Number(offset));
        continue;
      }
      reason = decoded.reason;
    }
    unreadable += 1;
    if (unreadable > unreadableShown) continue;
    const where = `${escapeText(topic)}, record at offset ${offset} of partition ${partition}`;
    await writeLine(io.stderr, `bpf2kafka: cannot read ${where}: ${escapeText(reason)}`);
  }
  if (unreadable > unreadableShown) {
    await writeLine(io.stderr, `bpf2kafka: cannot read ${unreadable - unreadableShown} more records`);
  }

  const before = new Map(snapshot.offsets.get(recordTopic)?.map(({ partition, high }) => [partition, high]));
  const now = await snapshot.offsetsNow(recordTopic);
  return books.finish({
    now: Date.now(),
    clusterId: snapshot.clusterId,
    topic: recordTopic,
    partitions: now.map(({ partition, low, high }) => ({
      partition,
      logStart: Number(low),
      end: Number(before.get(partition) ?? high),
    })),
    unreadable,
    since: config.since,
    until: config.until,
  });
}

function auditJson({ since, until }: AuditConfig, report: AuditReport): string {
  return escapeJson(JSON.stringify({ since: since ?? null, until: until ?? null, ...report }));
}
