import { writeFileSync } from 'node:fs';
import { Child } from '../harness/children.ts';
import { java, kafkaTools } from '../harness/rivals.ts';

export interface PerformanceOptions {
  readonly brokers: string;
  readonly topic: string;
  readonly records: number;
  /** Sent before, not counted. */
  readonly warmup: number;
  readonly compression: string;
  readonly payloads: string;
  /** Producer settings beside acks and idempotence. */
  readonly settings?: readonly string[];
}

/** As bin/kafka-run-class.sh and bin/kafka-producer-perf-test.sh start it. */
const jvmArguments = [
  ...['-Xmx512M', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-XX:InitiatingHeapOccupancyPercent=35'],
  ...['-XX:+ExplicitGCInvokesConcurrent', '-Djava.awt.headless=true'],
];

/**
 * kafka-producer-perf-test of the broker's version.
 * @returns acknowledged records a second, past the warm-up
 */
export async function producerPerformance(options: PerformanceOptions): Promise<number> {
  const { brokers, topic, records, warmup, compression, payloads, settings = [] } = options;
  await using child = new Child(java(), [
    ...jvmArguments,
    ...['-cp', kafkaTools(), 'org.apache.kafka.tools.ProducerPerformance', '--bootstrap-server', brokers],
    ...['--topic', topic, '--num-records', String(records), '--warmup-records', String(warmup), '--throughput', '-1'],
    ...['--payload-file', payloads, '--command-property', 'acks=all', 'enable.idempotence=true'],
    ...[`compression.type=${compression}`, ...settings],
  ]);
  return recordsPerSecond(await child.succeed());
}

/** Of the summary that it ends with. */
export function recordsPerSecond(output: string): number {
  const summary = /\d+ steady state records sent, ([\d.]+) records\/sec/.exec(output);
  if (summary === null) throw new Error(`ProducerPerformance printed no summary: ${output.slice(-500)}`);
  return Number(summary[1]);
}

/**
 * Payloads of our records' sizes: key, headers and value of each, bytes that are no text replaced by letters, because the
 * tool reads lines of text. It sends without key and headers, so these bytes are what ours sends in three parts.
 */
export function writePayloads(path: string, records: readonly Buffer[]): void {
  const lines: Buffer[] = [];
  for (const record of records) {
    const line = Buffer.from(record);
    for (let at = 0; at < line.length; at += 1) {
      const byte = line[at] as number;
      if (byte < 0x20 || byte > 0x7e) line[at] = 0x40 + (byte & 0x3f);
    }
    lines.push(line, Buffer.from('\n'));
  }
  writeFileSync(path, Buffer.concat(lines));
}
