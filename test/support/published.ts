import { isDeepStrictEqual } from 'node:util';
import type { TopicEvents, TopicName } from '../../src/schemas/catalog.ts';
import { createDecoder } from '../../src/schemas/codec.ts';
import type { DeadLetter } from '../../src/schemas/dead-letter.ts';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import type { HostInfo } from '../../src/schemas/host-info.ts';
import type { LedgerEntry } from '../../src/schemas/ledger-entry.ts';
import type { PacketCount } from '../../src/schemas/packet-count.ts';
import { readTopic, type TopicRecord } from './kcat.ts';
import { CommandProcess } from './sidecar.ts';
import { repeatsIn } from './storm.ts';

/** What sidecars have published: records that kcat reads, not the code under test. */

export async function readEvents<Topic extends TopicName>(
  brokers: string,
  topic: Topic,
  prefix: string,
): Promise<{ readonly event: TopicEvents[Topic]; readonly value: Buffer; readonly headers: TopicRecord['headers'] }[]> {
  const decoder = createDecoder({ topic });
  return Promise.all(
    (await readTopic(brokers, `${prefix}${topic}`)).map(async ({ value, headers }) => {
      const decoded = await decoder.decode(value);
      if (!decoded.ok) throw new Error(decoded.reason);
      return { event: decoded.event, value, headers };
    }),
  );
}

/**
 * Events that were published more than once, and not with the same content; both of them. What the parent ran is no part
 * of the record of an exec in the kernel: a sidecar that was just started may know less of it than the one before.
 */
export async function contradictionsIn(
  records: readonly TopicRecord[],
  topic: 'exec-events' | 'exit-events' = 'exec-events',
): Promise<(readonly [unknown, unknown])[]> {
  const decoder = createDecoder<TopicName>({ topic });
  const contentOf = async ({ value, timestamp }: TopicRecord) => {
    const decoded = await decoder.decode(value);
    if (!decoded.ok) throw new Error(decoded.reason);
    const { parent_exe, parent_args, degraded, ...content } = decoded.event as ExecEvent;
    return {
      ...content,
      degraded: degraded.filter((name) => name !== 'parent_exe' && name !== 'parent_args'),
      timestamp,
    };
  };
  const contents = await Promise.all(repeatsIn(records).map((group) => Promise.all(group.map(contentOf))));
  return contents.flatMap(([first, ...repeats]) =>
    repeats.filter((repeat) => !isDeepStrictEqual(repeat, first)).map((repeat) => [first, repeat] as const),
  );
}

/** The entries of one stream, in the order of the topic's partitions. */
export async function readLedger(brokers: string, prefix: string, stream: string): Promise<LedgerEntry[]> {
  const entries = await readEvents(brokers, 'bpf2kafka-ledger', prefix);
  return entries.map(({ event }) => event).filter(({ stream_name }) => stream_name === stream);
}

/** The records about hosts, in the order of their topic's partitions. */
export async function readHosts(brokers: string, prefix: string): Promise<HostInfo[]> {
  return (await readEvents(brokers, 'bpf2kafka-hosts', prefix)).map(({ event }) => event);
}

/** The dead letters, in the order of their topic's partitions, with the headers of the refused records. */
export async function readDeadLetters(
  brokers: string,
  prefix: string,
): Promise<{ readonly letter: DeadLetter; readonly headers: TopicRecord['headers'] }[]> {
  const letters = await readEvents(brokers, 'bpf2kafka-dead-letter', prefix);
  return letters.map(({ event, headers }) => ({ letter: event, headers }));
}

export interface PublishedPackets {
  /** One for each identity, in the order of the topic. */
  readonly counts: readonly PacketCount[];
  /** Records that said again what one before them had said. */
  readonly repeats: number;
}

/** @throws when two records have one identity and are not the same, byte for byte */
export async function readPackets(brokers: string, prefix: string): Promise<PublishedPackets> {
  const distinct = new Map<string, { readonly event: PacketCount; readonly value: Buffer }>();
  const records = await readEvents(brokers, 'packet-counts', prefix);
  for (const record of records) {
    const { packets, bytes, interval_start, interval_end, ...identity } = record.event;
    const key = JSON.stringify(identity);
    const first = distinct.get(key);
    if (first !== undefined && !first.value.equals(record.value))
      throw new Error(
        `${key} was published twice, with ${JSON.stringify(first.event)} and with ${JSON.stringify(record.event)}`,
      );
    distinct.set(key, first ?? record);
  }
  return { counts: [...distinct.values()].map(({ event }) => event), repeats: records.length - distinct.size };
}

/** Execs of which only the bare fact was published; a repeat counts once. */
export async function bareEvents(brokers: string, prefix: string): Promise<ExecEvent[]> {
  const events = (await readEvents(brokers, 'exec-events', prefix)).map(({ event }) => event);
  const bare = events.filter(({ degraded }) => degraded.includes('filename') && degraded.includes('ancestors'));
  return [...new Map(bare.map((event) => [event.seq, event])).values()];
}

/** The entries of a stream of events, by epoch. */
export async function readEventLedger(
  brokers: string,
  prefix: string,
  stream: 'exec' | 'exit',
): Promise<LedgerEntry[]> {
  const entries = await readEvents(brokers, 'bpf2kafka-ledger', prefix);
  return entries
    .map(({ event }) => event)
    .filter(({ stream_name }) => stream_name === stream)
    .sort((a, b) => a.epoch - b.epoch);
}

/** The entries of one interface in the order of the topic. */
export async function readPacketLedger(brokers: string, prefix: string, name: string): Promise<LedgerEntry[]> {
  return readLedger(brokers, prefix, `packets:${name}`);
}

const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((total, one) => total + one, 0);

/**
 * What is wrong with the account of one interface, from what the documentation says of it: each entry balances, and
 * between two closed entries of an attach as many packets stand in the topic as they say. Empty when it is right.
 */
export function faultsOf(entries: readonly LedgerEntry[], counts: readonly PacketCount[]): string[] {
  const faults: string[] = [];
  for (const entry of entries) {
    const { epoch, seen, published, pending, filtered, lost, unexplained, closed } = entry;
    const explained = published + pending + sum(filtered) + sum(lost);
    if (explained !== seen || unexplained !== 0) faults.push(`epoch ${epoch}: ${seen} seen, ${explained} explained`);
    if (closed && pending > 0) faults.push(`epoch ${epoch}: closed, and ${pending} pending`);
  }
  for (const [attach, all] of Map.groupBy(entries, ({ attach_id }) => attach_id)) {
    let before = { epoch: 0, published: 0, filtered: 0 };
    for (const { epoch, seen, filtered, lost } of all.filter(({ closed }) => closed)) {
      const now = { epoch, published: seen - sum(filtered) - sum(lost), filtered: sum(filtered) };
      const inTopic = (isFiltered: boolean) =>
        counts
          .filter((count) => count.attach_id === attach && count.epoch > before.epoch && count.epoch <= epoch)
          .filter((count) => `packets:${count.interface_name}` === all[0]?.stream_name)
          .filter(({ traffic_class }) => (traffic_class === 'filtered') === isFiltered)
          .reduce((total, { packets }) => total + packets, 0);
      const told = [now.published - before.published, now.filtered - before.filtered];
      const found = [inTopic(false), inTopic(true)];
      if (String(told) !== String(found))
        faults.push(`epochs ${before.epoch + 1} to ${epoch}: the ledger tells of ${told}, the topic has ${found}`);
      before = now;
    }
  }
  return faults;
}

/** What `bpf2kafka audit` says of all that stands under the prefix. */
export async function auditOf(brokers: string, prefix: string): Promise<{ code: number | string; said: string }> {
  await using audit = new CommandProcess(['audit', '--brokers', brokers, '--topic-prefix', prefix]);
  const code = await audit.exit();
  return { code, said: [...audit.lines, audit.errors].join('\n') };
}
