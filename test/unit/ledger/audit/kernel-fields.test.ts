import { expect, test } from 'vitest';
import {
  areSameRecord,
  exitKernelFields,
  hashExitFields,
  hashKernelFields,
  kernelFields,
} from '../../../../src/ledger/audit/kernel-fields.ts';
import type { ExecEvent } from '../../../../src/schemas/exec-event.ts';
import type { ExitEvent } from '../../../../src/schemas/exit-event.ts';
import { fullEvent } from '../../schemas/events.ts';
import { fullExit } from '../../schemas/exits.ts';

/** Some other value of the same type. */
function other(value: ExecEvent[keyof ExecEvent] | ExitEvent[keyof ExitEvent]): unknown {
  if (typeof value === 'string') return `${value}x`;
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (Buffer.isBuffer(value)) return Buffer.concat([value, Buffer.from('x')]);
  return [...(value as string[]), ''];
}

const hash = hashKernelFields(fullEvent);

test.each([...kernelFields])('another %s is another record', (name) => {
  const again = hashKernelFields({ ...fullEvent, [name]: other(fullEvent[name]) });
  expect(areSameRecord(hash, again)).toBe(false);
});

const neverNull: readonly (keyof ExecEvent)[] = ['filename', 'degraded'];
test.each(kernelFields.filter((name) => !neverNull.includes(name)))('no %s is another record', (name) => {
  expect(areSameRecord(hash, hashKernelFields({ ...fullEvent, [name]: null }))).toBe(false);
});

test('what user space adds may differ between two records of one event', () => {
  const again = { ...fullEvent, host_name: 'renamed', event_time: 1, start_time: 2 };
  expect(hashKernelFields(again)).toBe(hashKernelFields(fullEvent));
});

test('what was hidden in one of them may differ; the rest still counts', () => {
  const hash = (more: Partial<ExecEvent>) => hashKernelFields({ ...fullEvent, ...more });
  const hidden = { args: ['curl', '***'], args_redacted: 1 };
  const degraded = [...fullEvent.degraded, 'args_raw', 'k8s_pod_name', 'user_name'];
  expect(areSameRecord(hash({}), hash(hidden))).toBe(true);
  expect(areSameRecord(hash({}), hash({ filename: '/tmp/***' }))).toBe(true);
  expect(areSameRecord(hash(hidden), hash({ ...hidden, args: ['curl', '***', '***'], args_redacted: 2 }))).toBe(true);
  expect(areSameRecord(hash(hidden), hash({ ...hidden, pid: 1 }))).toBe(false);
  expect(areSameRecord(hash({}), hash({ args: ['curl', '***'] }))).toBe(false);
  expect(areSameRecord(hash({}), hash({ degraded }))).toBe(true);
  expect(areSameRecord(hash({}), hash({ degraded: ['args'] }))).toBe(false);
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

test.each([...exitKernelFields])('another %s is another exit', (name) => {
  const value = fullExit[name] ?? 1;
  const again = hashExitFields({ ...fullExit, [name]: other(value) });
  expect(areSameRecord(hashExitFields(fullExit), again)).toBe(false);
});

test('what user space adds may differ between two records of one exit', () => {
  const again = { ...fullExit, host_name: null, event_time: 1, start_time: 2, container_id: null };
  expect(hashExitFields(again)).toBe(hashExitFields(fullExit));
});
