import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OutgoingBatch } from '../../../src/batch.ts';
import type { StructLayout } from '../../../src/kernel/layout.ts';
import { createCodec } from '../../../src/schemas/codec.ts';
import type { ExitEvent } from '../../../src/schemas/exit-event.ts';
import { createExitTable } from '../../../src/sources/exit-fields.ts';
import { createExitRecordReader } from '../../../src/sources/exit-record.ts';
import type { KernelRecord } from '../../../src/sources/kernel-record.ts';
import { createRecordCodec } from '../../../src/sources/record-codec.ts';
import { containerId, enrichment, identity, knownCgroup, wallClock } from './records.ts';

const words = [
  ...['seq', 'epoch', 'boot_ns', 'start_boot_ns', 'exec_count', 'unread'],
  ...['user_ns', 'system_ns', 'cpu_ns', 'max_rss_bytes'],
] as const;
const halves = ['pid', 'status'] as const;
const unread = { CONTAINER_ID: 0, USER_TIME_MICROS: 1, SYSTEM_TIME_MICROS: 2 };

/** An exit record as the kernel side would write it, in a layout of its own. */
const layout: StructLayout = (() => {
  const fields: Record<string, { offset: number; bytes: number }> = {};
  let offset = 0;
  const add = (name: string, bytes: number) => {
    fields[name] = { offset, bytes };
    offset += bytes;
  };
  for (const name of halves) add(name, 4);
  for (const name of words) add(name, 8);
  add('cgroup_path.offset', 2);
  add('cgroup_path.length', 2);
  add('comm', 16);
  const enumerators = Object.fromEntries(Object.entries(unread).map(([name, bit]) => [`EXIT_FIELD_${name}`, bit]));
  return { bytes: offset, fields, enumerators };
})();

type Parts = Partial<Record<(typeof words)[number] | (typeof halves)[number], number | bigint>> & {
  readonly comm?: Buffer;
  readonly cgroup?: Buffer;
};

function recordOf({ comm = Buffer.from('noop'), cgroup = Buffer.from('/'), ...numbers }: Parts = {}): Buffer {
  const bytes = Buffer.alloc(layout.bytes + cgroup.length);
  const at = (name: string) => layout.fields[name]?.offset as number;
  for (const name of words) bytes.writeBigUInt64LE(BigInt(numbers[name as keyof typeof numbers] ?? 0), at(name));
  for (const name of halves) bytes.writeUInt32LE(Number(numbers[name] ?? 0), at(name));
  bytes.writeUInt16LE(layout.bytes, at('cgroup_path.offset'));
  bytes.writeUInt16LE(cgroup.length, at('cgroup_path.length'));
  comm.copy(bytes, at('comm'), 0, 16);
  cgroup.copy(bytes, layout.bytes);
  return bytes;
}

const reader = createExitRecordReader(layout);
const table = createExitTable(layout, identity, wallClock, enrichment);
const avsc = createCodec({ topic: 'exit-events', framing: { kind: 'single-object' } });

function recordAt(bytes: Buffer): KernelRecord {
  const record = reader.recordAt(bytes, 0, bytes.length);
  if (record === undefined) throw new Error('the record makes no sense');
  return record;
}

const eventOf = (parts: Parts): ExitEvent => table.eventOf(recordAt(recordOf(parts)));

describe('how it ended', () => {
  test.each([
    ['exit(0)', 0, { exit_code: 0, exit_signal: null, core_dumped: false }],
    ['exit(255)', 255 << 8, { exit_code: 255, exit_signal: null, core_dumped: false }],
    ['a signal', 9, { exit_code: null, exit_signal: 9, core_dumped: false }],
    ['the last signal', 64, { exit_code: null, exit_signal: 64, core_dumped: false }],
    ['a signal, with a core dump', 11 | 0x80, { exit_code: null, exit_signal: 11, core_dumped: true }],
  ])('%s', (_, status, expected) => {
    expect(eventOf({ status })).toMatchObject(expected);
  });
});

describe('what it took', () => {
  test.each([
    ['the measured time in the ratio of the ticks', [30, 10, 20], [15, 5]],
    ['no tick in the kernel', [30, 0, 20], [20, 0]],
    ['no tick in user mode', [0, 8, 20], [0, 20]],
    ['no tick at all: all of it as user time', [0, 0, 3], [3, 0]],
    ['no time at all', [4, 4, 0], [0, 0]],
  ])('%s', (_, [user, system, cpu], [userMicros, systemMicros]) => {
    const event = eventOf({
      user_ns: (user as number) * 1000,
      system_ns: (system as number) * 1000,
      cpu_ns: (cpu as number) * 1000,
    });
    expect(event).toMatchObject({ user_time_micros: userMicros, system_time_micros: systemMicros });
  });

  test('from its start to its end, also after months', () => {
    const day = 86_400_000_000_000n;
    expect(eventOf({ boot_ns: 300n * day + 1_999n, start_boot_ns: day }).run_time_micros).toBe(
      299 * 86_400_000_000 + 1,
    );
  });
});

describe('where it was', () => {
  test('in a container, by its cgroup', () => {
    expect(eventOf({ cgroup: Buffer.from(knownCgroup) })).toMatchObject({ container_id: containerId, degraded: [] });
    expect(eventOf({ cgroup: Buffer.from('/system.slice/cron.service') }).container_id).toBeNull();
  });

  test('what could not be read is null and named', () => {
    const cgroup = Buffer.from(knownCgroup);
    expect(eventOf({ cgroup, unread: 1 << unread.CONTAINER_ID })).toMatchObject({
      container_id: null,
      degraded: ['container_id'],
    });
    expect(
      eventOf({ cpu_ns: 5_000, unread: (1 << unread.USER_TIME_MICROS) | (1 << unread.SYSTEM_TIME_MICROS) }),
    ).toMatchObject({
      user_time_micros: null,
      system_time_micros: null,
      degraded: ['user_time_micros', 'system_time_micros'],
    });
  });
});

test('identities are those of the exec', () => {
  const event = eventOf({ pid: 0xa1b2, start_boot_ns: 0x153e2a1b7cn, exec_count: 0x1_0000_0002n });
  const boot = identity.bootId.replaceAll('-', '').slice(0, 16);
  expect(event.process_id).toBe(`${boot}000000153e2a1b7c0000a1b2`);
  expect(event.exec_id).toBe(`${event.process_id}00000002`);
});

describe('records that make no sense', () => {
  test('one that is cut off', () => {
    const bytes = recordOf();
    for (const length of [0, 1, layout.bytes - 1]) expect(reader.recordAt(bytes, 0, length)).toBeUndefined();
  });

  test('one whose path lies outside of it', () => {
    const bytes = recordOf({ cgroup: Buffer.from('/a') });
    bytes.writeUInt16LE(3, layout.fields['cgroup_path.length']?.offset as number);
    expect(reader.recordAt(bytes, 0, bytes.length)).toBeUndefined();
  });

  test('arbitrary bytes are refused or decoded, and never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2 * layout.bytes }), (given) => {
        const bytes = Buffer.from(given);
        const record = reader.recordAt(bytes, 0, bytes.length);
        if (record !== undefined) expect(Object.keys(table.eventOf(record))).toEqual(Object.keys(table.fields));
      }),
    );
  });
});

test('written straight from the record, the bytes are those of avsc', () => {
  const nanos = fc.bigInt({ min: 0n, max: 2n ** 60n });
  const counter = fc.bigInt({ min: 0n, max: 2n ** 53n - 2n });
  const mostly = <Value>(usual: fc.Arbitrary<Value>, other: fc.Arbitrary<Value>) =>
    fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: other });
  const text = mostly(
    fc.string({ unit: 'binary', maxLength: 40 }).map((value) => Buffer.from(value.replaceAll('\0', ''))),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  );
  const parts = fc
    .record({
      seq: counter,
      epoch: counter,
      times: fc.tuple(nanos, nanos),
      exec_count: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      unread: mostly(fc.constant(0n), fc.bigInt({ min: 0n, max: 7n })),
      user_ns: nanos,
      system_ns: nanos,
      cpu_ns: nanos,
      max_rss_bytes: counter,
      pid: fc.nat(2 ** 31 - 1),
      status: fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 9, 256)),
      comm: text.map((bytes) => bytes.subarray(0, 16)),
      cgroup: fc.oneof(text, fc.constant(Buffer.from(knownCgroup))),
    })
    .map(({ times, ...others }) => {
      const [start_boot_ns, boot_ns] = times.toSorted((a, b) => (a < b ? -1 : 1)) as [bigint, bigint];
      return { ...others, start_boot_ns, boot_ns };
    });
  let general = 0;
  const codec = createRecordCodec('exit-events', table, {
    ...avsc,
    encode(events) {
      general += events.length;
      return avsc.encode(events);
    },
  });
  // As text, which is compared at once and not byte by byte.
  const shown = ({ topic, records }: OutgoingBatch) => ({
    topic,
    records: Array.from(records, ({ value, ...beside }) => ({ ...beside, value: value.toString('hex') })),
  });
  let all = 0;
  fc.assert(
    fc.property(fc.array(parts, { minLength: 1, maxLength: 5 }), (batch) => {
      const records = batch.map((each) => recordAt(recordOf(each)));
      expect(shown(codec.encode(records))).toEqual(shown(avsc.encode(records.map(table.eventOf))));
      all += batch.length;
    }),
  );
  // Most take the fast way: otherwise avsc is held against itself.
  expect(general).toBeLessThan(all / 2);
  expect(general).toBeGreaterThan(0);
});
