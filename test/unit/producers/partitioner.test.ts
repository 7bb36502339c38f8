import { describe, expect, test } from 'vitest';
import { murmur2, partitionFor } from '../../../src/producers/partitioner.ts';

describe('the Java client agrees', () => {
  // org.apache.kafka.common.utils.UtilsTest.testMurmur2
  test.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('on murmur2 of %s', (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash);
  });

  // Computed with kafka-clients 4.4.0: (Utils.murmur2(key.getBytes(UTF_8)) & 0x7fffffff) % partitions
  test.each([
    ['', 6, 3],
    ['', 50, 31],
    ['h', 6, 1],
    ['h', 50, 15],
    ['host-1', 1, 0],
    ['host-1', 6, 3],
    ['host-1', 50, 15],
    ['d4c3b2a1-0000-4000-8000-00805f9b34fb', 6, 4],
    ['d4c3b2a1-0000-4000-8000-00805f9b34fb', 50, 6],
    ['名前', 6, 4],
    ['名前', 50, 10],
    ['ÿ', 6, 1],
    ['ÿ', 50, 37],
    ['😀host', 6, 3],
    ['😀host', 50, 33],
  ])('on the partition of %s among %i', (key, partitions, partition) => {
    expect(partitionFor(key, partitions)).toBe(partition);
  });

  test('on bytes that do not begin at the start of their memory', () => {
    const slice = Buffer.from('xxxfoobar').subarray(3);
    expect(murmur2(slice)).toBe(-790332482);
  });
});
