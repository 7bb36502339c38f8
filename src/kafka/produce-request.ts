import { Buffer } from 'node:buffer';
import { crc32c } from '@node-rs/crc32';
import type { Codec } from './compression.ts';
import type { ProducerRecord } from './kafka-client.ts';

/**
 * A produce request for one partition, written in one pass. kafkajs makes an encoder for each record and each header
 * and copies each of them several times; that alone took more CPU than everything else between ring and broker.
 * Formats: kafka.apache.org/protocol (Produce, versions 3 to 7) and kafka.apache.org/documentation/#recordbatch.
 */
export interface ProduceRequest {
  /** They differ in nothing but their number. */
  readonly version: ProduceVersion;
  readonly correlationId: number;
  readonly clientId: string;
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly ProducerRecord[];
  /** How long the broker may wait for its replicas, all of which have to acknowledge, milliseconds. */
  readonly timeout: number;
  readonly compression: Pick<Codec, 'code' | 'compress'>;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** Sequence number of the first record. */
  readonly firstSequence: number;
}

export const produceKey = 0;
export const oldestProduceVersion = 3;
export const newestProduceVersion = 7;
export type ProduceVersion = 3 | 4 | 5 | 6 | 7;

// Of a record batch, from its base offset to its record count.
const batchHeaderBytes = 61;
/** Where the checksummed part begins: behind base offset, length, leader epoch, magic and the checksum itself. */
const checksummedFrom = 21;
const magic = 2;
const allReplicas = -1;
/** Of a request, before its batch and without the bytes of its texts. */
const fixedBytes = 4 + 2 + 2 + 4 + 2 + 2 + 2 + 4 + 4 + 2 + 4 + 4 + 4;
/** What a record has beside key, value and headers, at most: five varints and the attributes. */
const recordOverheadBytes = 26;
const headerOverheadBytes = 10;

/** The request as it goes to the socket, its length first. */
export async function encodeProduceRequest(request: ProduceRequest): Promise<Buffer> {
  const { records, compression } = request;
  const baseTimestamp = (records[0] as ProducerRecord).timestamp;
  const bytes = mostBytes(records);
  const room = spareRoom !== undefined && spareRoom.length >= bytes ? spareRoom : Buffer.allocUnsafeSlow(bytes);
  spareRoom = undefined;
  const plain = writeRecords(room, records, baseTimestamp);
  const body = compression.code === 0 ? plain : await compression.compress(plain);
  const encoded = encode(request, body, baseTimestamp);
  spareRoom = room;
  return encoded;
}

/** @param body the records, compressed */
function encode(request: ProduceRequest, body: Buffer, baseTimestamp: number): Buffer {
  const { clientId, topic, records } = request;
  const topicBytes = Buffer.byteLength(topic);
  const clientIdBytes = Buffer.byteLength(clientId);
  const batchBytes = batchHeaderBytes + body.length;
  const out = Buffer.allocUnsafe(fixedBytes + clientIdBytes + topicBytes + batchBytes);
  let at = out.writeInt32BE(out.length - 4, 0);
  at = out.writeInt16BE(produceKey, at);
  at = out.writeInt16BE(request.version, at);
  at = out.writeInt32BE(request.correlationId, at);
  at = out.writeInt16BE(clientIdBytes, at);
  at += out.write(clientId, at);
  at = out.writeInt16BE(-1, at); // no transactional id
  at = out.writeInt16BE(allReplicas, at);
  at = out.writeInt32BE(request.timeout, at);
  at = out.writeInt32BE(1, at); // topics
  at = out.writeInt16BE(topicBytes, at);
  at += out.write(topic, at);
  at = out.writeInt32BE(1, at); // partitions
  at = out.writeInt32BE(request.partition, at);
  at = out.writeInt32BE(batchBytes, at);

  // A record batch of magic 2.
  const batch = at;
  at = out.writeBigInt64BE(0n, at); // base offset: the broker's business
  at = out.writeInt32BE(batchBytes - 12, at);
  at = out.writeInt32BE(0, at); // leader epoch: the broker's business
  at = out.writeInt8(magic, at);
  at += 4; // checksum, below
  at = out.writeInt16BE(request.compression.code, at);
  at = out.writeInt32BE(records.length - 1, at); // offset of the last record in the batch
  at = out.writeBigInt64BE(BigInt(baseTimestamp), at);
  at = out.writeBigInt64BE(BigInt(latestOf(records)), at);
  at = out.writeBigInt64BE(request.producerId, at);
  at = out.writeInt16BE(request.producerEpoch, at);
  at = out.writeInt32BE(request.firstSequence, at);
  at = out.writeInt32BE(records.length, at);
  body.copy(out, at);
  out.writeUInt32BE(crc32c(out.subarray(batch + checksummedFrom)), batch + checksummedFrom - 4);
  return out;
}

function latestOf(records: readonly ProducerRecord[]): number {
  let latest = 0;
  for (const { timestamp } of records) if (timestamp > latest) latest = timestamp;
  return latest;
}

/**
 * Room for the records of a batch before compression, kept from one batch to the next: half a megabyte that is new each
 * time costs its page faults, and a collection of the whole heap every few dozen batches. Taken while it is in use.
 */
let spareRoom: Buffer | undefined;

function writeRecords(room: Buffer, records: readonly ProducerRecord[], baseTimestamp: number): Buffer {
  let at = 0;
  for (let i = 0; i < records.length; i += 1)
    at = writeRecord(room, at, records[i] as ProducerRecord, i, baseTimestamp);
  return room.subarray(0, at);
}

function mostBytes(records: readonly ProducerRecord[]): number {
  // Three bytes a UTF-16 unit is the most that UTF-8 takes.
  let bytes = 0;
  for (const { key, value, headers } of records) {
    bytes += recordOverheadBytes + key.length * 3 + value.length;
    for (const name in headers) bytes += headerOverheadBytes + (name.length + (headers[name] as string).length) * 3;
  }
  return bytes;
}

function writeRecord(
  out: Buffer,
  start: number,
  record: ProducerRecord,
  offset: number,
  baseTimestamp: number,
): number {
  // The length goes first and is known last: two bytes are kept for it, which is nearly always right.
  const bodyStart = start + 2;
  let at = bodyStart;
  out[at] = 0; // attributes
  at = writeVarint(out, at + 1, record.timestamp - baseTimestamp);
  at = writeVarint(out, at, offset);
  at = writeText(out, at, record.key);
  at = writeVarint(out, at, record.value.length);
  at += record.value.copy(out, at);
  let count = 0;
  for (const _ in record.headers) count += 1;
  at = writeVarint(out, at, count);
  for (const name in record.headers) {
    at = writeText(out, at, name);
    at = writeText(out, at, record.headers[name] as string);
  }
  const length = at - bodyStart;
  const prefixBytes = varintBytes(length);
  if (prefixBytes !== 2) out.copyWithin(start + prefixBytes, bodyStart, at);
  return writeVarint(out, start, length) + length;
}

function writeText(out: Buffer, start: number, text: string): number {
  // Nearly all are short and ASCII, and a call into the runtime costs more than their bytes.
  const first = start + varintBytes(text.length);
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return writeUtf8(out, start, text);
    out[first + i] = unit;
  }
  return writeVarint(out, start, text.length) + text.length;
}

function writeUtf8(out: Buffer, start: number, text: string): number {
  const first = writeVarint(out, start, Buffer.byteLength(text));
  return first + out.write(text, first);
}

/** What `writeVarint` takes for a length. */
function varintBytes(length: number): number {
  return length < 0x40 ? 1 : length < 0x2000 ? 2 : length < 0x10_0000 ? 3 : length < 0x800_0000 ? 4 : 5;
}

/** Zigzag, base 128, least significant group first; exact for integers up to 2^52. */
function writeVarint(out: Buffer, start: number, value: number): number {
  let rest = value < 0 ? value * -2 - 1 : value * 2;
  let at = start;
  while (rest > 0x7f) {
    out[at] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
    at += 1;
  }
  out[at] = rest;
  return at + 1;
}
