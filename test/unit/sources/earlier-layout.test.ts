import { describe, expect, test } from 'vitest';
import type { StructLayout } from '../../../src/kernel/layout.ts';
import { createCodec, createDecoder } from '../../../src/schemas/codec.ts';
import type { ExecEvent } from '../../../src/schemas/exec-event.ts';
import { readEarlierLayout } from '../../../src/sources/earlier-layout.ts';
import { createExecTable } from '../../../src/sources/exec-fields.ts';
import { createExecRecordReader } from '../../../src/sources/exec-record.ts';
import { createRecordCodec } from '../../../src/sources/record-codec.ts';
import { enrichment, identity, layout, recordOf, wallClock } from './records.ts';

const topic = 'exec-events';

/** The layout of `recordOf` as a version may have it that does not know these names. */
function without(...names: readonly string[]): StructLayout {
  const known = <Value>(all: Readonly<Record<string, Value>>) =>
    Object.fromEntries(Object.entries(all).filter(([name]) => !names.includes(name)));
  return { ...layout, fields: known(layout.fields), enumerators: known(layout.enumerators) };
}

/** What becomes of a record in the ring of such a version: what the topic has of it, on the quick way and on the other. */
async function eventsOf(theirs: StructLayout, bytes: Buffer): Promise<readonly ExecEvent[]> {
  const earlier = readEarlierLayout(topic, theirs, layout);
  const table = createExecTable(earlier.layout, identity, wallClock, enrichment, [], earlier.lacking);
  const record = createExecRecordReader(earlier.layout).recordAt(bytes, 0, bytes.length);
  if (record === undefined) throw new Error('the record makes no sense');
  const codec = createCodec({ topic, framing: { kind: 'single-object' } });
  const quickly = createRecordCodec(topic, table, { ...codec, encode: () => expect.unreachable('it is whole') });
  const decoder = createDecoder<typeof topic>({ topic });
  const batches = [quickly.encode([record]), codec.encode([table.eventOf(record)])];
  return Promise.all(
    batches.map(async ({ records: [encoded] }) => {
      const decoded = await decoder.decode(encoded?.value as Buffer);
      if (!decoded.ok) throw new Error(decoded.reason);
      return decoded.event;
    }),
  );
}

describe('records that another version has laid out', () => {
  const record = recordOf({ numbers: { pid: 11, loginuid: 34, ns_pid: 33, file_nlink: 53 } });

  test('are read whole where that knows more than this one', async () => {
    const more = { ...layout, fields: { ...layout.fields, of_a_later_version: { offset: 0, bytes: 8 } } };
    expect(readEarlierLayout(topic, more, layout).lacking).toEqual([]);
    for (const event of await eventsOf(more, record))
      expect(event).toMatchObject({ pid: 11, loginuid: 34, ns_pid: 33, file_nlink: 53 });
  });

  test('what they lack is null, and named as what could not be read; the rest is there', async () => {
    for (const event of await eventsOf(without('loginuid', 'ns_pid', 'EXEC_FIELD_NS_PID'), record)) {
      expect(event).toMatchObject({ pid: 11, loginuid: null, ns_pid: null, file_nlink: 53, comm: 'ls' });
      expect(event.degraded).toEqual(expect.arrayContaining(['loginuid', 'ns_pid']));
      expect(event.degraded).not.toContain('file_nlink');
    }
  });

  test.each([
    ['a field that no event may lack', without('pid'), 'pid is missing'],
    ['a text', without('cwd.offset'), 'cwd.offset is missing'],
    ['a flag', without('EXEC_FLAG_SETUID'), 'EXEC_FLAG_SETUID is missing'],
    ['the name of something that could not be read', without('EXEC_FIELD_NS_PID'), 'EXEC_FIELD_NS_PID is missing'],
    [
      'a field of its width',
      { ...layout, fields: { ...layout.fields, gid: { offset: 0, bytes: 8 } } },
      'gid has 8 bytes instead of 4',
    ],
  ])('are not read without %s', (_, theirs, reason) => {
    expect(() => readEarlierLayout(topic, theirs, layout)).toThrow(
      expect.objectContaining({ code: 'ERR_PIN_LAYOUT', message: expect.stringContaining(reason) }),
    );
  });
});
