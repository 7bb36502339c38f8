import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LedgerEntry } from '../../src/schemas/ledger-entry.ts';
import { whyNoCapture } from '../support/capture.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic } from '../support/kcat.ts';
import { killAtWrite, whyNoKillAtWrite } from '../support/kill-at-write.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { bareEvents, contradictionsIn, readEventLedger } from '../support/published.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, holesIn, repeatsIn, type Storm, startStorm } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

/** The lengths that the figures in docs/ledger.md are from; `npm test` takes the short ones. */
const long = process.env.BPF2KAFKA_LONG_TESTS === '1';
const busySeconds = long ? 120 : 8;
const idleSeconds = long ? 300 : 6;

const readLedger = (brokers: string, prefix: string) => readEventLedger(brokers, prefix, 'exec');

const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);

function expectBalanced(entries: readonly LedgerEntry[]): void {
  for (const entry of entries) {
    expect(entry.unexplained, `epoch ${entry.epoch}`).toBe(0);
    expect(entry.published + sum(entry.filtered) + sum(entry.lost) + entry.pending).toBe(entry.seen);
  }
}

async function expectAudit(brokers: string, prefix: string): Promise<string[]> {
  await using audit = new CommandProcess(['audit', '--brokers', brokers, '--topic-prefix', prefix]);
  const code = await audit.exit();
  expect(`${code} ${audit.errors}${code === 0 ? '' : audit.lines.join('\n')}`.trim()).toBe('0');
  return audit.lines;
}

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});
oneStormAtATime();

describe('the ledger', () => {
  let kafka: TestKafka;
  beforeAll(async () => {
    kafka = await startKafka();
  });
  afterAll(async () => {
    await kafka[Symbol.asyncDispose]();
  });

  it('balances exactly at every epoch under 2,000 execs/s with an epoch a second', { timeout: 400_000 }, async () => {
    await using place = await SidecarPlace.create('busy');
    const flags = ['--create-topics', '--topic-prefix', 'busy.', '--ledger-interval', '1s'];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    const storm = startStorm({ count: busySeconds * 2_000, rate: 2_000 });
    await storm.ended;
    expect(await sidecar.end('SIGTERM')).toBe(0);

    const entries = await readLedger(kafka.brokers, 'busy.');
    expect(entries.length).toBeGreaterThan(busySeconds * 0.7);
    expectBalanced(entries);
    const last = entries.at(-1) as LedgerEntry;
    expect(last).toMatchObject({ state: 'stopped', closed: true, pending: 0, lost: {} });
    const records = await readTopic(kafka.brokers, 'busy.exec-events');
    expect(records).toHaveLength(last.published);
    expect(compare(storm.tokens, records).missing).toEqual([]);
    await expectAudit(kafka.brokers, 'busy.');
  });

  it('counts what a ring of 64 KiB loses in a storm, by reason, and seq has as many holes; bare records are no loss', {
    timeout: 180_000,
  }, async () => {
    await using place = await SidecarPlace.create('small');
    const flags = [
      '--create-topics',
      '--topic-prefix',
      'small.',
      '--exec-ring-bytes',
      '65536',
      '--spool-bytes',
      '0',
      '--ledger-interval',
      '1s',
    ];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    await kafka.pause(); // so that the ring is full for a while, however fast the machine is
    const storm = startStorm({ count: 3_000 });
    await storm.ended;
    kafka.resume();
    const after = startStorm({ count: 100 });
    await after.ended;
    await waitFor(async () => (await readLedger(kafka.brokers, 'small.')).some(({ state }) => state === 'degraded'), {
      what: 'an entry that tells of the loss while the sidecar runs',
    });
    expect(await sidecar.end('SIGTERM')).toBe(0);

    const entries = await readLedger(kafka.brokers, 'small.');
    expectBalanced(entries);
    const last = entries.at(-1) as LedgerEntry;
    const lost = sum(last.lost);
    expect(last.closed).toBe(true);
    expect(Object.keys(last.lost).filter((reason) => !['ring_full', 'ring_busy'].includes(reason))).toEqual([]);

    const records = await readTopic(kafka.brokers, 'small.exec-events');
    const distinct = records.length - repeatsIn(records).reduce((total, group) => total + group.length - 1, 0);
    expect(last.seen - lost).toBe(distinct);
    // Before the first record and behind the last there may be holes, too: the numbers begin at attach_id.
    const seqs = records.map(({ headers }) => Number(headers.seq)).sort((a, b) => a - b);
    const holes =
      holesIn(records).length +
      ((seqs[0] as number) - last.attach_id) +
      (last.low_watermark - 1 - (seqs.at(-1) as number));
    expect(holes).toBe(lost);
    // The generator's own execs: whatever of them is not there has been counted; others of this host may have been lost,
    // too. A bare record has no argument, and so no token.
    const { found } = compare(new Set([...storm.tokens, ...after.tokens]), records);
    const bare = (await bareEvents(kafka.brokers, 'small.')).filter(({ comm }) => comm === 'noop');
    expect(bare.length).toBeGreaterThan(0);
    const missing = 3_100 - found - bare.length;
    expect(missing).toBeGreaterThan(0);
    expect(missing).toBeLessThanOrEqual(lost);
    const others = records.length - found - bare.length;
    expect(lost - missing).toBeLessThanOrEqual(others + 50);
    const lines = await expectAudit(kafka.brokers, 'small.');
    expect(lines.at(-1)).toContain(String(lost));
  });

  it('closes over both rings when it is killed with both full, and every repeat is the same', {
    timeout: 180_000,
  }, async () => {
    await using place = await SidecarPlace.create('bare');
    const flags = [
      '--create-topics',
      '--topic-prefix',
      'bare.',
      '--exec-ring-bytes',
      '65536',
      '--ledger-interval',
      '1s',
    ];
    await using first = await place.run(kafka.brokers, ...flags);
    const storm = startStorm({ count: 4_000, rate: 400 });
    await waitFor(async () => (await readTopic(kafka.brokers, 'bare.exec-events')).length > 300, { what: 'records' });
    await kafka.pause();
    // Much more than both rings hold, whatever the rest of the host does.
    await startStorm({ count: 1_000 }).ended;
    expect(await first.end('SIGKILL')).toBe('SIGKILL');
    kafka.resume();
    await using second = await place.run(kafka.brokers, ...flags);
    await storm.ended;
    expect(await second.end('SIGTERM')).toBe(0);

    const entries = await readLedger(kafka.brokers, 'bare.');
    expectBalanced(entries);
    expect(entries.at(-1)).toMatchObject({ state: 'stopped', closed: true, pending: 0 });
    expect(entries.some(({ state }) => state === 'degraded')).toBe(true);
    const records = await readTopic(kafka.brokers, 'bare.exec-events');
    expect(await contradictionsIn(records)).toEqual([]);
    const bare = await bareEvents(kafka.brokers, 'bare.');
    expect(bare.length).toBeGreaterThan(0);
    for (const { args, exe, uid, pid, filename } of bare) {
      expect({ args, exe, filename }).toEqual({ args: null, exe: null, filename: '' });
      expect([uid, pid]).toEqual([expect.any(Number), expect.any(Number)]);
    }
    await expectAudit(kafka.brokers, 'bare.');
  });

  it('gives a heartbeat and counts no loss when nothing happens', { timeout: 400_000 }, async () => {
    await using place = await SidecarPlace.create('idle');
    const flags = ['--create-topics', '--topic-prefix', 'idle.', '--ledger-interval', '2s'];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    const wanted = idleSeconds / 2;
    await waitFor(async () => (await readLedger(kafka.brokers, 'idle.')).length >= wanted, {
      what: `${wanted} entries`,
      timeout: idleSeconds * 2_000 + 10_000,
      interval: 1_000,
    });
    expect(await sidecar.end('SIGTERM')).toBe(0);
    const entries = await readLedger(kafka.brokers, 'idle.');
    expectBalanced(entries);
    for (const entry of entries) expect(entry.lost).toEqual({});
  });

  it('ends the account of an attach that was discarded, at the next start', async () => {
    await using place = await SidecarPlace.create('discard');
    const flags = ['--create-topics', '--topic-prefix', 'discard.'];
    await using first = await place.run(kafka.brokers, ...flags, '--on-exit', 'keep');
    await waitFor(async () => (await readLedger(kafka.brokers, 'discard.')).length > 0, { what: 'an entry' });
    expect(await first.end('SIGTERM')).toBe(0);
    await startStorm({ count: 200 }).ended;
    await using detach = new CommandProcess(['detach', '--discard', ...place.paths]);
    expect(await detach.exit()).toBe(0);
    const discarded = Number(/lost: (\d+) records/.exec(detach.lines[0] ?? '')?.[1]);
    expect(discarded).toBeGreaterThanOrEqual(200);

    await using second = await place.run(kafka.brokers, ...flags);
    expect(await second.end('SIGTERM')).toBe(0);
    const entries = await readLedger(kafka.brokers, 'discard.');
    expectBalanced(entries);
    const ofExits = await readEventLedger(kafka.brokers, 'discard.', 'exit');
    expectBalanced(ofExits);
    const closing = [...entries, ...ofExits].filter(({ state }) => state === 'closing');
    expect(closing).toHaveLength(2);
    expect(closing.reduce((total, { lost }) => total + sum(lost), 0)).toBe(discarded);
    for (const { lost } of closing) expect(lost.discarded).toBeGreaterThanOrEqual(200);
    await expectAudit(kafka.brokers, 'discard.');
  });
});

describe('a sidecar that is killed in the middle of a commit', () => {
  const ringBytes = 8 * 1024 * 1024;
  let kafka: TestKafka;
  beforeAll(async () => {
    kafka = await startKafka();
  });
  afterAll(async () => {
    await kafka[Symbol.asyncDispose]();
  });

  it.for([
    ['with the totals half written', 'slot'],
    ['between the slot and the position', 'position'],
    ['right behind the position', 'consumer'],
  ] as const)('%s loses nothing, and the account closes', { timeout: 180_000 }, async ([, word], { skip }) => {
    const reason = whyNoKillAtWrite();
    skip(reason !== undefined, reason);
    await using place = await SidecarPlace.create(word);
    const prefix = `${word}.`;
    const flags = [
      '--topic-prefix',
      prefix,
      '--create-topics',
      '--ledger-interval',
      '1s',
      '--no-exit',
      '--exec-ring-bytes',
      String(ringBytes),
    ];
    let storm: Storm | undefined;
    for (let i = 0; i < 3; i += 1) {
      await using sidecar = await place.run(kafka.brokers, ...flags);
      storm ??= startStorm({ count: 6_000, rate: 600 });
      const tool = await killAtWrite(sidecar.pid, ringBytes, word, 5 + i);
      expect(await sidecar.exit()).toBe('SIGKILL');
      if (tool.exitCode === null) await once(tool, 'exit');
      expect(tool.exitCode).toBe(0);
    }
    await using last = await place.run(kafka.brokers, ...flags);
    await storm?.ended;
    expect(await last.end('SIGTERM')).toBe(0);

    const records = await readTopic(kafka.brokers, `${prefix}exec-events`);
    expect(compare(storm?.tokens ?? new Set(), records)).toMatchObject({ missing: [], found: 6_000 });
    expect(holesIn(records)).toEqual([]);
    expect(await contradictionsIn(records)).toEqual([]);
    expectBalanced(await readLedger(kafka.brokers, prefix));
    await expectAudit(kafka.brokers, prefix);
  });
});
