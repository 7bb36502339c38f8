import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  execJson,
  execLine,
  exitLine,
  type OpenRecords,
  type TailRecord,
  tailStream,
} from '../../../src/commands/tail.ts';
import { createLog } from '../../../src/log.ts';
import type { TopicEvents, TopicName } from '../../../src/schemas/catalog.ts';
import { createCodec } from '../../../src/schemas/codec.ts';
import type { ExecEvent } from '../../../src/schemas/exec-event.ts';
import type { ExitEvent } from '../../../src/schemas/exit-event.ts';
import type { PacketCount } from '../../../src/schemas/packet-count.ts';
import type { SiemFormat } from '../../../src/siem/formats.ts';
import type { StreamName } from '../../../src/streams.ts';
import { fullEvent } from '../schemas/events.ts';
import { fullExit } from '../schemas/exits.ts';
import { classCount, flowCount } from '../schemas/packet-counts.ts';

const plain: ExecEvent = { ...fullEvent, args_raw: null };

describe('the line of an exec', () => {
  const zone = process.env.TZ;
  beforeAll(() => {
    process.env.TZ = 'Asia/Kolkata';
  });
  afterAll(() => {
    if (zone === undefined) delete process.env.TZ;
    else process.env.TZ = zone;
  });

  test('TIME pid: N comm: NAME argv…, the time local, arguments clearly apart', () => {
    expect(execLine({ ...plain, event_time: Date.UTC(2026, 10, 24, 20, 5, 9, 7) })).toBe(
      '01:35:09.007 pid: 41394 comm: curl curl -sS --retry 3 "https://example.org/a b" ""',
    );
  });

  const shown = (event: Partial<ExecEvent>) => execLine({ ...plain, ...event }).replace(/^\S+ pid: \d+ /, '');

  test('what a process chose cannot move the cursor or forge a line', () => {
    const line = shown({ comm: 'a\u001b[2J', args: ['x\n12:00:00.000 pid: 1 comm: sshd', '\u202egpj.exe'] });
    expect(line).toBe('comm: "a\\x1b[2J" "x\\n12:00:00.000 pid: 1 comm: sshd" "\\u202egpj.exe"');
  });

  test('arguments that were cut say so, and an argument cannot say it for them', () => {
    expect(shown({ args: ['a', 'b'], args_truncated: true })).toBe('comm: curl a b …[truncated]');
    expect(shown({ args: ['a', '…[truncated]'] })).toBe('comm: curl a "…[truncated]"');
  });

  test('without arguments the path stands there, with a mark', () => {
    expect(shown({ args: null, filename: '/usr/bin/my tool' })).toBe('comm: curl "/usr/bin/my tool" …[argv unknown]');
    expect(shown({ args: [] })).toBe('comm: curl ');
  });

  test('bytes that are not UTF-8 are shown as bytes', () => {
    const raw = (bytes: string) => Buffer.from(bytes, 'latin1');
    expect(shown({ args: ['a', '?'], args_raw: raw('a\0\xff\xfe\0') })).toBe('comm: curl a "\\xff\\xfe"');
    expect(shown({ args: ['a', '?'], args_raw: raw('a\0\xff') })).toBe('comm: curl a "\\xff"');
    expect(shown({ args: ['?', ''], args_raw: raw('\xff\0\0') })).toBe('comm: curl "\\xff" ""');
    expect(shown({ args: ['?', ''], args_raw: raw('\xff\0') })).toBe('comm: curl "\\xff" ""');
    // Not as many as args has: args is what is shown.
    expect(shown({ args: ['x', 'y', 'z'], args_raw: raw('\xff') })).toBe('comm: curl x y z');
  });
});

describe('the line of an exit', () => {
  const shown = (event: Partial<ExitEvent>) => exitLine({ ...fullExit, ...event }).replace(/^\S+ /, '');

  test('TIME pid: N comm: NAME, how it ended, how long it ran', () => {
    expect(exitLine(fullExit)).toMatch(/^\d\d:\d\d:\d\d\.123 /);
    expect(shown({})).toBe('pid: 41394 comm: curl exited 22 after 0.123 s');
    expect(shown({ exit_code: null, exit_signal: 9 })).toBe('pid: 41394 comm: curl killed by SIGKILL after 0.123 s');
    expect(shown({ exit_code: null, exit_signal: 11, core_dumped: true })).toBe(
      'pid: 41394 comm: curl killed by SIGSEGV (core dumped) after 0.123 s',
    );
    expect(shown({ exit_code: null, exit_signal: 40 })).toBe('pid: 41394 comm: curl killed by signal 40 after 0.123 s');
    expect(shown({ run_time_micros: null })).toBe('pid: 41394 comm: curl exited 22');
  });

  test('a name cannot forge a line', () => {
    expect(shown({ comm: 'a\nb exited 0' })).toBe('pid: 41394 comm: "a\\nb exited 0" exited 22 after 0.123 s');
  });
});

describe('the JSON of an exec', () => {
  test('is one line with every field, exact, bytes as base64', () => {
    const event = { ...fullEvent, args: ['a\nb\u202e', '"', ''] };
    const json = execJson(event);
    expect(json).not.toMatch(/[\n\u202e]/);
    expect(JSON.parse(json)).toEqual({ ...event, args_raw: fullEvent.args_raw?.toString('base64') });
    expect(JSON.parse(execJson(plain))).toEqual(plain);
  });
});

/** The events as they stand in their topic. */
function valuesOf<Topic extends TopicName>(topic: Topic, ...events: readonly TopicEvents[Topic][]): Buffer[] {
  const { records } = createCodec({ topic, framing: { kind: 'single-object' } }).encode(events);
  return Array.from(records, ({ value }) => value);
}

describe('tail', () => {
  const values = valuesOf('exec-events', ...[1, 2, 3].map((pid) => ({ ...plain, pid })));
  const recordsOf = (contents: (Buffer | null)[]): TailRecord[] =>
    contents.map((value, index) => ({ partition: 0, offset: BigInt(index), value }));

  function fake(records: TailRecord[]) {
    const seen = { topics: [] as readonly string[], fromBeginning: false, closed: false };
    const open: OpenRecords = async ({ topics, fromBeginning, signal }) => {
      Object.assign(seen, { topics, fromBeginning });
      return {
        async *[Symbol.asyncIterator]() {
          yield* records;
          // Like a topic: without an end.
          if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
        },
        async [Symbol.asyncDispose]() {
          seen.closed = true;
        },
      };
    };
    return { open, seen };
  }

  async function tail(
    records: TailRecord[],
    changed: { limit?: number; json?: boolean; fromBeginning?: boolean; format?: SiemFormat },
    stream: StreamName = 'exec',
  ) {
    const stop = new AbortController();
    const out = new PassThrough();
    const err = new PassThrough();
    const { open, seen } = fake(records);
    let ready = 0;
    const printed = await tailStream(stream, {
      brokers: ['unused:1'],
      security: {},
      registry: undefined,
      registrySecurity: {},
      topicPrefix: 'p.',
      json: false,
      fromBeginning: false,
      limit: undefined,
      ...changed,
      out,
      err,
      log: createLog('silent'),
      signal: stop.signal,
      onReady: () => {
        ready += 1;
        // Without a limit the test ends it, after what was there has been printed.
        if (changed.limit === undefined) setTimeout(() => stop.abort(), 100);
      },
      open,
    });
    out.end();
    err.end();
    return { printed, ready, seen, out: await text(out), err: await text(err) };
  }

  test('prints each record and ends at the limit', async () => {
    const { printed, ready, seen, out } = await tail(recordsOf(values), { limit: 2, fromBeginning: true });
    expect([printed, ready]).toEqual([2, 1]);
    expect(out.trimEnd().split('\n')).toEqual([
      expect.stringContaining(' pid: 1 comm: '),
      expect.stringContaining(' pid: 2 comm: '),
    ]);
    expect(seen).toEqual({ topics: ['p.exec-events'], fromBeginning: true, closed: true });
  });

  test('prints exits from their topic, with --json every field', async () => {
    const exits = valuesOf('exit-events', fullExit);
    const { out, seen } = await tail(recordsOf(exits), { limit: 1 }, 'exit');
    expect(out).toBe(`${exitLine(fullExit)}\n`);
    expect(seen.topics).toEqual(['p.exit-events']);
    const json = await tail(recordsOf(exits), { limit: 1, json: true }, 'exit');
    expect(JSON.parse(json.out)).toEqual(fullExit);
  });

  test('an abort ends it and closes the reader', async () => {
    const { printed, seen } = await tail(recordsOf(values), {});
    expect([printed, seen.closed]).toEqual([3, true]);
  });

  test('a record that cannot be read is a line on standard error, and the next one is printed', async () => {
    const { printed, out, err } = await tail(
      recordsOf([values[0] ?? null, Buffer.from('\u001b[2J'), null, values[1] ?? null]),
      {
        limit: 2,
        json: true,
      },
    );
    expect(printed).toBe(2);
    expect(
      out
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as ExecEvent).pid),
    ).toEqual([1, 2]);
    expect(err.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^bpf2kafka: cannot read the record at offset 1 of partition 0: .*neither/),
      expect.stringMatching(/offset 2 of partition 0: it has no value/),
    ]);
  });

  test.each([
    ['ocsf', 'metadata.uid'],
    ['ecs', 'event.id'],
    ['sigma', 'EventRecordID'],
  ] as const)('--format %s prints a document a line, harmless, and the limit counts them', async (format, name) => {
    const hostile = valuesOf('exec-events', { ...plain, args: ['a\nb\u202e'] });
    const { printed, out } = await tail(recordsOf([...hostile, ...values]), { limit: 2, format });
    expect(printed).toBe(2);
    expect(out).not.toContain('\u202e');
    const documents = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(documents).toHaveLength(2);
    expect(documents[0]).toHaveProperty(name, `${plain.boot_id}:exec:${plain.seq}`);
  });

  test.each([
    ['packets', 'sigma', 'exec'],
    ['exit', 'sigma', 'exec'],
    ['ledger', 'ecs', 'exec, exit, packets'],
  ] as const)('%s has no documents of %s, and that is said before anything is read', async (stream, format, there) => {
    await expect(tail(recordsOf(values), { format }, stream)).rejects.toMatchObject({
      code: 'ERR_USAGE',
      message: `cannot show ${stream} as ${format}: ${format} has no documents of ${stream}; there are those of ${there}`,
    });
  });

  describe('packets', () => {
    const counts = [
      { ...flowCount, packets: 5 },
      { ...flowCount, packets: 5 },
      { ...classCount('non_ip'), interface_name: 'a\u202eb' },
    ];
    const packets = valuesOf('packet-counts', ...counts);

    test('--json prints every record, repeats too, exact and harmless, and the limit counts them', async () => {
      const { printed, seen, out } = await tail(recordsOf(packets), { limit: 3, json: true }, 'packets');
      expect([printed, seen.topics, seen.closed]).toEqual([3, ['p.packet-counts'], true]);
      expect(out).not.toContain('\u202e');
      const lines = out.trimEnd().split('\n');
      expect(lines.map((line) => JSON.parse(line) as PacketCount)).toEqual(counts);
    });

    test('--format prints documents of counts', async () => {
      const { out } = await tail(recordsOf(packets), { limit: 1, format: 'ecs' }, 'packets');
      expect(JSON.parse(out)).toMatchObject({ network: { packets: 5 }, source: { ip: '198.51.100.7' } });
    });

    test('the text is a table, the limit counts tables, and what cannot be read is reported', async () => {
      const records = recordsOf([...packets, Buffer.from('no Avro')]);
      const { printed, ready, seen, out, err } = await tail(records, { limit: 1 }, 'packets');
      expect([printed, ready, seen.topics, seen.closed]).toEqual([1, 1, ['p.packet-counts'], true]);
      expect(out.split('\n')).toEqual([
        expect.stringMatching(/ web-17\.example\.org "a\\u202eb"$/),
        '(non_ip) | 1',
        expect.stringMatching(/ web-17\.example\.org eth0$/),
        '198.51.100.7:51022 => :443 | 5',
        '',
      ]);
      expect(err).toMatch(/^bpf2kafka: cannot read the record at offset 3 of partition 0: /);
    });
  });
});
