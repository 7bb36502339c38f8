import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, it } from 'vitest';
import { createDecoder } from '../../src/schemas/codec.ts';
import type { ExecEvent } from '../../src/schemas/exec-event.ts';
import type { ExitEvent } from '../../src/schemas/exit-event.ts';
import { whyNoCapture } from '../support/capture.ts';
import { readTopic, type TopicRecord } from '../support/kcat.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { auditOf, contradictionsIn, readEventLedger } from '../support/published.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { holesIn, repeatsIn, startStorm } from '../support/storm.ts';

/** Exits beside execs through the whole sidecar: a topic, an account and an audit of their own. */

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});
oneStormAtATime();

async function eventsOf<Topic extends 'exec-events' | 'exit-events'>(topic: Topic, records: readonly TopicRecord[]) {
  const decoder = createDecoder({ topic });
  return Promise.all(
    records.map(async ({ value }) => {
      const decoded = await decoder.decode(value);
      if (!decoded.ok) throw new Error(decoded.reason);
      return decoded.event;
    }),
  );
}

/** Of the processes that a generator spawned: how many there are, and which of them have no exit, or two. */
function matched(tokens: ReadonlySet<string>, execs: readonly ExecEvent[], exits: readonly ExitEvent[]) {
  const ids = new Set(execs.filter(({ args }) => tokens.has(args?.[1] ?? '')).map(({ exec_id }) => exec_id));
  const seqs = new Map<string, Set<number>>();
  for (const { exec_id, seq } of exits) seqs.set(exec_id, (seqs.get(exec_id) ?? new Set()).add(seq));
  return { execs: ids.size, wrong: [...ids].filter((id) => seqs.get(id)?.size !== 1) };
}

it('publishes the exit of every one of 10,000 spawns, and accounts for it', { timeout: 180_000 }, async () => {
  await using place = await SidecarPlace.create('exits');
  const flags = ['--create-topics', '--topic-prefix', 'exits.', '--ledger-interval', '1s', '--drain-timeout', '60s'];
  await using sidecar = await place.run(kafka.brokers, ...flags);
  expect(sidecar.lines[0]).toBe('ready exec exit');
  const storm = startStorm({ count: 10_000 });
  await storm.ended;
  expect(await sidecar.end('SIGTERM'), sidecar.errors).toBe(0);

  const records = await readTopic(kafka.brokers, 'exits.exit-events');
  const execs = await eventsOf('exec-events', await readTopic(kafka.brokers, 'exits.exec-events'));
  const exits = await eventsOf('exit-events', records);
  expect(matched(storm.tokens, execs, exits)).toEqual({ execs: 10_000, wrong: [] });
  expect(holesIn(records)).toEqual([]);
  expect(repeatsIn(records)).toEqual([]);
  expect(records.every(({ headers }, n) => headers.boot_id === exits[n]?.boot_id)).toBe(true);

  for (const stream of ['exec', 'exit'] as const) {
    const entries = await readEventLedger(kafka.brokers, 'exits.', stream);
    for (const { epoch, unexplained } of entries) expect({ epoch, unexplained }).toEqual({ epoch, unexplained: 0 });
    expect(entries.at(-1)).toMatchObject({
      state: 'stopped',
      closed: true,
      pending: 0,
      lost: {},
      unobserved_micros: 0,
    });
  }
  const last = (await readEventLedger(kafka.brokers, 'exits.', 'exit')).at(-1);
  expect(last).toMatchObject({ published: records.length, destination: { topic: 'exits.exit-events' } });
  expect(last?.low_watermark).toBe((last?.attach_id ?? 0) + records.length);
  const { code, said } = await auditOf(kafka.brokers, 'exits.');
  expect(code, said).toBe(0);
  expect(said).toMatch(/ exec: .* closed/);
  expect(said).toMatch(/ exit: .* closed/);

  const tail = ['tail', 'exit', '--brokers', kafka.brokers, '--topic-prefix', 'exits.', '--from-beginning', '--limit'];
  await using text = new CommandProcess([...tail, '3']);
  expect(await text.exit()).toBe(0);
  expect(text.lines).toHaveLength(3);
  for (const line of text.lines)
    expect(line).toMatch(/^[\d:.]+ pid: \d+ comm: .+ (exited \d+|killed by .+) after [\d.]+ s$/);
  await using json = new CommandProcess([...tail, '1', '--json']);
  expect(await json.exit()).toBe(0);
  expect(JSON.parse(json.lines[0] as string)).toEqual(exits[0]);
});

it('loses no exec and no exit when it is killed three times in a storm', { timeout: 240_000 }, async () => {
  await using place = await SidecarPlace.create('exits-kill');
  const ring = String(32 * 1024 * 1024);
  const rings = ['--exec-ring-bytes', ring, '--exit-ring-bytes', ring];
  const flags = [
    '--create-topics',
    '--topic-prefix',
    'exits-killed.',
    '--ledger-interval',
    '1s',
    '--drain-timeout',
    '60s',
    ...rings,
  ];
  let sidecar = await place.run(kafka.brokers, ...flags);
  const storm = startStorm({ count: 8_000, rate: 1_000 });
  for (let i = 0; i < 3; i += 1) {
    await sleep(700); // somewhere in the middle of its work; where exactly must not matter
    expect(await sidecar.end('SIGKILL')).toBe('SIGKILL');
    sidecar = await place.run(kafka.brokers, ...flags);
  }
  await using last = sidecar;
  await storm.ended;
  expect(await last.end('SIGTERM')).toBe(0);

  const records = await readTopic(kafka.brokers, 'exits-killed.exit-events');
  const execs = await eventsOf('exec-events', await readTopic(kafka.brokers, 'exits-killed.exec-events'));
  expect(matched(storm.tokens, execs, await eventsOf('exit-events', records))).toEqual({ execs: 8_000, wrong: [] });
  expect(holesIn(records)).toEqual([]);
  expect(await contradictionsIn(records, 'exit-events')).toEqual([]);
  const { code, said } = await auditOf(kafka.brokers, 'exits-killed.');
  expect(code, said).toBe(0);
  expect(said).toMatch(/ exec: .* closed/);
  expect(said).toMatch(/ exit: .* closed/);
});

it('--no-exit captures none, needs no topic for them, and does not leave a capture of them to nobody', {
  timeout: 120_000,
}, async () => {
  await using place = await SidecarPlace.create('no-exit');
  const flags = ['--topic-prefix', 'none.', '--on-exit', 'keep'];
  for (const topic of ['exec-events', 'bpf2kafka-ledger', 'bpf2kafka-dead-letter', 'bpf2kafka-hosts'])
    await kafka.createTopic(`none.${topic}`);
  await using without = await place.run(kafka.brokers, ...flags, '--no-exit');
  expect(without.lines[0]).toBe('ready exec');
  expect(await without.end('SIGTERM')).toBe(0);

  // Without the flag the topic is missed, by name.
  await using missing = new CommandProcess(['run', '--brokers', kafka.brokers, ...place.flags, ...flags]);
  expect(await missing.exit()).toBe(4);
  expect(missing.errors).toContain('none.exit-events');

  // That start has begun to capture exits, and `keep` lets it go on.
  await using refused = new CommandProcess(['run', '--brokers', kafka.brokers, ...place.flags, ...flags, '--no-exit']);
  expect(await refused.exit()).toBe(2);
  expect(refused.errors).toContain('--no-exit');
  const { code, said } = await auditOf(kafka.brokers, 'none.');
  expect(code, said).toBe(0);
});

it('--no-exec captures none, needs no topic for them, and does not leave a capture of them to nobody', {
  timeout: 120_000,
}, async () => {
  await using place = await SidecarPlace.create('no-exec');
  const flags = ['--topic-prefix', 'no-exec.', '--ledger-interval', '1s', '--drain-timeout', '60s'];
  {
    await using without = await place.run(kafka.brokers, ...flags, '--create-topics', '--no-exec', '--on-exit', 'keep');
    expect(without.lines[0]).toBe('ready exit');
    const storm = startStorm({ count: 200 });
    await storm.ended;
    expect(await without.end('SIGTERM'), without.errors).toBe(0);
  }
  const exits = await eventsOf('exit-events', await readTopic(kafka.brokers, 'no-exec.exit-events'));
  expect(exits.filter(({ comm }) => comm === 'noop')).toHaveLength(200);
  expect(await readEventLedger(kafka.brokers, 'no-exec.', 'exec')).toEqual([]);
  await expect(readTopic(kafka.brokers, 'no-exec.exec-events')).rejects.toThrow();

  // Execs come in addition; what was before was not observed.
  {
    await using both = await place.run(kafka.brokers, ...flags, '--create-topics', '--on-exit', 'keep');
    expect(both.lines[0]).toBe('ready exec exit');
    const storm = startStorm({ count: 200 });
    await storm.ended;
    expect(await both.end('SIGTERM'), both.errors).toBe(0);
    const execs = await eventsOf('exec-events', await readTopic(kafka.brokers, 'no-exec.exec-events'));
    expect(execs.filter(({ args }) => storm.tokens.has(args?.[1] ?? ''))).toHaveLength(200);
  }
  expect((await readEventLedger(kafka.brokers, 'no-exec.', 'exec')).at(-1)?.unobserved_micros).toBeGreaterThan(0);

  await using refused = new CommandProcess(['run', '--brokers', kafka.brokers, ...place.flags, ...flags, '--no-exec']);
  expect(await refused.exit()).toBe(2);
  expect(refused.errors).toContain('--no-exec');
  expect(refused.errors).toContain('captures execs');
  const { code, said } = await auditOf(kafka.brokers, 'no-exec.');
  expect(code, said).toBe(0);
});
