import { expect, test } from 'vitest';
import { bitNames, offsetOf, type StructLayout } from '../../../src/kernel/layout.ts';

const layout: StructLayout = {
  bytes: 24,
  fields: { seq: { offset: 0, bytes: 8 }, 'args.length': { offset: 10, bytes: 2 }, comm: { offset: 12, bytes: 12 } },
  enumerators: { EXEC_FIELD_FILENAME: 0, EXEC_FIELD_PARENT_COMM: 2 },
};

const failure = (call: () => unknown): unknown => {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
};

test('a field is found by name and width', () => {
  expect([offsetOf(layout, 'seq', 8), offsetOf(layout, 'args.length', 2), offsetOf(layout, 'comm', 12)]).toEqual([
    0, 10, 12,
  ]);
});

test('a field of another width, or none, is an error and never a wrong value', () => {
  expect(failure(() => offsetOf(layout, 'seq', 4))).toMatchObject({
    code: 'ERR_ADDON',
    message: expect.stringContaining('it has 8 bytes'),
  });
  expect(failure(() => offsetOf(layout, 'epoch', 8))).toMatchObject({
    code: 'ERR_ADDON',
    message: expect.stringContaining('epoch'),
  });
});

test('bits are named as in the topic', () => {
  const names = bitNames(layout, 'EXEC_FIELD_');
  expect(names[0]).toBe('filename');
  expect(names[2]).toBe('parent_comm');
  expect(names).toHaveLength(3);
});
