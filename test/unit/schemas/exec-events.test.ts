import { describe, expect, test } from 'vitest';
import { isTopicName, topicNames, topicSchema } from '../../../src/schemas/catalog.ts';
import { createCodec } from '../../../src/schemas/codec.ts';
import type { ExecEvent } from '../../../src/schemas/exec-event.ts';
import { fullEvent } from './events.ts';

interface Field {
  readonly name: string;
  readonly doc?: string;
  readonly type: unknown;
  readonly default?: unknown;
}
interface RecordSchema {
  readonly name: string;
  readonly namespace: string;
  readonly doc?: string;
  readonly fields: readonly Field[];
}

const schema = topicSchema('exec-events').schema as unknown as RecordSchema;
const field = (name: string) => schema.fields.find((candidate) => candidate.name === name);

const neverNull = new Set([
  'host_id',
  'boot_id',
  'attach_id',
  'seq',
  'epoch',
  'event_time',
  'boot_micros',
  'pid',
  'ppid',
  'process_id',
  'exec_id',
  'start_time',
  'comm',
  'filename',
  'degraded',
]);

describe('the schema of exec-events keeps what consumers were promised', () => {
  test('it is the record ExecEvent of the namespace io.bpf2kafka.v1', () => {
    expect([schema.namespace, schema.name]).toEqual(['io.bpf2kafka.v1', 'ExecEvent']);
  });

  test('there is no enum: a new symbol breaks old readers', () => {
    expect(JSON.stringify(schema)).not.toContain('"enum"');
  });

  test('the record and every field say what they mean', () => {
    expect(schema.doc).toBeTruthy();
    for (const { name, doc } of schema.fields) expect(doc, name).toMatch(/^.{15,}\.$/);
  });

  test.each(schema.fields.map(({ name }) => [name]))('%s is nullable exactly when the table says so', (name) => {
    const { type, default: fallback } = field(name) as Field;
    if (neverNull.has(name)) {
      expect(Array.isArray(type)).toBe(false);
      expect(fallback).toEqual(name === 'degraded' ? [] : undefined);
    } else {
      expect(type).toHaveLength(2);
      expect((type as unknown[])[0]).toBe('null');
      expect(fallback).toBeNull();
    }
  });

  test('wall times are timestamp-millis, which Flink and Connect read', () => {
    for (const name of ['event_time', 'start_time']) {
      expect(field(name)?.type, name).toEqual({ type: 'long', logicalType: 'timestamp-millis' });
    }
    expect(JSON.stringify(schema)).not.toContain('micros"}');
  });

  test('unsigned 32-bit values are long, identifiers past 2^53 are strings', () => {
    for (const name of ['uid', 'gid', 'euid', 'egid', 'suid', 'sgid'])
      expect(field(name)?.type, name).toEqual(['null', 'long']);
    expect(field('cgroup_id')?.type).toEqual(['null', 'string']);
  });

  test('interface and schema name the same fields in the same order', () => {
    expect(schema.fields.map(({ name }) => name)).toEqual(Object.keys(fullEvent));
  });

  test('an event with every field, and one with every nullable field null, can be encoded', () => {
    const { encode } = createCodec({ topic: 'exec-events', framing: { kind: 'single-object' } });
    const bare = Object.fromEntries(
      Object.entries(fullEvent).map(([name, value]) => [name, neverNull.has(name) ? value : null]),
    ) as unknown as ExecEvent;
    expect(encode([fullEvent, bare]).records).toHaveLength(2);
  });

  test.each([...neverNull])('an event without %s is refused', (name) => {
    const { encode } = createCodec({ topic: 'exec-events', framing: { kind: 'single-object' } });
    expect(() => encode([{ ...fullEvent, [name]: null }])).toThrow(name);
  });
});

test('the catalog knows its topics and nothing of Object.prototype', () => {
  expect(topicNames).toContain('exec-events');
  expect(isTopicName('exec-events')).toBe(true);
  expect(isTopicName('toString')).toBe(false);
});
