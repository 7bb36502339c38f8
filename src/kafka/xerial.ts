/**
 * The framing of snappy in Kafka, which is snappy-java's (org.xerial.snappy.SnappyOutputStream): a header of 16 bytes,
 * then blocks, each behind its length. Some clients write one bare block; everybody reads both.
 */
const magic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const headerBytes = 16;

/** @param block one block of raw snappy */
export function writeXerial(block: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(headerBytes + 4 + block.length);
  magic.copy(framed);
  framed.writeInt32BE(1, 8); // version
  framed.writeInt32BE(1, 12); // oldest version that can read it
  framed.writeInt32BE(block.length, headerBytes);
  block.copy(framed, headerBytes + 4);
  return framed;
}

/** @returns blocks of raw snappy, to be uncompressed one by one */
export function readXerial(framed: Buffer): Buffer[] {
  if (!framed.subarray(0, magic.length).equals(magic)) return [framed];
  const blocks: Buffer[] = [];
  for (let at = headerBytes; at < framed.length; ) {
    const length = framed.readInt32BE(at);
    if (length < 0 || at + 4 + length > framed.length) throw new Error('snappy: a block is longer than the batch');
    blocks.push(framed.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return blocks;
}
