import type { ProduceAnswer } from './kafka-client.ts';

/**
 * The answer to a produce request (kafka.apache.org/protocol, Produce, versions 3 to 7), behind its correlation id.
 * @throws RangeError when it ends too early
 */
export function decodeProduceResponse(bytes: Buffer, version: number): ProduceAnswer {
  const partitions: ProduceAnswer['partitions'][number][] = [];
  let at = 4;
  for (let topics = bytes.readInt32BE(0); topics > 0; topics -= 1) {
    const nameBytes = bytes.readInt16BE(at);
    const topic = bytes.toString('utf8', at + 2, at + 2 + nameBytes);
    at += 2 + nameBytes;
    let left = bytes.readInt32BE(at);
    at += 4;
    for (; left > 0; left -= 1) {
      const partition = bytes.readInt32BE(at);
      const errorCode = bytes.readInt16BE(at + 4);
      const baseOffset = Number(bytes.readBigInt64BE(at + 6));
      partitions.push({ topic, partition, errorCode, baseOffset });
      at += 4 + 2 + 8 + 8; // and the time of the append
      if (version >= 5) at += 8; // the first offset of the log
    }
  }
  return { partitions, throttleMillis: bytes.readInt32BE(at) };
}
