import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { StructLayout } from '../../../src/kernel/layout.ts';
import { WallClock } from '../../../src/kernel/wall-clock.ts';
import { createExecDecoder } from '../../../src/sources/exec-decoder.ts';

const words = [
  'seq',
  'epoch',
  'boot_ns',
  'start_boot_ns',
  'exec_count',
  'parent_start_boot_ns',
  'parent_exec_count',
  'cgroup_id',
  'unread',
  'args_bytes',
  'args_absent',
] as const;
const halves = [
  'args_count',
  'args_page_offset',
  'pid',
  'tid',
  'ppid',
  'uid',
  'gid',
  'euid',
  'egid',
  'suid',
  'sgid',
] as const;
const shorts = [
  'filename.offset',
  'filename.length',
  'cgroup_path.offset',
  'cgroup_path.length',
  'args.offset',
  'args.length',
] as const;
const comms = ['comm', 'parent_comm'] as const;

/** Not the order of bpf/abi.h, on purpose: the decoder knows a field by its name only. */
const layout: StructLayout = (() => {
  const fields: Record<string, { offset: number; bytes: number }> = {};
  let at = 16;
  const widths: [readonly string[], number][] = [
    [comms, 16],
    [words.toReversed(), 8],
    [halves.toReversed(), 4],
    [shorts.toReversed(), 2],
  ];
  for (const [names, bytes] of widths)
    for (const name of names) {
      fields[name] = { offset: at, bytes };
      at += bytes;
    }
  const names = ['FILENAME', 'ARGS', 'PARENT_COMM', 'CGROUP_PATH'];
  const bits = Object.fromEntries(names.map((name, bit) => [`EXEC_FIELD_${name}`, bit]));
  const limits = { ARGS_CAPTURED_BYTES: 32_768, ARGS_TAIL_BYTES: 8_192, ARGS_PAGE_BYTES: 4_096 };
  return { bytes: at, fields, enumerators: { ...bits, ...limits } };
})();

type Numbers = Partial<
  Record<(typeof words)[number] | (typeof halves)[number] | (typeof shorts)[number], bigint | number>
>;

interface Parts {
  numbers?: Numbers;
  filename?: Buffer;
  cgroupPath?: Buffer;
  argv?: Buffer;
  comm?: Buffer;
  parentComm?: Buffer;
}

/** A record as the kernel side would write it, with `numbers` over it. */
function recordOf({
  numbers = {},
  filename = Buffer.from('/bin/ls'),
  cgroupPath = Buffer.from('/a'),
  argv = Buffer.from('ls\0'),
  comm = Buffer.from('ls'),
  parentComm = Buffer.from('sh'),
}: Parts = {}): Buffer {
  const bytes = Buffer.alloc(layout.bytes);
  const placed: Numbers = {
    'filename.offset': layout.bytes,
    'filename.length': filename.length,
    'cgroup_path.offset': layout.bytes + filename.length,
    'cgroup_path.length': cgroupPath.length,
    'args.offset': layout.bytes + filename.length + cgroupPath.length,
    'args.length': argv.length,
    args_bytes: argv.length,
    ...numbers,
  };
  for (const [name, value] of Object.entries(placed)) {
    const { offset, bytes: width } = layout.fields[name] as { offset: number; bytes: number };
    if (width === 8) bytes.writeBigUInt64LE(BigInt(value), offset);
    else bytes.writeUIntLE(Number(value), offset, width);
  }
  comm.copy(bytes, layout.fields.comm?.offset);
  parentComm.copy(bytes, layout.fields.parent_comm?.offset);
  return Buffer.concat([bytes, filename, cgroupPath, argv]);
}

const identity = { hostId: 'host', hostName: 'name', bootId: '01234567-89ab-cdef-0123-456789abcdef', attachId: 77 };
const wallClock = new WallClock([{ fromBootMicros: 0, realtimeMinusBootMicros: 1_700_000_000_000_000 }]);
const decoder = createExecDecoder(layout, identity, wallClock);
const decode = (record: Buffer) => decoder.decode(record, 0, record.length);

describe('a record', () => {
  test('each field goes to its place', () => {
    const numbers: Numbers = {
      seq: 101,
      epoch: 102,
      boot_ns: 5_000_000_999n,
      start_boot_ns: 4_000_001_999n,
      exec_count: 3,
      parent_start_boot_ns: 0x1_0000_0002n,
      parent_exec_count: 4,
      cgroup_id: 2n ** 63n + 1n,
      args_count: 2,
      pid: 11,
      tid: 12,
      ppid: 13,
      uid: 21,
      gid: 22,
      euid: 23,
      egid: 24,
      suid: 25,
      sgid: 4_294_967_295,
    };
    expect(decode(recordOf({ numbers, argv: Buffer.from('ls\0-l\0') }))).toEqual({
      host_id: 'host',
      host_name: 'name',
      boot_id: identity.bootId,
      attach_id: 77,
      seq: 101,
      epoch: 102,
      event_time: 1_700_000_005_000,
      boot_micros: 5_000_000,
      start_time: 1_700_000_004_000,
      process_id: '0123456789abcdef00000000ee6b2fcf0000000b',
      parent_process_id: '0123456789abcdef00000001000000020000000d',
      exec_id: '0123456789abcdef00000000ee6b2fcf0000000b00000003',
      parent_exec_id: '0123456789abcdef00000001000000020000000d00000004',
      pid: 11,
      tid: 12,
      ppid: 13,
      comm: 'ls',
      parent_comm: 'sh',
      filename: '/bin/ls',
      args: ['ls', '-l'],
      args_count: 2,
      args_bytes: 6,
      args_captured_bytes: 6,
      args_truncated: false,
      args_raw: null,
      uid: 21,
      gid: 22,
      euid: 23,
      egid: 24,
      suid: 25,
      sgid: 4_294_967_295,
      cgroup_id: '9223372036854775809',
      cgroup_path: '/a',
      degraded: [],
    });
  });

  test('may stand anywhere among others', () => {
    const record = recordOf({ numbers: { seq: 9 } });
    const among = Buffer.concat([Buffer.alloc(40, 0xee), record, Buffer.alloc(40, 0xee)]);
    expect(decoder.decode(among, 40, record.length)).toEqual(decode(record));
    expect(decoder.epochOf(among, 40, record.length)).toBe(0);
  });

  test('what could not be read is named, and null where null is allowed', () => {
    expect(decode(recordOf({ numbers: { unread: 0b1111 }, filename: Buffer.alloc(0) }))).toMatchObject({
      filename: '',
      parent_comm: null,
      cgroup_path: null,
      degraded: ['filename', 'args', 'parent_comm', 'cgroup_path'],
    });
    // A bit that this version has no name for says nothing.
    expect(decode(recordOf({ numbers: { unread: 1n << 40n } }))?.degraded).toEqual([]);
  });

  test('a comm of 16 bytes without a NUL ends there; one that is not UTF-8 is escaped', () => {
    expect(decode(recordOf({ comm: Buffer.from('0123456789abcdef') }))?.comm).toBe('0123456789abcdef');
    expect(decode(recordOf({ comm: Buffer.from([0x61, 0xff]) }))?.comm).toBe('a\\xff');
  });

  test('args_raw outlives the buffer that it was read from', () => {
    const record = recordOf({ argv: Buffer.from([0xff, 0x00]) });
    const raw = decode(record)?.args_raw;
    record.fill(0);
    expect(raw).toEqual(Buffer.from([0xff, 0x00]));
  });
});

describe('a record that makes no sense', () => {
  test.for(['filename', 'cgroup_path', 'args'] as const)('%s outside of the record', (span) => {
    const record = recordOf();
    for (const numbers of [
      { [`${span}.offset`]: record.length, [`${span}.length`]: 1 },
      { [`${span}.offset`]: layout.bytes, [`${span}.length`]: record.length - layout.bytes + 1 },
      { [`${span}.offset`]: 65_535, [`${span}.length`]: 65_535 },
      // Over the fixed part: whatever is there is not the string.
      { [`${span}.offset`]: layout.bytes - 1, [`${span}.length`]: 1 },
      { [`${span}.offset`]: 0, [`${span}.length`]: 0 },
    ] as Numbers[])
      expect(decode(recordOf({ numbers }))).toBeUndefined();
  });

  test('shorter than its fixed part', () => {
    const record = recordOf();
    expect(decoder.decode(record, 0, layout.bytes - 1)).toBeUndefined();
    expect(decoder.epochOf(record, 0, layout.bytes - 1)).toBeUndefined();
  });

  test('a span that lies behind the record is refused, also when the buffer goes on', () => {
    const record = recordOf({ numbers: { 'args.length': 100 } });
    expect(decoder.decode(Buffer.concat([record, Buffer.alloc(200)]), 0, record.length)).toBeUndefined();
  });

  test('argv that the kernel side cannot have written', () => {
    for (const numbers of [
      // An offset in a page is below the size of one: the reads would be cut wrongly, and for a long time.
      { args_page_offset: 4096 },
      { args_page_offset: 0xffff_ffff, args_absent: 1 },
      // More captured than there was.
      { args_bytes: 2 },
      // Less than there was although it had room.
      { args_bytes: 4 },
    ] as Numbers[])
      expect(decode(recordOf({ numbers }))).toBeUndefined();
  });

  test('any bytes are an event or nothing, never an exception', () => {
    let events = 0;
    const tail = fc.uint8Array({ maxLength: 300, size: 'max' });
    const spans = fc.tuple(...shorts.map(() => fc.integer({ min: 0, max: layout.bytes + 350 })));
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: layout.bytes + 300, size: 'max' }),
        tail,
        spans,
        fc.boolean(),
        (garbage, rest, values, shaped) => {
          let record = Buffer.from(garbage);
          if (shaped) {
            record = Buffer.concat([record, Buffer.alloc(layout.bytes)]).subarray(0, layout.bytes);
            for (const [n, name] of shorts.entries()) {
              const inside = name.endsWith('offset') ? layout.bytes + ((values[n] ?? 0) % 20) : (values[n] ?? 0) % 40;
              record.writeUInt16LE(inside, layout.fields[name]?.offset);
            }
            // Of an argv that was captured whole; its first byte is at the beginning of a page.
            record.writeBigUInt64LE(
              BigInt(record.readUInt16LE(layout.fields['args.length']?.offset)),
              layout.fields.args_bytes?.offset,
            );
            record.writeUInt32LE(0, layout.fields.args_page_offset?.offset);
            record = Buffer.concat([record, rest]);
          }
          const event = decode(record);
          if (event === undefined) return;
          events += 1;
          expect(event.degraded.every((name) => typeof name === 'string')).toBe(true);
          expect(Array.isArray(event.args)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
    expect(events).toBeGreaterThan(100);
  });
});

test('a layout without a field, or with another width, is refused when the decoder is made', () => {
  const { seq: _, ...fields } = layout.fields;
  expect(() => createExecDecoder({ ...layout, fields }, identity, wallClock)).toThrow(/the field seq/);
  expect(() =>
    createExecDecoder({ ...layout, fields: { ...layout.fields, uid: { offset: 0, bytes: 8 } } }, identity, wallClock),
  ).toThrow(/the field uid of 4 bytes/);
});
