import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createExecTable } from '../../../src/sources/exec-fields.ts';
import { createExecRecordReader, micros } from '../../../src/sources/exec-record.ts';
import {
  containerId,
  enrichment,
  identity,
  knownCgroup,
  layout,
  type Numbers,
  newCgroup,
  podUid,
  recordOf,
  shorts,
  wallClock,
} from './records.ts';

const reader = createExecRecordReader(layout);
const table = createExecTable(layout, identity, wallClock, enrichment);

/** The event of the record of `bytes` bytes at `at`; undefined when it makes no sense. */
function decode(buffer: Buffer, at = 0, bytes = buffer.length) {
  const record = reader.recordAt(buffer, at, bytes);
  return record === undefined ? undefined : table.eventOf(record);
}

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
      args_redacted: 0,
      uid: 21,
      gid: 22,
      euid: 23,
      egid: 24,
      suid: 25,
      sgid: 4_294_967_295,
      user_name: 'alice',
      cgroup_id: '9223372036854775809',
      cgroup_path: '/a',
      container_id: null,
      container_runtime: null,
      pod_uid: null,
      k8s_namespace: null,
      k8s_pod_name: null,
      k8s_container_name: null,
      degraded: [],
    });
  });

  test('may stand anywhere among others', () => {
    const record = recordOf({ numbers: { seq: 9 } });
    const among = Buffer.concat([Buffer.alloc(40, 0xee), record, Buffer.alloc(40, 0xee)]);
    expect(decode(among, 40, record.length)).toEqual(decode(record));
    expect(reader.epochOf(among, 40, record.length)).toBe(0);
  });

  const ofCgroup = [
    'container_id',
    'container_runtime',
    'pod_uid',
    'k8s_namespace',
    'k8s_pod_name',
    'k8s_container_name',
  ];

  test('what could not be read is named, and null where null is allowed', () => {
    expect(decode(recordOf({ numbers: { unread: 0b1111 }, filename: Buffer.alloc(0) }))).toMatchObject({
      filename: '',
      parent_comm: null,
      cgroup_path: null,
      degraded: ['filename', 'args', 'parent_comm', 'cgroup_path', ...ofCgroup],
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

describe('what user space adds', () => {
  test('the name of the user, the container and its pod', () => {
    const event = decode(recordOf({ numbers: { uid: 22 }, cgroupPath: Buffer.from(knownCgroup) }));
    expect(event).toMatchObject({
      user_name: 'jürgen',
      container_id: containerId,
      container_runtime: 'cri-o',
      pod_uid: podUid,
      k8s_namespace: 'shop',
      k8s_pod_name: 'web-1',
      k8s_container_name: 'nginx',
      degraded: [],
    });
  });

  test('what could not be found out is null and named', () => {
    const event = decode(recordOf({ numbers: { uid: 23 }, cgroupPath: Buffer.from(newCgroup) }));
    expect(event).toMatchObject({
      user_name: null,
      container_id: containerId,
      k8s_namespace: null,
      k8s_pod_name: null,
      k8s_container_name: null,
      degraded: ['user_name', 'k8s_namespace', 'k8s_pod_name', 'k8s_container_name'],
    });
  });

  test('secrets are hidden in arguments and paths, and counted in arguments; sizes stay', () => {
    const argv = Buffer.from('x\0--password=s3cret\0--token\0abc\0');
    const event = decode(recordOf({ argv, filename: Buffer.from('/tmp/token=abc/x') }));
    expect(event).toMatchObject({
      filename: '/tmp/token=***',
      args: ['x', '--password=***', '--token', '***'],
      args_count: 4,
      args_bytes: argv.length,
      args_redacted: 2,
      args_raw: null,
      degraded: [],
    });
  });

  test('the bytes of arguments are withheld when something is hidden in them, and that is said', () => {
    const argv = Buffer.from('x\0--password=s3cret\0\xff\0', 'latin1');
    expect(decode(recordOf({ argv }))).toMatchObject({
      args: ['x', '--password=***', '\\xff'],
      args_redacted: 1,
      args_raw: null,
      degraded: ['args_raw'],
    });
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
    expect(decode(record, 0, layout.bytes - 1)).toBeUndefined();
    expect(reader.epochOf(record, 0, layout.bytes - 1)).toBeUndefined();
  });

  test('a span that lies behind the record is refused, also when the buffer goes on', () => {
    const record = recordOf({ numbers: { 'args.length': 100 } });
    expect(decode(Buffer.concat([record, Buffer.alloc(200)]), 0, record.length)).toBeUndefined();
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

test('microseconds are exact, however long the host is up', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 62n }), (nanos) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(nanos);
      expect(micros(bytes, 0)).toBe(Number(nanos / 1000n));
    }),
  );
});

test('a layout without a field, or with another width, is refused before the first record', () => {
  const { seq: _, ...fields } = layout.fields;
  expect(() => createExecTable({ ...layout, fields }, identity, wallClock, enrichment)).toThrow(/the field seq/);
  const wide = { ...layout, fields: { ...layout.fields, uid: { offset: 0, bytes: 8 } } };
  expect(() => createExecTable(wide, identity, wallClock, enrichment)).toThrow(/the field uid of 4 bytes/);
});
