import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OutgoingBatch } from '../../../src/batch.ts';
import { Parents } from '../../../src/enrich/parents.ts';
import { RunningPrograms } from '../../../src/enrich/running-programs.ts';
import { Workloads } from '../../../src/enrich/workload.ts';
import { type AvroCodec, createCodec, createDecoder, type Framing } from '../../../src/schemas/codec.ts';
import type { ExecEvent } from '../../../src/schemas/exec-event.ts';
import { createExecTable } from '../../../src/sources/exec-fields.ts';
import { createExecRecordReader } from '../../../src/sources/exec-record.ts';
import type { KernelRecord } from '../../../src/sources/kernel-record.ts';
import { programImage } from '../../../src/sources/parent-program.ts';
import { createRecordCodec } from '../../../src/sources/record-codec.ts';
import {
  ancestorOf,
  bits,
  enrichment,
  halves,
  identity,
  knownCgroup,
  layout,
  limits,
  type Numbers,
  newCgroup,
  type Parts,
  recordOf,
  wallClock,
  words,
} from './records.ts';

const topic = 'exec-events';
const singleObject: Framing = { kind: 'single-object' };
const reader = createExecRecordReader(layout);

function recordAt(bytes: Buffer): KernelRecord {
  const record = reader.recordAt(bytes, 0, bytes.length);
  if (record === undefined) throw new Error('the record makes no sense');
  return record;
}

/**
 * The codec under test, avsc alone for the same records, how many of them took the general way so far, and in how many the
 * rules looked for secrets.
 */
function setUp({ framing = singleObject, hostName = identity.hostName as string | null, known = enrichment } = {}) {
  const table = createExecTable(layout, { ...identity, hostName }, wallClock, known);
  const avsc = createCodec({ topic, framing });
  const counted = { general: 0, lookedAt: 0 };
  const spied: AvroCodec<ExecEvent> = {
    ...avsc,
    encode(events) {
      counted.general += events.length;
      return avsc.encode(events);
    },
  };
  const hides = (record: KernelRecord) => {
    counted.lookedAt += 1;
    return table.hides?.(record) === true;
  };
  const codec = createRecordCodec('exec-events', { ...table, hides }, spied);
  const sent = ({ topic, records }: OutgoingBatch) => ({ topic, records });
  const encode = (kernelRecords: readonly KernelRecord[]) => sent(codec.encode(kernelRecords));
  const general = (kernelRecords: readonly KernelRecord[]) => sent(avsc.encode(kernelRecords.map(table.eventOf)));
  return { table, codec, encode, general, counted };
}

/** Around the sizes at which a varint grows, and everything between. */
const size = fc.oneof(fc.nat(20), fc.constantFrom(63, 64, 65, 127, 128, 8191, 8192), fc.nat(300));
const ascii = fc.tuple(fc.integer({ min: 0x20, max: 0x7e }), size).map(([byte, bytes]) => Buffer.alloc(bytes, byte));
const bytesOf = (value: string) => Buffer.from(value);
const secret = fc.constantFrom('--password=abc', '--token', 'https://u:p@h/', 'curl', '-u', 'a:b').map(bytesOf);
const utf8 = fc.string({ unit: 'binary', maxLength: 60 }).map((text) => Buffer.from(text.replaceAll('\0', '')));
const invalid = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes));
const text = fc.oneof(
  { weight: 50, arbitrary: ascii },
  { weight: 12, arbitrary: utf8 },
  { weight: 1, arbitrary: invalid },
  { weight: 1, arbitrary: secret },
);
const comm = text.map((bytes) => bytes.subarray(0, 16));
const argv = fc.tuple(fc.array(text, { maxLength: 12 }), fc.boolean()).map(([texts, ended]) => {
  const whole = Buffer.concat(texts.flatMap((each) => [each, Buffer.alloc(1)]));
  // What is longer is cut off by the kernel side, and never whole.
  return whole.subarray(0, Math.min(limits.ARGS_CAPTURED_BYTES, whole.length - (ended ? 0 : 1)));
});

const u32 = fc.oneof(fc.nat(2 ** 31 - 1), fc.constantFrom(0, 9, 10, 63, 64, 1000, 2 ** 31 - 1, 2 ** 32 - 1));
const nanos = fc.bigInt({ min: 0n, max: 2n ** 60n });
const counter = fc.bigInt({ min: 0n, max: 2n ** 53n - 2n });
const anyNumbers = fc.record({
  seq: counter,
  epoch: counter,
  boot_ns: nanos,
  start_boot_ns: nanos,
  parent_start_boot_ns: nanos,
  exec_count: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  parent_exec_count: fc.nat(),
  cgroup_id: fc.oneof({ weight: 9, arbitrary: u32 }, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  unread: fc.oneof({ weight: 19, arbitrary: fc.constant(0n) }, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  args_absent: fc.oneof({ weight: 19, arbitrary: fc.constant(0) }, fc.nat(1023)),
  args_page_offset: fc.nat(4095),
  uid: fc.oneof({ weight: 19, arbitrary: u32 }, fc.constantFrom(21, 22, 23)),
  pid: fc.nat(2 ** 31 - 1),
  tid: fc.nat(2 ** 31 - 1),
  ppid: fc.nat(2 ** 31 - 1),
  file_mtime_ms: fc.oneof({ weight: 19, arbitrary: counter }, fc.constant(2n ** 64n - 1n)),
  file_ctime_ms: counter,
  file_inode: u32,
  flags: fc.oneof({ weight: 19, arbitrary: fc.nat(0x7f) }, fc.nat(0xff)),
  result: fc.oneof({ weight: 19, arbitrary: fc.constant(0) }, fc.constantFrom(2 ** 32 - 2, 2 ** 32 - 13)),
  args_mode: fc.oneof({ weight: 19, arbitrary: fc.constant(0) }, fc.nat(2)),
  ...Object.fromEntries(
    ['cap_effective', 'cap_permitted', 'cap_inheritable', 'cap_ambient', 'cap_bounding'].map((name) => [name, counter]),
  ),
  ...Object.fromEntries(
    ['ns_pid', 'sid', 'pgid', 'seccomp_mode', 'file_mode'].map((name) => [name, fc.nat(2 ** 31 - 1)]),
  ),
  ...Object.fromEntries(
    [
      ...['gid', 'euid', 'egid', 'suid', 'sgid', 'loginuid', 'session_id'],
      ...['ns_mnt', 'ns_pid_id', 'ns_net', 'ns_user', 'ns_cgroup'],
      ...['file_device', 'file_uid', 'file_gid', 'file_nlink'],
    ].map((name) => [name, u32]),
  ),
});
const ancestors = fc.array(
  fc.record({ pid: fc.nat(2 ** 31 - 1), startNs: nanos, execCount: u32, comm }).map((ancestor) => ancestorOf(ancestor)),
  { maxLength: 8 },
);

/** Any record that makes sense and has numbers that the schema allows. */
const anyRecord = fc
  .record({
    numbers: anyNumbers,
    filename: text,
    interpreter: text,
    exe: text,
    cwd: text,
    tty: text,
    cgroupPath: fc.oneof({ weight: 9, arbitrary: text }, fc.constantFrom(knownCgroup, newCgroup).map(bytesOf)),
    argv,
    ancestors,
    comm,
    parentComm: comm,
    miscounted: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.nat(3)),
  })
  .map(({ miscounted, numbers, ...parts }) => {
    // argv[0] alone is a page at most; the bytes are what the mode is about here.
    const whole = parts.argv.length > limits.ARGS_PAGE_BYTES ? { args_mode: 0 } : {};
    const record = recordOf({ ...parts, numbers: { ...numbers, ...whole } });
    const at = layout.fields.args_count?.offset as number;
    record.writeUInt32LE(record.readUInt32LE(at) + miscounted, at);
    return recordAt(record);
  });

describe('the same bytes as from avsc', () => {
  test.each<[string, Parameters<typeof setUp>[0]]>([
    ['single object', {}],
    ['Confluent', { framing: { kind: 'confluent', schemaId: 0x01020304 } }],
    ['a host without a name', { hostName: null }],
    ['a host whose name is not ASCII', { hostName: 'rechner-größe' }],
  ])('%s: any records, in order, with their times and headers', (_name, options) => {
    const { encode, general, counted } = setUp(options);
    let records = 0;
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 8 }), (batch) => {
        records += batch.length;
        expect(encode(batch)).toEqual(general(batch));
      }),
      { numRuns: 200 },
    );
    // Both ways were taken, or this has compared avsc with itself.
    expect(counted.general).toBeGreaterThan(records * 0.1);
    expect(counted.general).toBeLessThan(records * 0.7);
  });

  test('of each number by itself, where it grows by a byte', () => {
    const { encode, general, counted } = setUp();
    const values = [0, 1, 63, 64, 8191, 8192, 2 ** 20 - 1, 2 ** 20, 2 ** 27 - 1, 2 ** 27, 2 ** 31 - 1];
    const large = [2 ** 31, 2 ** 32, 2 ** 34, 2 ** 41, 2 ** 48, 2 ** 53 - 2];
    // These decide how the rest is read, and are held by other tests.
    const shape = new Set<string>([
      'args_bytes',
      'args_absent',
      'args_count',
      'args_mode',
      'args_page_offset',
      'env_bytes',
      'env_absent',
      'env_page_offset',
      'flags',
      'result',
      'unread',
    ]);
    for (const name of [...words, ...halves].filter((each) => !shape.has(each)))
      for (const value of [...values, ...((words as readonly string[]).includes(name) ? large : [])]) {
        const batch = [recordAt(recordOf({ numbers: { [name]: value } }))];
        // First, for with some of the numbers it is its own parent, which is known once it has been encoded.
        const expected = general(batch);
        expect(encode(batch), `${name} ${value}`).toEqual(expected);
      }
    expect(counted.general).toBe(0);
  });

  test('an argv of 32 KiB, and small records behind it', () => {
    const { encode, general, counted } = setUp();
    const argvs = [[30_000], [10, 8_192, 8_191, 64, 63, 0], [], [0], Array.from({ length: 3_000 }, () => 1)];
    const batch = argvs.map((lengths) => {
      const bytes = Buffer.concat(lengths.map((length) => Buffer.from(`${'x'.repeat(length)}\0`)));
      return recordAt(recordOf({ argv: bytes }));
    });
    expect(encode(batch)).toEqual(general(batch));
    expect(encode(batch.toReversed())).toEqual(general(batch.toReversed()));
    expect(counted.general).toBe(0);
  });
});

describe('the fast way', () => {
  test.for<[string, Parts, number]>([
    ['a typical record', {}, 0],
    ['a user and a pod with names', { numbers: { uid: 21 }, cgroupPath: Buffer.from(knownCgroup) }, 0],
    ['a user whose name is not ASCII', { numbers: { uid: 22 } }, 0],
    ['a user whose name cannot be read', { numbers: { uid: 23 } }, 0],
    ['a pod that is not known yet', { cgroupPath: Buffer.from(newCgroup) }, 0],
    ['a secret in the arguments', { argv: Buffer.from('x\0--token=abc\0') }, 1],
    ['a secret in the path', { filename: Buffer.from('/tmp/token=abc') }, 1],
    ['a secret in the path of the program', { exe: Buffer.from('/tmp/token=abc') }, 1],
    ['a secret in the path of the interpreter', { interpreter: Buffer.from('/tmp/token=abc') }, 1],
    ['a secret in the working directory', { cwd: Buffer.from('/tmp/token=abc') }, 1],
    ['UTF-8 that is not ASCII', { filename: Buffer.from('/bin/é😀'), argv: Buffer.from('é\0') }, 0],
    ['bytes that are not UTF-8', { filename: Buffer.from([0x2f, 0xff]) }, 1],
    ['an argument that is not UTF-8', { argv: Buffer.from([0xc3, 0]) }, 1],
    ['a comm that is cut inside a character', { comm: Buffer.from([0x61, 0xc3]) }, 1],
    ['something unread', { numbers: { unread: 1n << 40n } }, 1],
    ['an argv that is cut off', { numbers: { args_absent: 1 } }, 1],
    ['an argv of another count than it says', { numbers: { args_count: 2 } }, 1],
    ['of argv the program alone', { numbers: { args_mode: 1 } }, 1],
    ['an environment', { numbers: { flags: bits('EXEC_FLAG_', 'ENV') } }, 1],
    ['a file from before 1970', { numbers: { file_mtime_ms: 2n ** 64n - 1n } }, 1],
    ['a script, on a terminal', { interpreter: Buffer.from('/bin/sh'), tty: Buffer.from('pts0') }, 0],
    ['eight ancestors', { ancestors: Array.from({ length: 8 }, (_, n) => ancestorOf({ pid: n })) }, 0],
  ])('%s', ([, parts, expected]) => {
    const { encode, counted } = setUp();
    encode([recordAt(recordOf(parts))]);
    expect(counted.general).toBe(expected);
  });
});

test.each<[string, Numbers]>([
  ['seq', { seq: 2n ** 53n }],
  ['epoch', { epoch: 2n ** 63n }],
  ['pid', { pid: 2 ** 31 }],
  ['tid', { tid: 2 ** 32 - 1 }],
])('a %s that does not fit is refused and named, as by avsc', (name, numbers) => {
  const { encode, general } = setUp();
  const batch = [recordAt(recordOf()), recordAt(recordOf({ numbers }))];
  const message = new RegExp(`^cannot encode an event of exec-events: not valid for the schema: ${name}$`);
  expect(() => encode(batch)).toThrow(message);
  expect(() => general(batch)).toThrow(message);
});

test('a child says what its parent was published with, in either way', async () => {
  const { encode, table, counted } = setUp();
  const parentStart = { start_boot_ns: 5_000_000_000n, pid: 500, exec_count: 7 };
  const ofParent = { parent_start_boot_ns: 5_000_000_000n, ppid: 500, parent_exec_count: 7 };
  const child = (numbers: Numbers) => recordAt(recordOf({ numbers: { pid: 501, ...numbers } }));
  const programs: readonly (readonly [argv: string, args: string[]])[] = [
    ['sh\0-c\0x\0', ['sh', '-c', 'x']],
    ['sh\0\0é\0', ['sh', '', 'é']],
    ['sh\0--token=abc\0', ['sh', '--token=***']],
    ['sh\0\xff\0', ['sh', '\\xff']],
    ['', []],
  ];
  for (const [argv, args] of programs) {
    const bytes = Buffer.from(argv, argv.includes('\xff') ? 'latin1' : 'utf8');
    encode([recordAt(recordOf({ numbers: parentStart, argv: bytes, exe: Buffer.from('/bin/sh') }))]);
    expect(table.eventOf(child(ofParent))).toMatchObject({ parent_exe: '/bin/sh', parent_args: args, degraded: [] });
    const general = counted.general;
    const [record] = encode([child(ofParent)]).records;
    const decoded = await createDecoder({ topic }).decode(record?.value as Buffer);
    expect(decoded).toMatchObject({ ok: true, event: { parent_exe: '/bin/sh', parent_args: args, degraded: [] } });
    expect(counted.general).toBe(general);
  }
  const missing = { parent_exe: null, parent_args: null, degraded: ['parent_exe', 'parent_args'] };
  for (const other of [{ parent_exec_count: 8 }, { ppid: 502 }, { parent_start_boot_ns: 1n }])
    expect(table.eventOf(child({ ...ofParent, ...other }))).toMatchObject(missing);
});

test('what is found out later is said from the next batch on', async () => {
  const host = { version: '1', name: 'alice', pod: null as string | null };
  const { encode, counted } = setUp({
    known: {
      ...enrichment,
      users: {
        of: () => host.name,
        get version() {
          return host.version;
        },
      },
      workloads: new Workloads({ of: () => ({ namespace: host.pod, podName: host.pod, containerName: host.pod }) }),
    },
  });
  const published = async () => {
    const batch = [recordAt(recordOf({ numbers: { uid: 21 }, cgroupPath: bytesOf(newCgroup) }))];
    const decoded = await createDecoder({ topic }).decode(encode(batch).records.at(0).value);
    if (!decoded.ok) throw new Error(decoded.reason);
    const { user_name, k8s_pod_name, degraded } = decoded.event;
    return { user_name, k8s_pod_name, unknown: degraded.filter((name) => name.startsWith('k8s_')) };
  };
  const unknown = ['k8s_namespace', 'k8s_pod_name', 'k8s_container_name'];
  expect(await published()).toEqual({ user_name: 'alice', k8s_pod_name: null, unknown });
  Object.assign(host, { name: 'bob', version: '2' });
  expect(await published()).toEqual({ user_name: 'bob', k8s_pod_name: null, unknown });
  host.pod = 'web';
  expect(await published()).toEqual({ user_name: 'bob', k8s_pod_name: 'web', unknown: [] });
  expect(counted.general).toBe(0);
});

test('the rules for secrets look at a text once', () => {
  const { encode, general, counted } = setUp();
  const batch = [1, 2, 3].map((pid) =>
    recordAt(recordOf({ numbers: { pid }, argv: Buffer.from('cat\0/etc/passwd\0') })),
  );
  for (let i = 0; i < 2; i += 1) expect(encode(batch)).toEqual(general(batch));
  expect(counted).toEqual({ general: 0, lookedAt: 1 });
});

test('what is no secret as a path is one as arguments', () => {
  const { encode, general, counted } = setUp();
  const text = Buffer.from('tool\0--token\0abc\0');
  encode([recordAt(recordOf({ filename: text }))]);
  expect(counted).toEqual({ general: 0, lookedAt: 1 });
  const batch = [recordAt(recordOf({ argv: text }))];
  expect(encode(batch)).toEqual(general(batch));
  expect(counted.general).toBe(1);
});

test('what is too large to be kept is found out for each record', () => {
  const parents = new Parents(new RunningPrograms(), programImage, { entries: 2, bytes: 100 });
  const { encode, general, counted } = setUp({ known: { ...enrichment, parents } });
  const batch = [recordAt(recordOf()), recordAt(recordOf({ numbers: { pid: 9 } }))];
  expect(encode(batch)).toEqual(general(batch));
  expect(counted.general).toBe(2);
});

test('values outlive the buffer of the records, and later batches', () => {
  const { encode, general } = setUp();
  const bytes = recordOf({ numbers: { seq: 7 } });
  const batch = Array.from({ length: 50 }, () => recordAt(bytes));
  const expected = general(batch);
  const encoded = encode(batch);
  for (let i = 0; i < 20; i += 1) encode(batch.map(() => recordAt(recordOf({ filename: Buffer.alloc(300, 0x7a) }))));
  bytes.fill(0xff);
  expect(encoded).toEqual(expected);
});

test('the memory of a batch is used again when it is released, and not before', () => {
  const { codec } = setUp();
  const encode = (name: string) => codec.encode([recordAt(recordOf({ filename: bytesOf(name) }))]);
  const memoryOf = ({ records }: OutgoingBatch) => records.at(0).value.buffer;
  const [first, second] = [encode('first'), encode('second')];
  expect(memoryOf(second)).not.toBe(memoryOf(first));
  expect(first.records.at(0).value.includes('first')).toBe(true);
  first.release?.();
  first.release?.();
  const third = encode('third');
  expect(memoryOf(third)).toBe(memoryOf(first));
  expect(memoryOf(encode('fourth'))).not.toBe(memoryOf(first));
  expect(third.records.at(0).value.includes('third')).toBe(true);
});

test('a table that differs from the schema is refused when the codec is made', () => {
  const table = createExecTable(layout, identity, wallClock, enrichment);
  const avsc = createCodec({ topic, framing: singleObject });
  const { uid, gid, ...others } = table.fields;
  const made = (fields: object) => () =>
    createRecordCodec('exec-events', { ...table, fields: fields as typeof table.fields }, avsc);
  expect(made({ ...others, uid })).toThrow(/exec-events\.avsc has uid .* where the table has euid/);
  expect(made({ ...table.fields, uid: { ...uid, type: 'long' } })).toThrow(/has uid \["null","long"\] .* uid "long"/);
  expect(made({ ...table.fields, added: uid })).toThrow(/no more fields/);
});
