import { expect, test } from 'vitest';
import { parseRecords } from '../../support/kcat.ts';

test('bytes that look like separators stay in the value', () => {
  const value = Buffer.from('0 1\n2 3\n');
  const output = Buffer.concat([
    Buffer.from(`2 7 1700000000000 3 ${value.length} a=b=c,seq=1\nkey`),
    value,
    Buffer.from('\n'),
  ]);
  expect(parseRecords(output)).toEqual([
    {
      partition: 2,
      offset: 7,
      timestamp: 1_700_000_000_000,
      key: Buffer.from('key'),
      value,
      headers: { a: 'b=c', seq: '1' },
    },
  ]);
});

test('a missing key or value reads as empty, and the next record follows', () => {
  const records = parseRecords(Buffer.from('0 0 5 -1 -1 \n\n0 1 6 0 1 \nx\n'));
  expect(records.map(({ offset, value, headers }) => [offset, value.toString(), headers])).toEqual([
    [0, '', {}],
    [1, 'x', {}],
  ]);
});

test('output that was cut off is refused', () => {
  expect(() => parseRecords(Buffer.from('0 0 5 0 9 \nabc'))).toThrow('not aligned');
});
