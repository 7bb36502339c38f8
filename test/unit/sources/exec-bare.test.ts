import { expect, test } from 'vitest';
import { createCodec, createDecoder } from '../../../src/schemas/codec.ts';
import type { ExecEvent } from '../../../src/schemas/exec-event.ts';
import { createExecTable } from '../../../src/sources/exec-fields.ts';
import { createExecRecordReader } from '../../../src/sources/exec-record.ts';
import type { KernelRecord } from '../../../src/sources/kernel-record.ts';
import { createRecordCodec } from '../../../src/sources/record-codec.ts';
import { enrichment, identity, layout, limits, type Numbers, recordOf, wallClock } from './records.ts';

const reader = createExecRecordReader(layout);

/** The beginning of a record, and behind it what may stand there: the next one. */
function bareRecord(numbers: Numbers = {}, behind = 0x00): KernelRecord {
  const beginning = recordOf({ numbers }).subarray(0, limits.EXEC_BARE_BYTES);
  const bytes = Buffer.concat([beginning, Buffer.alloc(2 * layout.bytes, behind)]);
  const record = reader.recordAt(bytes, 0, limits.EXEC_BARE_BYTES);
  if (record === undefined) throw new Error('the record makes no sense');
  return record;
}

function wholeRecord(numbers: Numbers = {}): KernelRecord {
  const bytes = recordOf({ numbers });
  return reader.recordAt(bytes, 0, bytes.length) as KernelRecord;
}

const setUp = () => {
  const table = createExecTable(layout, identity, wallClock, enrichment);
  const codec = createCodec({ topic: 'exec-events', framing: { kind: 'single-object' } });
  return { table, encode: createRecordCodec('exec-events', table, codec).encode };
};

const numbers: Numbers = { seq: 5, epoch: 9, boot_ns: 3_000_000n, pid: 7, tid: 8, ppid: 6, uid: 21, cgroup_id: 4n };

test('a record is bare by its length, and any shorter one makes no sense', () => {
  expect(bareRecord(numbers)).toMatchObject({ bare: true, epoch: 9, bootMicros: 3_000 });
  expect(wholeRecord().bare).toBe(false);
  const bytes = recordOf();
  for (const length of [0, limits.EXEC_BARE_BYTES - 1, limits.EXEC_BARE_BYTES + 1, layout.bytes - 1])
    expect(reader.recordAt(bytes, 0, length)).toBeUndefined();
});

test('its fields are those of the whole record; the others are null, and named in degraded', () => {
  const { table } = setUp();
  const whole = table.eventOf(wholeRecord(numbers));
  const bare = table.eventOf(bareRecord(numbers));
  const known = Object.entries(bare).filter(
    ([name, value]) => value !== null && !['degraded', 'filename'].includes(name),
  );
  expect(Object.fromEntries(known)).toEqual(
    Object.fromEntries(known.map(([name]) => [name, whole[name as keyof ExecEvent]])),
  );
  expect(known.map(([name]) => name)).toEqual([
    ...['host_id', 'host_name', 'boot_id', 'attach_id', 'epoch', 'seq', 'event_time', 'boot_micros', 'process_id'],
    ...[
      'parent_process_id',
      'exec_id',
      'parent_exec_id',
      'pid',
      'tid',
      'ppid',
      'start_time',
      'comm',
      'uid',
      'user_name',
    ],
    ...['cgroup_id', 'exec_result'],
  ]);
  expect(bare.filename).toBe('');
  const others = Object.keys(whole).filter((name) => !known.some(([each]) => each === name) && name !== 'degraded');
  expect(bare.degraded).toEqual(others);
  expect(Object.keys(bare)).toEqual(Object.keys(whole));
});

test('what stands behind it does not show', () => {
  const { table } = setUp();
  expect(table.eventOf(bareRecord(numbers, 0xff))).toEqual(table.eventOf(bareRecord(numbers, 0x00)));
});

test('a user without a name is no fault, one that could not be looked up is', () => {
  const { table } = setUp();
  expect(table.eventOf(bareRecord({ ...numbers, uid: 99 }))).toMatchObject({ uid: 99, user_name: null });
  expect(table.eventOf(bareRecord({ ...numbers, uid: 99 })).degraded).not.toContain('user_name');
  expect(table.eventOf(bareRecord({ ...numbers, uid: 23 })).degraded).toContain('user_name');
});

test('it is written among whole ones, in their order', async () => {
  const { table, encode } = setUp();
  const batch = [wholeRecord({ seq: 1 }), bareRecord({ ...numbers, seq: 2 }, 0x00), wholeRecord({ seq: 3 })];
  const expected = batch.map(table.eventOf);
  const { records } = encode(batch);
  const decoder = createDecoder({ topic: 'exec-events' });
  const decoded = await Promise.all(Array.from(records, ({ value }) => decoder.decode(value)));
  expect(decoded.map((each) => each.ok && each.event)).toEqual(expected);
  expect(Array.from(records, ({ headers }) => headers.seq)).toEqual(['1', '2', '3']);
  expect(records.at(1).timestamp).toBe(expected[1]?.event_time);
});

test('nothing is known of it when a child asks', () => {
  const { table, encode } = setUp();
  encode([bareRecord({ ...numbers, start_boot_ns: 5n, exec_count: 3 })]);
  const child = wholeRecord({ pid: 70, ppid: 7, parent_start_boot_ns: 5n, parent_exec_count: 3 });
  expect(table.eventOf(child)).toMatchObject({
    parent_exe: null,
    parent_args: null,
    degraded: ['parent_exe', 'parent_args'],
  });
});
