import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { LiveJson } from '../../../src/live/live-json.ts';
import { execsShown, LiveState } from '../../../src/live/live-state.ts';
import type { Figures } from '../../../src/metrics/figures.ts';
import { createCodec } from '../../../src/schemas/codec.ts';
import type { ExecEvent } from '../../../src/schemas/exec-event.ts';
import { FakeClock } from '../producers/fakes.ts';
import { fullEvent } from '../schemas/events.ts';
import { flowCount } from '../schemas/packet-counts.ts';
import { figures, health } from './parts.ts';

const codec = createCodec({ topic: 'exec-events', framing: { kind: 'single-object' } });

function setUp(present: () => Figures | undefined = () => figures) {
  const clock = new FakeClock();
  const state = new LiveState({
    host: { hostId: 'h-1', hostName: 'web-17', attachedAt: 1_763_000_000_000 },
    health: () => health,
    figures: present,
    readExec: (value) => codec.read(value),
    clock,
  });
  const deliver = (events: readonly ExecEvent[]) => state.delivered(codec.encode(events));
  const read = (withArgv = true, mark?: number) => JSON.parse(state.view(mark)?.json(withArgv) ?? '') as LiveJson;
  return { clock, state, deliver, read };
}

test('the account of each stream, and what is lost of all', () => {
  const { ledger, attached_at, ready, reasons } = setUp().read();
  expect(attached_at).toBe(1_763_000_000_000);
  expect(ledger).toMatchObject({ lost: 3, unexplained: 0 });
  expect(ledger.streams[0]).toEqual({
    stream_name: 'exec',
    interval_end: 1_764_000_000_500,
    seen: 100,
    published: 80,
    pending: 5,
    filtered: { 'exe:/usr/bin/cc1': 12 },
    lost: { ring_full: 3, skipped: 0 },
    unexplained: 0,
    unobserved_micros: 2_500_000,
  });
  expect({ ready, reasons }).toEqual({ ready: false, reasons: [expect.stringContaining('ECONNREFUSED')] });
});

test('deliveries, rings, spool and interfaces as they stand', () => {
  const { deliveries, rings, spool, packets } = setUp().read();
  expect(deliveries).toEqual([
    {
      topic: 'p.exec-events',
      state: 'retrying',
      since: 7,
      reason: 'connect ECONNREFUSED',
      records: 80,
      bytes: 8_000,
      retries: 4,
      dead_letters: 1,
    },
  ]);
  expect(rings).toEqual([{ ring: 'exec', capacity_bytes: 4_096, used_bytes: 512, high_water_bytes: 1_024 }]);
  expect(spool).toEqual({ state: 'holding', records: 21, bytes: 9_999, capacity_bytes: 65_536 });
  expect(packets).toMatchObject({ attached: ['eth0'], flows: 7, flow_capacity: 1_024, rows: 0, until: 0 });
});

test('what comes from command lines is there with the token only', () => {
  const { deliver, read } = setUp();
  const secret = 'only-with-the-token';
  const event = { ...fullEvent, args: [secret], filename: secret, exe: secret, cwd: secret, interpreter: secret };
  deliver([{ ...event, parent_args: [secret], parent_exe: secret, env: { A: secret }, args_raw: Buffer.from(secret) }]);
  const open = read(false).execs;
  expect(JSON.stringify(open)).not.toContain(secret);
  expect(open).toMatchObject({ with_argv: false, events: [{ pid: fullEvent.pid, comm: 'curl', seq: fullEvent.seq }] });
  expect(read(true).execs).toMatchObject({ with_argv: true, events: [{ args: [secret], parent_args: [secret] }] });
  // What is asked for by name with --exec-env is no part of the page.
  expect(read(true).execs.events[0]).not.toHaveProperty('env');
});

test('of many execs the newest are shown, and how many there were is said', () => {
  const { state, deliver, read } = setUp();
  const many = Array.from({ length: 500 }, (_, n) => ({ ...fullEvent, pid: n }));
  deliver(many);
  deliver(many.slice(0, 3));
  const all = read().execs;
  expect([all.published, all.shown, all.events.length]).toEqual([503, execsShown, execsShown]);
  expect(all.events.at(-1)?.pid).toBe(2);
  const { mark } = state.view() as { mark: number };
  deliver(many.slice(0, 20));
  const since = read(true, mark).execs;
  expect([since.published, since.shown, since.events[0]?.pid]).toEqual([20, 20, 0]);
});

test('counts and rates are of what was acknowledged', () => {
  const { clock, state, deliver, read } = setUp();
  deliver([{ ...fullEvent, event_time: clock.nowMillis() - 1_500 }]);
  const end = clock.nowMillis() - 1_000;
  state.counted([{ ...flowCount, interval_start: end - 1_000, interval_end: end, packets: 50 }]);
  state.counted([]);
  const { packets, rates } = read();
  expect(packets?.leaders).toMatchObject([{ text: '198.51.100.7:51022 => :443', packets: 50, packets_per_second: 50 }]);
  expect(rates.execs.reduce((sum: number, count) => sum + (count ?? 0), 0)).toBe(1);
  expect(rates.packets.reduce((sum: number, count) => sum + (count ?? 0), 0)).toBe(50);
  expect(rates.packets.at(-1)).toBeNull();
  expect(rates.exits.every((count) => count === null)).toBe(true);
});

test('nothing in the text can move a terminal, and it means the same', () => {
  const { state, deliver } = setUp();
  const hostile = '\u001b[2J\u202e\u0085';
  deliver([{ ...fullEvent, args: [hostile] }]);
  const text = state.view()?.json(true) as string;
  expect(text).not.toMatch(/[^\x20-\x7e]/);
  expect((JSON.parse(text) as LiveJson).execs.events[0]?.args).toEqual([hostile]);
});

test('without packets there are none, and behind the end there is nothing', () => {
  expect(setUp(() => ({ ...figures, packets: undefined })).read().packets).toBeNull();
  expect(setUp(() => undefined).state.view()).toBeUndefined();
});

test('docs/page.md tells of every field', () => {
  const { deliver, state, read } = setUp();
  deliver([fullEvent]);
  state.counted([flowCount]);
  const page = readFileSync(join(import.meta.dirname, '../../../docs/page.md'), 'utf8');
  const { ledger, deliveries, rings, spool, packets, rates, execs, ...others } = read();
  const parts = [others, { ledger, deliveries, rings, spool, packets, rates, execs }, ledger, ledger.streams[0]];
  const fields = [...parts, deliveries[0], rings[0], spool, packets, rates, execs].flatMap((part) =>
    Object.keys(part ?? {}),
  );
  expect(fields.length).toBeGreaterThan(50);
  expect(fields.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});
