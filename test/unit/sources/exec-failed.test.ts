import { describe, expect, test } from 'vitest';
import { createCodec } from '../../../src/schemas/codec.ts';
import type { ExecEvent } from '../../../src/schemas/exec-event.ts';
import { createExecTable } from '../../../src/sources/exec-fields.ts';
import { createExecRecordReader } from '../../../src/sources/exec-record.ts';
import { createRecordCodec } from '../../../src/sources/record-codec.ts';
import { bits, enrichment, identity, layout, type Parts, recordOf, wallClock } from './records.ts';

/** The event of an exec that failed: what there is of the caller, nothing of a program that never was. */

const reader = createExecRecordReader(layout);
const table = createExecTable(layout, identity, wallClock, enrichment, ['HOME']);
const enoent = 2 ** 32 - 2;
const none = Buffer.alloc(0);

function recordWith({ numbers = {}, ...parts }: Parts) {
  const bytes = recordOf({ exe: none, numbers: { result: enoent, ...numbers }, ...parts });
  const record = reader.recordAt(bytes, 0, bytes.length);
  if (record === undefined) throw new Error('the record makes no sense');
  return record;
}

const failed = (parts: Parts = {}) => table.eventOf(recordWith(parts));

/** But for the parent's program, which nobody has told of. */
const missing = ({ degraded }: ExecEvent) => degraded.filter((name) => !name.startsWith('parent_'));

test('it has what was given, and nothing of the file that would have run', () => {
  const event = failed({ numbers: { file_inode: 0, flags: bits('EXEC_FLAG_', 'NO_NEW_PRIVS') } });
  expect(event).toMatchObject({
    exec_result: -2,
    filename: '/bin/ls',
    args: ['ls'],
    args_count: 1,
    args_bytes: 3,
    args_truncated: false,
    no_new_privs: true,
  });
  expect(missing(event)).toEqual([]);
  for (const name of ['exe', 'exe_truncated', 'interpreter', 'setuid_exec', 'env', 'file_inode', 'file_memfd'] as const)
    expect([name, event[name]]).toEqual([name, null]);
});

describe('what is not known of its arguments is null and named', () => {
  test('of a list that could not be read to its end, its size', () => {
    const event = failed({ argv: Buffer.from('ls\0-l\0'), numbers: { unread: bits('EXEC_FIELD_', 'ARGS') } });
    expect(event).toMatchObject({ args: ['ls', '-l'], args_count: null, args_bytes: null, args_truncated: true });
    expect(missing(event)).toEqual(['args', 'args_count', 'args_bytes']);
  });

  test.each([
    ['program', 1, Buffer.from('ls\0'), ['ls'], 3, true],
    ['program', 1, Buffer.from('ls\0'), ['ls'], 1, false],
    ['none', 2, none, null, 2, true],
    ['none', 2, none, null, 0, false],
  ] as const)('with --args %s, its bytes', (_mode, argsMode, argv, args, count, truncated) => {
    const event = failed({ argv, numbers: { args_mode: argsMode, args_count: count } });
    expect(event).toMatchObject({ args, args_count: count, args_bytes: null, args_truncated: truncated });
    expect(missing(event)).toEqual(['args_bytes']);
  });
});

test('it is written field by field, and its file is not that of children to come', () => {
  const codec = createCodec({ topic: 'exec-events', framing: { kind: 'single-object' } });
  const inOrder: ExecEvent[] = [];
  const spied = { ...codec, encode: (events: readonly ExecEvent[]) => codec.encode(events.map(noted)) };
  const noted = (event: ExecEvent) => {
    inOrder.push(event);
    return event;
  };
  const failure = recordWith({});
  createRecordCodec('exec-events', table, spied).encode([failure]);
  expect(inOrder).toEqual([table.eventOf(failure)]);
  const parent = { start_boot_ns: 5n, pid: 7, exec_count: 1 };
  table.remember?.(recordWith({ numbers: parent }), false);
  const child = table.eventOf(
    recordWith({ numbers: { parent_start_boot_ns: 5n, ppid: 7, parent_exec_count: 1, result: 0 } }),
  );
  expect(child.parent_exe).toBeNull();
});
