import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createExecTable } from '../../../src/sources/exec-fields.ts';
import { createExecRecordReader } from '../../../src/sources/exec-record.ts';
import { micros, viewOf } from '../../../src/sources/kernel-record.ts';
import {
  ancestorOf,
  bits,
  containerId,
  enrichment,
  identity,
  knownCgroup,
  layout,
  limits,
  type Numbers,
  newCgroup,
  podUid,
  recordOf,
  shorts,
  strings,
  wallClock,
} from './records.ts';

const reader = createExecRecordReader(layout);
const table = createExecTable(layout, identity, wallClock, enrichment);

/** The event of the record of `bytes` bytes at `at`; undefined when it makes no sense. */
function decode(buffer: Buffer, at = 0, bytes = buffer.length) {
  const record = reader.recordAt(buffer, at, bytes);
  return record === undefined ? undefined : table.eventOf(record);
}

/** Nothing is known of the parents of these records. */
const ofParent = ['parent_exe', 'parent_args'];

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
      sid: 31,
      pgid: 32,
      ns_pid: 33,
      loginuid: 34,
      session_id: 0xffff_ffff,
      seccomp_mode: 2,
      flags: bits('EXEC_FLAG_', 'NO_NEW_PRIVS', 'SETGID', 'FILE_DELETED'),
      cap_effective: 41,
      cap_permitted: 42,
      cap_inheritable: 43,
      cap_ambient: 44,
      cap_bounding: 2n ** 41n - 1n,
      file_inode: 2n ** 64n - 1n,
      file_device: (8 << 20) | 1,
      file_mode: 0o100755,
      file_uid: 51,
      file_gid: 52,
      file_nlink: 53,
      file_mtime_ms: 2n ** 64n - 2n,
      file_ctime_ms: 1_700_000_000_123n,
      ns_mnt: 61,
      ns_pid_id: 62,
      ns_net: 63,
      ns_user: 64,
      ns_cgroup: 4_026_531_835,
    };
    const parts = {
      argv: Buffer.from('ls\0-l\0'),
      interpreter: Buffer.from('/bin/sh'),
      cwd: Buffer.from('/srv'),
      tty: Buffer.from('pts0'),
      ancestors: [
        ancestorOf({ pid: 13, startNs: 2_000_000_999n, execCount: 5, comm: Buffer.from('sh') }),
        ancestorOf({ pid: 1, startNs: 0n }),
      ],
    };
    expect(decode(recordOf({ numbers, ...parts }))).toEqual({
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
      ns_pid: 33,
      comm: 'ls',
      parent_comm: 'sh',
      filename: '/bin/ls',
      exe: '/usr/bin/ls',
      exe_truncated: false,
      interpreter: '/bin/sh',
      cwd: '/srv',
      args: ['ls', '-l'],
      args_count: 2,
      args_bytes: 6,
      args_captured_bytes: 6,
      args_truncated: false,
      args_raw: null,
      args_redacted: 0,
      env: null,
      uid: 21,
      gid: 22,
      euid: 23,
      egid: 24,
      suid: 25,
      sgid: 4_294_967_295,
      user_name: 'alice',
      loginuid: 34,
      session_id: null,
      sid: 31,
      pgid: 32,
      tty: 'pts0',
      cap_effective: 41,
      cap_permitted: 42,
      cap_inheritable: 43,
      cap_ambient: 44,
      cap_bounding: 2 ** 41 - 1,
      no_new_privs: true,
      seccomp_mode: 2,
      setuid_exec: false,
      setgid_exec: true,
      file_inode: '18446744073709551615',
      file_device: '8:1',
      file_mode: 0o100755,
      file_uid: 51,
      file_gid: 52,
      file_nlink: 53,
      file_mtime: -2,
      file_ctime: 1_700_000_000_123,
      file_memfd: false,
      file_deleted: true,
      file_overlay_upper: false,
      ns_mnt: 61,
      ns_pid_id: 62,
      ns_net: 63,
      ns_user: 64,
      ns_cgroup: 4_026_531_835,
      cgroup_id: '9223372036854775809',
      cgroup_path: '/a',
      container_id: null,
      container_runtime: null,
      pod_uid: null,
      k8s_namespace: null,
      k8s_pod_name: null,
      k8s_container_name: null,
      parent_exe: null,
      parent_args: null,
      ancestors: [
        {
          pid: 13,
          start_time: 1_700_000_002_000,
          comm: 'sh',
          process_id: '0123456789abcdef00000000773597e70000000d',
          exec_id: '0123456789abcdef00000000773597e70000000d00000005',
          exe: null,
        },
        {
          pid: 1,
          start_time: 1_700_000_000_000,
          comm: 'init',
          process_id: '0123456789abcdef000000000000000000000001',
          exec_id: '0123456789abcdef00000000000000000000000100000000',
          exe: null,
        },
      ],
      exec_result: 0,
      degraded: ofParent,
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
    const names = ['FILENAME', 'EXE', 'CWD', 'ARGS', 'NS_PID', 'SECCOMP_MODE', 'FILE_OVERLAY_UPPER', 'CGROUP_PATH'];
    const numbers = { unread: bits('EXEC_FIELD_', ...names) };
    expect(decode(recordOf({ numbers, filename: Buffer.alloc(0) }))).toMatchObject({
      filename: '',
      exe: null,
      exe_truncated: null,
      cwd: null,
      ns_pid: null,
      seccomp_mode: null,
      file_overlay_upper: null,
      cgroup_path: null,
      degraded: [...names.map((name) => name.toLowerCase()), ...ofCgroup, ...ofParent],
    });
    // A bit that this version has no name for says nothing.
    expect(decode(recordOf({ numbers: { unread: 1n << 40n } }))?.degraded).toEqual(ofParent);
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

describe('of argv', () => {
  const mode = { program: layout.enumerators.EXEC_ARGS_PROGRAM, none: layout.enumerators.EXEC_ARGS_NONE };

  test('the program alone', () => {
    const numbers = { args_mode: mode.program, args_bytes: 100, args_count: 7 } as Numbers;
    expect(decode(recordOf({ numbers, argv: Buffer.from('ls\0') }))).toMatchObject({
      args: ['ls'],
      args_count: 7,
      args_bytes: 100,
      args_captured_bytes: 3,
      args_truncated: true,
      args_raw: null,
    });
    const unread = { ...numbers, unread: bits('EXEC_FIELD_', 'ARGS'), args_absent: 1 };
    const event = decode(recordOf({ numbers: unread, argv: Buffer.alloc(0) }));
    expect(event).toMatchObject({ args: null, degraded: ['args', ...ofParent] });
    const longer = Buffer.alloc(4097, 0x61);
    expect(decode(recordOf({ numbers: { ...numbers, args_bytes: 5000 }, argv: longer }))).toBeUndefined();
  });

  test('nothing', () => {
    const numbers = { args_mode: mode.none, args_bytes: 100, args_count: 7 } as Numbers;
    expect(decode(recordOf({ numbers, argv: Buffer.alloc(0) }))).toMatchObject({
      args: null,
      args_count: 7,
      args_captured_bytes: 0,
      args_truncated: true,
      degraded: ofParent,
    });
  });
});

describe('of the environment', () => {
  const wanting = createExecTable(layout, identity, wallClock, enrichment, ['LD_PRELOAD', 'HOME']);
  const env = Buffer.from('PATH=/bin\0LD_PRELOAD=/x.so\0');
  const captured = { flags: bits('EXEC_FLAG_', 'ENV') };

  function envOf(parts: Parameters<typeof recordOf>[0], of = wanting) {
    const bytes = recordOf(parts);
    const record = reader.recordAt(bytes, 0, bytes.length);
    return record === undefined ? undefined : of.fields.env.read(record);
  }

  test('the variables that were asked for', () => {
    expect(envOf({ numbers: captured, env })).toEqual({ LD_PRELOAD: '/x.so' });
    expect(envOf({ numbers: captured })).toEqual({});
  });

  test('without the secrets in them', () => {
    const secret = Buffer.from('HOME=https://u:p@h\0');
    expect(envOf({ numbers: captured, env: secret })).toEqual({ HOME: 'https://u:***@h' });
  });

  test('null when none was asked for, then or now', () => {
    expect(envOf({ numbers: captured, env }, table)).toBeNull();
    expect(envOf({})).toBeNull();
  });

  test('null when it is not whole and has none of them, what there is otherwise', () => {
    const numbers = { ...captured, unread: bits('EXEC_FIELD_', 'ENV'), env_absent: 1 };
    expect(envOf({ numbers, env })).toBeNull();
    expect(envOf({ numbers: { ...numbers, env_absent: 0 }, env })).toEqual({ LD_PRELOAD: '/x.so' });
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
      degraded: ofParent,
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
      degraded: ['user_name', 'k8s_namespace', 'k8s_pod_name', 'k8s_container_name', ...ofParent],
    });
  });

  test('secrets are hidden in arguments and paths, and counted in arguments; sizes stay', () => {
    const argv = Buffer.from('x\0--password=s3cret\0--token\0abc\0');
    const path = Buffer.from('/tmp/token=abc/x');
    expect(decode(recordOf({ argv, filename: path, exe: path, cwd: path }))).toMatchObject({
      filename: '/tmp/token=***',
      exe: '/tmp/token=***',
      cwd: '/tmp/token=***',
      args: ['x', '--password=***', '--token', '***'],
      args_count: 4,
      args_bytes: argv.length,
      args_redacted: 2,
      args_raw: null,
      degraded: ofParent,
    });
  });

  test('the bytes of arguments are withheld when something is hidden in them, and that is said', () => {
    const argv = Buffer.from('x\0--password=s3cret\0\xff\0', 'latin1');
    expect(decode(recordOf({ argv }))).toMatchObject({
      args: ['x', '--password=***', '\\xff'],
      args_redacted: 1,
      args_raw: null,
      degraded: ['args_raw', ...ofParent],
    });
  });
});

describe('a record that makes no sense', () => {
  test.for(strings)('%s outside of the record', (span) => {
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

  test('half an ancestor', () => {
    expect(decode(recordOf({ ancestors: [ancestorOf().subarray(1)] }))).toBeUndefined();
  });

  test('an environment that the kernel side cannot have written', () => {
    for (const numbers of [{ env_page_offset: 4096 }, { env_bytes: 3 }, { env_bytes: 5 }] as Numbers[])
      expect(decode(recordOf({ numbers, env: Buffer.from('A=1\0') }))).toBeUndefined();
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
            record.writeUInt32LE(0, layout.fields.args_mode?.offset);
            record.writeUInt16LE(0, layout.fields['ancestors.length']?.offset);
            record.writeBigUInt64LE(
              BigInt(record.readUInt16LE(layout.fields['env.length']?.offset)),
              layout.fields.env_bytes?.offset,
            );
            record.writeUInt32LE(0, layout.fields.env_page_offset?.offset);
            record = Buffer.concat([record, rest]);
          }
          const event = decode(record);
          if (event === undefined) return;
          events += 1;
          expect(event.degraded.every((name) => typeof name === 'string')).toBe(true);
          expect(Array.isArray(event.args)).toBe(record.length !== limits.EXEC_BARE_BYTES);
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
      expect(micros(viewOf(bytes), 0)).toBe(Number(nanos / 1000n));
    }),
  );
});

test('a layout without a field, or with another width, is refused before the first record', () => {
  const { seq: _, ...fields } = layout.fields;
  expect(() => createExecTable({ ...layout, fields }, identity, wallClock, enrichment)).toThrow(/the field seq/);
  const wide = { ...layout, fields: { ...layout.fields, uid: { offset: 0, bytes: 8 } } };
  expect(() => createExecTable(wide, identity, wallClock, enrichment)).toThrow(/the field uid of 4 bytes/);
});
