import { Buffer } from 'node:buffer';
import { crc32c } from '@node-rs/crc32';
import type { PackedRecords } from '../records/packed-records.ts';
import { mostVarintBytes, varintBytes, writeVarint } from '../records/varint.ts';
import type { Codec } from './compression.ts';

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
  readonly records: PackedRecords;
  /** How long the broker may wait for its replicas, all of which have to acknowledge, milliseconds. */
  readonly timeout: number;
  readonly compression: Pick<Codec, 'code' | 'compress'>;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** Sequence number of the first record. */
  readonly firstSequence: number;
  /** Gives memory for the request, of so many bytes. */
  readonly memory: (bytes: number) => Buffer;
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
/** What a record has here that is not packed, at most: three varints and the attributes. */
const recordOverheadBytes = 3 * mostVarintBytes + 1;

/** The request as it goes to the socket, its length first. */
export async function encodeProduceRequest(request: ProduceRequest): Promise<Buffer> {
  const { records, compression } = request;
  const baseTimestamp = records.timestampOf(0);
  const bytes = records.bytes + records.length * recordOverheadBytes;
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
  const out = request.memory(fixedBytes + clientIdBytes + topicBytes + batchBytes);
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

function latestOf(records: PackedRecords): number {
  let latest = 0;
  for (let i = 0; i < records.length; i += 1) latest = Math.max(latest, records.timestampOf(i));
  return latest;
}

/**
 * Room for the records of a batch before compression, kept from one batch to the next: half a megabyte that is new each
 * time costs its page faults, and a collection of the whole heap every few dozen batches. Taken while it is in use.
 */
let spareRoom: Buffer | undefined;

function writeRecords(room: Buffer, records: PackedRecords, baseTimestamp: number): Buffer {
  let at = 0;
  for (let i = 0; i < records.length; i += 1) at = writeRecord(room, at, records, i, baseTimestamp);
  return room.subarray(0, at);
}

function writeRecord(out: Buffer, start: number, records: PackedRecords, index: number, baseTimestamp: number): number {
  const delta = records.timestampOf(index) - baseTimestamp;
  // The length goes first: of the attributes, the two numbers that follow, and what is packed.
  const length = 1 + varintBytes(delta) + varintBytes(index) + records.bytesOf(index);
  let at = writeVarint(out, start, length);
  out[at] = 0; // attributes
  at = writeVarint(out, at + 1, delta);
  at = writeVarint(out, at, index); // offset in the batch
  return records.copy(index, out, at);
}
