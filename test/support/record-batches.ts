import { crc32c } from '@node-rs/crc32';

/** What a produce request carries to one partition. */
export interface ProducedBatch {
  /** Full name. */
  readonly topic: string;
  /** The bytes themselves, not a copy. */
  readonly batch: Buffer;
}

/** Reads a produce request (versions 3 to 7) of one topic and one partition, as all of ours are. */
export function producedBatchIn(frame: Buffer): ProducedBatch {
  // Length, api_key, api_version, correlation_id.
  const clientIdEnd = textEnd(frame, 12);
  const transactionalIdEnd = textEnd(frame, clientIdEnd);
  // acks, timeout, number of topics.
  const topicAt = transactionalIdEnd + 2 + 4 + 4;
  const topicEnd = textEnd(frame, topicAt);
  // Number of partitions, partition.
  const bytesAt = topicEnd + 4 + 4;
  const batchAt = bytesAt + 4;
  return {
    topic: frame.toString('utf8', topicAt + 2, topicEnd),
    batch: frame.subarray(batchAt, batchAt + frame.readInt32BE(bytesAt)),
  };
}

/** A nullable string: int16 length, -1 for null. */
function textEnd(frame: Buffer, at: number): number {
  return at + 2 + Math.max(0, frame.readInt16BE(at));
}

/** As in a network card that is not sound: the checksum does not fit any more, and the broker answers CORRUPT_MESSAGE. */
export function flipBit(batch: Buffer): true {
  batch.writeUInt8(batch.readUInt8(batch.length - 1) ^ 1, batch.length - 1);
  return true;
}

// Offsets in a record batch of magic 2.
const checksumAt = 17;
const attributesAt = 21;
const isControlBatch = 0x20;

/** Sound, but of a kind that brokers take from no client: they answer INVALID_RECORD. */
export function makeInvalid(batch: Buffer): true {
  batch.writeInt16BE(batch.readInt16BE(attributesAt) | isControlBatch, attributesAt);
  batch.writeUInt32BE(crc32c(batch.subarray(attributesAt)), checksumAt);
  return true;
}
