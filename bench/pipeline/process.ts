/**
 * One measurement of the pipeline in a process of its own, so that its CPU is its alone:
 *
 *   node bench/pipeline/process.ts '{"mode": "whole", "recording": PATH, …}'
 *
 * Prints one line of JSON. Also the program to profile: `node --cpu-prof bench/pipeline/process.ts …`.
 */
import type { Acknowledgement, OutgoingBatch } from '../../src/batch.ts';
import { systemClock } from '../../src/clock.ts';
import { openEnrichment } from '../../src/enrich/enrichment.ts';
import { createKafkaClient } from '../../src/kafka/client.ts';
import type { Compression } from '../../src/kafka/compression.ts';
import { batchBytes } from '../../src/kafka/topics.ts';
import { WallClock } from '../../src/kernel/wall-clock.ts';
import { createLog } from '../../src/log.ts';
import { Delivery } from '../../src/producers/delivery.ts';
import { createCodec } from '../../src/schemas/codec.ts';
import { publish } from '../../src/sidecar.ts';
import { EventSource, quickPace } from '../../src/sources/event-source.ts';
import { createExecTable } from '../../src/sources/exec-fields.ts';
import { createExecRecordReader } from '../../src/sources/exec-record.ts';
import type { KernelRecord } from '../../src/sources/kernel-record.ts';
import { programImage } from '../../src/sources/parent-program.ts';
import { createRecordCodec } from '../../src/sources/record-codec.ts';
import { FullRing } from './full-ring.ts';
import { loadRecording } from './records.ts';

export interface PipelineOptions {
  /**
   * whole: ring to acknowledgement. client: the same batches, encoded before, over the producer alone. codec: from the
   * record's bytes to Avro, no broker. general: the same by way of an event and avsc, which records take that are not
   * whole. read: the replay itself, which is part of all of them.
   */
  readonly mode: 'whole' | 'client' | 'codec' | 'general' | 'read';
  readonly recording: string;
  readonly records: number;
  /** Of `records`, not counted: the compiler warms up. */
  readonly warmup: number;
  readonly brokers?: string;
  readonly topic?: string;
  readonly compression?: Compression;
}

export interface PipelineResult {
  readonly records: number;
  readonly seconds: number;
  /** CPU of the process, user and system, all threads. */
  readonly cpuSeconds: number;
  /** Value, key and headers of a record, mean. */
  readonly recordBytes: number;
  readonly valueBytes: number;
}

const hostId = '3f1c5d0e9b7a4c2d8e6f0a1b2c3d4e5f';
const hostName = 'host-0042.eu-west.example.net';
const batchRecords = 500;

const options = JSON.parse(process.argv[2] as string) as PipelineOptions;
const recording = loadRecording(options.recording);

/** From the first commit past the warm-up to the last one. */
class StopWatch {
  #begin: { at: number; cpu: NodeJS.CpuUsage; records: number } | undefined;
  #end: { seconds: number; cpuSeconds: number; records: number } | undefined;

  committed(acknowledged: number): void {
    if (this.#begin === undefined && acknowledged >= options.warmup)
      this.#begin = { at: performance.now(), cpu: process.cpuUsage(), records: acknowledged };
    if (this.#begin !== undefined && acknowledged >= options.records) {
      const { user, system } = process.cpuUsage(this.#begin.cpu);
      this.#end = {
        seconds: (performance.now() - this.#begin.at) / 1000,
        cpuSeconds: (user + system) / 1e6,
        records: acknowledged - this.#begin.records,
      };
    }
  }

  get end() {
    if (this.#end === undefined) throw new Error('not every record was committed');
    return this.#end;
  }
}

const watch = new StopWatch();
const ring = new FullRing(recording, options.records, (acknowledged) => watch.committed(acknowledged));
const identity = { hostId, hostName, bootId: recording.bootId, attachId: recording.attachId };
const log = createLog('warn');
const enrichment = openEnrichment({
  imageOf: programImage,
  redaction: { defaults: true, patterns: [] },
  clock: systemClock,
  log,
});
const table = createExecTable(recording.layout, identity, new WallClock(recording.clockOffsets), enrichment);
const reader = createExecRecordReader(recording.layout);
const source = new EventSource({
  pace: quickPace,
  ring,
  presentEpoch: () => Number.MAX_SAFE_INTEGER,
  reader,
  clock: systemClock,
  log,
});
const general = createCodec({ topic: 'exec-events', framing: { kind: 'single-object' } });
const codec = createRecordCodec('exec-events', table, general);

const size = { records: 0, bytes: 0, valueBytes: 0 };

/** Of every hundredth batch, so that measuring costs nothing. */
function weigh(batch: OutgoingBatch): OutgoingBatch {
  if (size.records > 0 && Math.random() > 0.01) return batch;
  for (const { value } of batch.records) {
    size.records += 1;
    size.valueBytes += value.length;
  }
  size.bytes += batch.records.bytes;
  return batch;
}

let nextOffset = 0;

function acknowledgementOf(events: readonly KernelRecord[]): Acknowledgement {
  const firstOffset = nextOffset;
  nextOffset += events.length;
  return { topic: 'exec-events', partition: 0, firstOffset, lastOffset: nextOffset - 1, records: events.length };
}

function openClient() {
  return createKafkaClient({ brokers: [options.brokers as string], clientId: 'bench', log });
}

async function whole(): Promise<void> {
  const destination = {
    topic: options.topic as string,
    partition: 0,
    retentionMillis: Number.POSITIVE_INFINITY,
    maxBatchBytes: batchBytes,
  };
  await using delivery = new Delivery({
    client: openClient(),
    destinations: new Map([['exec-events', destination]]),
    clock: systemClock,
    log,
    settings: { compression: options.compression as Compression },
  });
  source.finish();
  const weighed = { encode: (events: readonly KernelRecord[]) => weigh(codec.encode(events)) };
  await publish(source, { codec: weighed, delivery }, new AbortController().signal);
  if (delivery.figures.retries > 0) throw new Error(`${delivery.figures.retries} sends were repeated`);
}

async function client(): Promise<void> {
  // Encoded before the clock starts; sent round and round.
  const batches = encodedBatches(20).map(weigh);
  const producer = openClient().createProducer();
  await producer.connect();
  for (let sent = 0, n = 0; sent < options.records; n += 1) {
    const { records } = batches[n % batches.length] as OutgoingBatch;
    await producer.send({
      topic: options.topic as string,
      partition: 0,
      records,
      compression: options.compression as Compression,
      timeoutMillis: 8_000,
    });
    sent += records.length;
    watch.committed(sent);
  }
  await producer.close();
}

/** The first batches of the replay, encoded and kept. */
function encodedBatches(count: number): OutgoingBatch[] {
  const buffer = Buffer.alloc(512 * 1024);
  const replay = new FullRing(recording, count * batchRecords);
  return Array.from({ length: count }, () => {
    const { records } = replay.read(buffer, batchRecords);
    const batch: KernelRecord[] = [];
    let at = 0;
    for (let i = 0; i < records; i += 1) {
      const bytes = buffer.readUInt32LE(at);
      batch.push(reader.recordAt(buffer, at + 8, bytes) as KernelRecord);
      at += 8 + Math.ceil(bytes / 8) * 8;
    }
    return codec.encode(batch);
  });
}

async function drain(encode: (events: readonly KernelRecord[]) => OutgoingBatch): Promise<void> {
  source.finish();
  for await (const { events, commit } of source) {
    const encoded = weigh(encode(events));
    commit(acknowledgementOf(events));
    encoded.release?.();
  }
}

function read(): void {
  const buffer = Buffer.alloc(512 * 1024);
  for (let done = 0; done < options.records; ) {
    done += ring.read(buffer, batchRecords).records;
    watch.committed(done);
  }
}

const modes: Record<PipelineOptions['mode'], () => void | Promise<void>> = {
  whole,
  client,
  codec: () => drain((events) => codec.encode(events)),
  general: () => drain((events) => general.encode(events.map(table.eventOf))),
  read,
};

await modes[options.mode]();
const result: PipelineResult = {
  ...watch.end,
  recordBytes: size.bytes / size.records,
  valueBytes: size.valueBytes / size.records,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
