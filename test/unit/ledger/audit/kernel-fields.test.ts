import { expect, test } from 'vitest';
import { hashKernelFields, kernelFields } from '../../../../src/ledger/audit/kernel-fields.ts';
import type { ExecEvent } from '../../../../src/schemas/exec-event.ts';
import { fullEvent } from '../../schemas/events.ts';

/** Some other value of the same type. */
function other(value: ExecEvent[keyof ExecEvent]): unknown {
  if (typeof value === 'string') return `${value}x`;
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (Buffer.isBuffer(value)) return Buffer.concat([value, Buffer.from('x')]);
  return [...(value as string[]), ''];
}

test.each([...kernelFields])('another %s is another record, and so is none', (name) => {
  const hash = hashKernelFields(fullEvent);
  expect(hashKernelFields({ ...fullEvent, [name]: other(fullEvent[name]) })).not.toBe(hash);
  expect(hashKernelFields({ ...fullEvent, [name]: null })).not.toBe(hash);
});

test('what user space adds may differ between two records of one event', () => {
  const again = { ...fullEvent, host_name: 'renamed', event_time: 1, start_time: 2 };
  expect(hashKernelFields(again)).toBe(hashKernelFields(fullEvent));
});

test('borders between values count', () => {
  const hash = (args: string[]) => hashKernelFields({ ...fullEvent, args });
  expect(new Set([hash(['ab', 'c']), hash(['a', 'bc']), hash(['abc']), hash(['abc', '']), hash([])]).size).toBe(5);
});

test('the difference of two large numbers is not lost', () => {
  const hash = (boot_micros: number) => hashKernelFields({ ...fullEvent, boot_micros });
  expect(hash(2 ** 40)).not.toBe(hash(2 ** 41));
  expect(hash(-1)).not.toBe(hash(2 ** 32 - 1));
});
