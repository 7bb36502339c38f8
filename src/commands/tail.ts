import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { getSystemErrorMap } from 'node:util';
import { type Clock, systemClock } from '../clock.ts';
import type { TailConfig } from '../config/types.ts';
import { Bpf2KafkaError } from '../errors.ts';
import { createKafkaClient } from '../kafka/client.ts';
import type { KafkaClient } from '../kafka/kafka-client.ts';
import { readSnapshot } from '../kafka/snapshot.ts';
import { createLog, type Log } from '../log.ts';
import type { TopicEvents, TopicName } from '../schemas/catalog.ts';
import { createDecoder } from '../schemas/codec.ts';
import type { ExecEvent } from '../schemas/exec-event.ts';
import type { ExitEvent } from '../schemas/exit-event.ts';
import type { LedgerEntry } from '../schemas/ledger-entry.ts';
import type { PacketCount } from '../schemas/packet-count.ts';
import { createSchemaFetcher } from '../schemas/registry.ts';
import { siemDocument, siemStreamsOf } from '../siem/document.ts';
import type { SiemFormat } from '../siem/formats.ts';
import type { SiemRecords, SiemStream } from '../siem/records.ts';
import type { StreamName } from '../streams.ts';
import {
  type CommandIo,
  escapeArgument,
  escapeArgumentBytes,
  escapeJson,
  escapeText,
  localTime,
  writeLine,
} from '../terminal.ts';
import { forwardDocuments } from './forward.ts';
import { printPacketTables, printPacketTotals } from './tail-packets.ts';

/** What tail needs of a record in a topic. */
export interface TailRecord {
  readonly partition: number;
  readonly offset: bigint;
  readonly value: Buffer | null;
}

/** Records as they come, until the signal aborts; the start position is fixed when this resolves. */
export type OpenRecords = (options: {
  readonly topics: readonly string[];
  readonly fromBeginning: boolean;
  readonly since?: number | undefined;
  readonly signal: AbortSignal;
}) => Promise<AsyncIterable<TailRecord> & AsyncDisposable>;

export interface TailOptions extends Omit<TailConfig, 'format' | 'forward' | 'since' | 'untilEnd'> {
  readonly since?: number | undefined;
  readonly untilEnd?: boolean;
  /** Prints documents for security tools. */
  readonly format?: SiemFormat | undefined;
  readonly out: Writable;
  /** Where records that cannot be read are reported, a line each. */
  readonly err: Writable;
  readonly log: Log;
  /** Ends the tail. */
  readonly signal: AbortSignal;
  /** Called once, when every record that is written from now on will be printed. */
  readonly onReady?: () => void;
  /** How much of a screen a table may take, up to 1. */
  readonly screenShare?: number;
  readonly clock?: Clock;
  /** Replaced in tests. */
  readonly open?: OpenRecords;
}

/**
 * Prints what is written to the stream's topic, until the limit is reached or the signal aborts; answers with how many
 * records, or tables of packets, were printed. Fails with ERR_BROKER, ERR_TOPIC.
 */
export async function tailStream(name: StreamName, options: TailOptions): Promise<number> {
  const { json, format, clock = systemClock } = options;
  if (format !== undefined) return printDocuments(format, siemStream(name, format), options);
  switch (name) {
    case 'exec':
      return printLines(events('exec-events', options), json ? execJson : execLine, options);
    case 'exit':
      return printLines(events('exit-events', options), json ? plainJson : exitLine, options);
    case 'ledger':
      return printLines(events('bpf2kafka-ledger', options), json ? plainJson : ledgerLine, options);
    case 'packets':
      if (json) return printLines(events('packet-counts', options), plainJson, options);
      if (options.untilEnd === true) return printPacketTotals(events('packet-counts', options), options);
      return printPacketTables((signal) => events('packet-counts', { ...options, signal }), { ...options, clock });
  }
}

/** Topics of the streams that documents are made of. */
export const siemTopics = {
  exec: 'exec-events',
  exit: 'exit-events',
  packets: 'packet-counts',
} as const satisfies {
  readonly [Stream in StreamName & SiemStream]: TopicName;
};

/** @throws Bpf2KafkaError ERR_USAGE when the format has no documents of the stream */
export function siemStream(name: StreamName, format: SiemFormat): keyof typeof siemTopics {
  const streams = siemStreamsOf(format).filter((stream) => stream in siemTopics);
  if (name in siemTopics && streams.includes(name as SiemStream)) return name as keyof typeof siemTopics;
  throw new Bpf2KafkaError('ERR_USAGE', {
    operation: 'show',
    subject: `${name} as ${format}`,
    reason: `${format} has no documents of ${name}`,
    remedy: `there are those of ${streams.join(', ')}`,
  });
}

function printDocuments(format: SiemFormat, stream: keyof typeof siemTopics, options: TailOptions): Promise<number> {
  const lineOf = (record: SiemRecords[typeof stream]) =>
    escapeJson(JSON.stringify(siemDocument<SiemStream>(format, stream, record)));
  return printLines(events(siemTopics[stream], options), lineOf, options);
}

async function printLines<Event>(
  events: AsyncIterable<Event>,
  lineOf: (event: Event) => string,
  { out, limit = Number.POSITIVE_INFINITY, signal }: TailOptions,
): Promise<number> {
  let printed = 0;
  for await (const event of events) {
    await writeLine(out, lineOf(event), signal);
    printed += 1;
    if (printed >= limit) break;
  }
  return printed;
}

/** The events of a topic as they come, until the signal aborts; those that cannot be read are reported. */
async function* events<Topic extends TopicName>(
  topic: Topic,
  options: TailOptions,
): AsyncGenerator<TopicEvents[Topic], void, void> {
  const { brokers, security, registry, registrySecurity, log, err, signal } = options;
  const connect = () => createKafkaClient({ brokers, security, clientId: 'bpf2kafka-tail', log });
  const open = options.open ?? (options.untilEnd === true ? whatIsThere(connect()) : connect().read);
  const decoder = createDecoder({
    topic,
    ...(registry === undefined ? {} : { schemaById: createSchemaFetcher(registry, registrySecurity) }),
  });

  await using records = await open({
    topics: [`${options.topicPrefix}${topic}`],
    fromBeginning: options.fromBeginning,
    since: options.since,
    signal,
  });
  options.onReady?.();
  for await (const { partition, offset, value } of records) {
    const decoded = await decoder.decode(value);
    if (signal.aborted) break;
    if (decoded.ok) {
      yield decoded.event;
      continue;
    }
    const where = `record at offset ${offset} of partition ${partition}`;
    await writeLine(err, `bpf2kafka: cannot read the ${where}: ${escapeText(decoded.reason)}`, signal);
  }
}

/** The records up to the end that the topics have when it is called. */
function whatIsThere(client: KafkaClient): OpenRecords {
  return async ({ topics, since, signal }) => {
    const { records } = await readSnapshot(client, { topics, since, signal });
    const iterator = records[Symbol.asyncIterator]();
    return {
      [Symbol.asyncIterator]: () => iterator,
      [Symbol.asyncDispose]: async () => void (await iterator.return?.()),
    };
  };
}

/** `tail` of the command line; SIGINT and SIGTERM end it with 0. */
export async function tailCommand(name: StreamName, config: TailConfig, io: CommandIo): Promise<number> {
  const stop = new AbortController();
  const abort = () => stop.abort();
  // Never taken off: a signal to the group comes twice, and the second one may find the process at its end.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, abort);
  try {
    const signal = AbortSignal.any([stop.signal, io.stdoutClosed]);
    const { format, forward } = config;
    if (format !== undefined && forward !== undefined) {
      const stream = siemStream(name, format);
      const log = createLog('warn');
      await forwardDocuments(stream, { ...config, topic: siemTopics[stream], format, forward, io, log, signal });
      return 0;
    }
    await tailStream(name, {
      ...config,
      out: io.stdout,
      err: io.stderr,
      // The client warns of what it tries again, and of its own closing; what ends the tail is thrown.
      log: createLog('error'),
      signal,
    });
    return 0;
  } catch (error) {
    // An interrupt while it connects shows as a failure to connect.
    if (stop.signal.aborted || io.stdoutClosed.aborted) return 0;
    throw error;
  }
}

/** `TIME pid: N comm: NAME argv…` in local time, behind it why the exec failed; what a process chose is escaped. */
export function execLine(event: ExecEvent): string {
  const truncated = event.args_truncated === true ? ' …[truncated]' : '';
  const failed = event.exec_result
    ? ` [failed: ${escapeArgument(event.filename)}: ${errorName(event.exec_result)}]`
    : '';
  return `${localTime(event.event_time)} pid: ${event.pid} comm: ${escapeArgument(event.comm)} ${argv(event)}${truncated}${failed}`;
}

function errorName(result: number): string {
  return getSystemErrorMap().get(result)?.[0] ?? `error ${-result}`;
}

function argv(event: ExecEvent): string {
  // Not an argument vector: the mark says that this is the path alone.
  if (event.args === null) return `${escapeArgument(event.filename)} …[argv unknown]`;
  if (event.args_raw !== null) {
    const raw = split(event.args_raw, event.args.length);
    if (raw !== undefined) return raw.map(escapeArgumentBytes).join(' ');
  }
  return event.args.map(escapeArgument).join(' ');
}

/** Arguments between NULs, a NUL at the end or not; undefined when it is not as many as expected. */
function split(raw: Buffer, count: number): Buffer[] | undefined {
  const parts: Buffer[] = [];
  for (let start = 0; start <= raw.length; ) {
    const nul = raw.indexOf(0, start);
    const end = nul === -1 ? raw.length : nul;
    parts.push(raw.subarray(start, end));
    start = end + 1;
  }
  if (parts.length === count + 1 && parts.at(-1)?.length === 0) parts.pop();
  return parts.length === count ? parts : undefined;
}

/** The event with its Avro field names on one line, exact; bytes as base64. */
export function execJson(event: ExecEvent): string {
  return escapeJson(JSON.stringify({ ...event, args_raw: event.args_raw?.toString('base64') ?? null }));
}

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** `TIME pid: N comm: NAME exited CODE after SECONDS` in local time, or `killed by SIGNAL` for `exited CODE`. */
export function exitLine(event: ExitEvent): string {
  const { exit_signal: signal, run_time_micros: runTime } = event;
  const name = signal === null ? '' : (signalNames.get(signal) ?? `signal ${signal}`);
  const dumped = event.core_dumped === true ? ' (core dumped)' : '';
  const how = signal === null ? `exited ${event.exit_code}` : `killed by ${name}${dumped}`;
  const after = runTime === null ? '' : ` after ${(runTime / 1e6).toFixed(3)} s`;
  return `${localTime(event.event_time)} pid: ${event.pid} comm: ${escapeArgument(event.comm)} ${how}${after}`;
}

/** `TIME STREAM: STATE …` in local time, at the end of the epoch that the entry accounts for. */
export function ledgerLine(entry: LedgerEntry): string {
  const counts = (label: string, values: Readonly<Record<string, number>>) =>
    Object.entries(values).map(([name, count]) => ` ${label} ${escapeText(name)}: ${count}`);
  const parts = [
    `${localTime(entry.interval_end)} ${escapeText(entry.stream_name)}: ${escapeText(entry.state)}`,
    `${entry.closed ? 'closed' : 'open'} epoch ${entry.epoch}:`,
    `seen ${entry.seen} = published ${entry.published} + pending ${entry.pending}`,
  ];
  const unexplained = entry.unexplained === 0 ? '' : ` UNEXPLAINED: ${entry.unexplained}`;
  return (
    parts.join(' ') + [...counts('+ filtered', entry.filtered), ...counts('+ lost', entry.lost)].join('') + unexplained
  );
}

/** For what has no bytes in it. */
function plainJson(event: ExitEvent | LedgerEntry | PacketCount): string {
  return escapeJson(JSON.stringify(event));
}
