import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock as clock } from '../../src/clock.ts';
import { createKafkaClient } from '../../src/kafka/client.ts';
import { prepareTopics } from '../../src/kafka/topics.ts';
import { createLog } from '../../src/log.ts';
import { createDeadLetters } from '../../src/producers/dead-letters.ts';
import { Delivery } from '../../src/producers/delivery.ts';
import type { OutgoingRecord } from '../../src/records/packed-records.ts';
import { createCodec, type Framing } from '../../src/schemas/codec.ts';
import { tool, whyNoCapture } from '../support/capture.ts';
import { destinationsOf } from '../support/destinations.ts';
import { ethernet, etherType, ipv4, ipv6Chain, ports, protocol } from '../support/frames.ts';
import { readTopic } from '../support/kcat.ts';
import { killAtWrite, whyNoKillAtWrite } from '../support/kill-at-write.ts';
import { removeNetwork, VethPair, whyNoNetwork } from '../support/network.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { auditOf, readDeadLetters } from '../support/published.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, startStorm } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';
import { fullEvent } from '../unit/schemas/events.ts';

oneStormAtATime();

/** Without compression some ordinary execs fit into a batch, and one with 30,000 characters of argument does not. */
const limit = { 'max.message.bytes': String(24 * 1024) };
const captureAll = [
  ...['--create-topics', '--compression', 'none', '--no-redact-defaults', '--drain-timeout', '60s'],
  '--no-exit', // `killAtWrite` looks for the one ring
];
const execPoison = (name: string) => {
  const { status } = spawnSync(tool('noop'), [`${name}-${randomBytes(15_000).toString('hex')}`]);
  expect(status).toBe(0);
};

/** Dead letters of the execs that this test made, by name; other processes of this machine may have some, too. */
async function lettersOf(prefix: string, name: string) {
  const letters = await readDeadLetters(kafka.brokers, prefix);
  const nameIn = (value: Buffer | null) => new RegExp(`${name}-\\d+-`).exec(value?.toString('latin1') ?? '')?.[0];
  return letters.map((one) => ({ ...one, name: nameIn(one.letter.value_bytes) })).filter(({ name }) => name);
}

describe('an exec that the broker refuses', () => {
  it.for([
    { name: 'whole', letterLimit: {} },
    { name: 'without its value', letterLimit: { 'max.message.bytes': String(16 * 1024) } },
  ])(
    'becomes one dead letter, $name; all others of its batch arrive, and the account closes',
    async ({ letterLimit }, { skip }) => {
      const reason = whyNoCapture();
      skip(reason !== undefined, reason);
      const whole = Object.keys(letterLimit).length === 0;
      const prefix = `one-${whole}.`;
      await using place = await SidecarPlace.create(`dead-${whole}`);
      const flags = [...captureAll, '--topic-prefix', prefix];
      await using sidecar = await place.run(kafka.brokers, ...flags);
      await kafka.configureTopic(`${prefix}exec-events`, limit);
      await kafka.configureTopic(`${prefix}bpf2kafka-dead-letter`, letterLimit);
      process.kill(sidecar.pid, 'SIGSTOP'); // so that all of them are in one batch
      const before = startStorm({ count: 30 });
      await before.ended;
      execPoison('poison-0');
      const after = startStorm({ count: 30 });
      await after.ended;
      process.kill(sidecar.pid, 'SIGCONT');
      expect(await sidecar.end('SIGTERM')).toBe(0);

      const records = await readTopic(kafka.brokers, `${prefix}exec-events`);
      const tokens = new Set([...before.tokens, ...after.tokens]);
      expect(compare(tokens, records).missing).toEqual([]);
      expect(records.filter(({ value }) => value.includes('poison-0-'))).toEqual([]);

      const letters = await readDeadLetters(kafka.brokers, prefix);
      const seqs = new Set(records.map(({ headers }) => headers.seq));
      for (const { letter, headers } of letters) {
        expect(seqs.has(String(letter.seq))).toBe(false);
        expect(letter).toMatchObject({ stream_name: 'exec', error_code: 'MESSAGE_TOO_LARGE' });
        expect(headers).toMatchObject({ boot_id: letter.boot_id, seq: String(letter.seq) });
      }
      if (whole) {
        const [poisoned, ...more] = await lettersOf(prefix, 'poison');
        expect(more).toEqual([]);
        const value = poisoned?.letter.value_bytes as Buffer;
        expect(poisoned?.letter.value_sha256).toBe(createHash('sha256').update(value).digest('hex'));
      } else {
        const large = letters.filter(({ letter }) => letter.value_size > 30_000);
        expect(large.length).toBeGreaterThan(0);
        for (const { letter } of large) expect(letter.value_bytes).toBe(null);
      }
      const { code, said } = await auditOf(kafka.brokers, prefix);
      expect(said).toContain('dead letters');
      expect(code).toBe(0);
    },
  );

  it('is a dead letter again when the sidecar is killed before it has committed, and counts once', {
    timeout: 180_000,
  }, async ({ skip }) => {
    const reason = whyNoCapture() ?? whyNoKillAtWrite();
    skip(reason !== undefined, reason);
    const ringBytes = 8 * 1024 * 1024;
    await using place = await SidecarPlace.create('dead-kill');
    const flags = [...captureAll, '--topic-prefix', 'letters-kill.', '--exec-ring-bytes', String(ringBytes)];
    const tokens = new Set<string>();
    const names = async () => (await lettersOf('letters-kill.', 'poison')).map(({ name }) => name as string);
    let lives = 0;
    let all: readonly string[] = [];
    // The commit of the poisoned batch is the first one, or the second when one was on its way; unless this machine does
    // more meanwhile than a batch holds.
    for (; new Set(all).size === all.length; lives += 1) {
      expect(lives).toBeLessThan(12);
      await using sidecar = await place.run(kafka.brokers, ...flags);
      await kafka.configureTopic('letters-kill.exec-events', limit);
      process.kill(sidecar.pid, 'SIGSTOP');
      const storm = startStorm({ count: 30 });
      await storm.ended;
      for (const token of storm.tokens) tokens.add(token);
      execPoison(`poison-${lives}`);
      const killer = await killAtWrite(sidecar.pid, ringBytes, 'commit', 1 + (lives % 2));
      process.kill(sidecar.pid, 'SIGCONT');
      // So that there are commits behind the one of the poisoned batch.
      const more = startStorm({ count: 30, rate: 30 });
      for (const token of more.tokens) tokens.add(token);
      expect(await sidecar.exit()).toBe('SIGKILL');
      await more.ended;
      if (killer.exitCode === null) await once(killer, 'exit');
      expect(killer.exitCode).toBe(0);
      all = await names();
    }

    await using last = await place.run(kafka.brokers, ...flags);
    expect(await last.end('SIGTERM')).toBe(0);
    expect(new Set(await names()).size).toBe(lives);
    const records = await readTopic(kafka.brokers, 'letters-kill.exec-events');
    expect(compare(tokens, records).missing).toEqual([]);
    expect(await auditOf(kafka.brokers, 'letters-kill.')).toMatchObject({ code: 0 });
  });

  it('and is the first that a process has is a dead letter as soon as another one is accepted', {
    timeout: 180_000,
  }, async ({ skip }) => {
    const reason = whyNoCapture();
    skip(reason !== undefined, reason);
    // Whatever else this machine runs would come before it, and be accepted.
    const uid = 61_234;
    const directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-first-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    await chmod(directory, 0o755);
    await copyFile(tool('noop'), join(directory, 'noop'));
    const exec = (argument: string) => expect(spawnSync(join(directory, 'noop'), [argument], { uid }).status).toBe(0);
    await using place = await SidecarPlace.create('dead-first');
    const flags = [...captureAll, '--topic-prefix', 'first.', '--exclude-uid', '0'];
    await using before = await place.run(kafka.brokers, ...flags, '--on-exit', 'keep');
    expect(await before.end('SIGTERM')).toBe(0);
    await kafka.configureTopic('first.exec-events', limit);
    exec(`poison-0-${randomBytes(15_000).toString('hex')}`);
    await using sidecar = await place.run(kafka.brokers, ...flags);
    await waitFor(() => /held and tried again/.test(sidecar.errors), { what: 'it is held', timeout: 60_000 });
    expect(await lettersOf('first.', 'poison')).toEqual([]);
    exec('another-one');
    await waitFor(async () => (await lettersOf('first.', 'poison')).length > 0, {
      what: 'its dead letter',
      timeout: 90_000,
    });
    expect(await sidecar.end('SIGTERM')).toBe(0);
    const records = await readTopic(kafka.brokers, 'first.exec-events');
    expect(records.some(({ value }) => value.includes('another-one'))).toBe(true);
    expect(await auditOf(kafka.brokers, 'first.')).toMatchObject({ code: 0 });
  });

  it('stays in the kernel until its dead letter is acknowledged', { timeout: 180_000 }, async ({ skip }) => {
    const reason = whyNoCapture();
    skip(reason !== undefined, reason);
    await using place = await SidecarPlace.create('dead-hold');
    const flags = [...captureAll, '--topic-prefix', 'hold.'];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    // The first record of a process cannot be told from an outage: one is accepted before.
    const accepted = startStorm({ count: 1 });
    await waitFor(
      async () => compare(accepted.tokens, await readTopic(kafka.brokers, 'hold.exec-events')).found === 1,
      {
        what: 'an exec is accepted',
        timeout: 60_000,
      },
    );
    await kafka.configureTopic('hold.exec-events', limit);
    await kafka.configureTopic('hold.bpf2kafka-dead-letter', { 'max.message.bytes': '100' });
    execPoison('poison-0');
    await waitFor(() => /held and tried again/.test(sidecar.errors), {
      what: 'the dead letter is held',
      timeout: 60_000,
    });
    expect(sidecar.errors).toMatch(
      /hold\.bpf2kafka-dead-letter[^\n]*held and tried again|held and tried again[^\n]*hold\.bpf2kafka-dead-letter/,
    );
    expect(await sidecar.end('SIGKILL')).toBe('SIGKILL');
    await kafka.configureTopic('hold.bpf2kafka-dead-letter', {});

    await using last = await place.run(kafka.brokers, ...flags);
    expect(await last.end('SIGTERM')).toBe(0);
    expect((await lettersOf('hold.', 'poison')).map(({ name }) => name)).toEqual(['poison-0-']);
    expect(await auditOf(kafka.brokers, 'hold.')).toMatchObject({ code: 0 });
  });
});

describe('a topic that refuses every exec', () => {
  it('is an outage: they are held, none is a dead letter, and they arrive when its limit is raised', {
    timeout: 180_000,
  }, async ({ skip }) => {
    const reason = whyNoCapture();
    skip(reason !== undefined, reason);
    await using place = await SidecarPlace.create('dead-all');
    const flags = ['--create-topics', '--topic-prefix', 'all.', '--ledger-interval', '1s'];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    await kafka.configureTopic('all.exec-events', { 'max.message.bytes': '100' });
    const storm = startStorm({ count: 100 });
    await storm.ended;
    await waitFor(() => sidecar.errors.includes('held and tried again'), {
      what: 'the log tells of it',
      timeout: 60_000,
    });
    expect(sidecar.ended).toBe(false);
    const found = async () => compare(storm.tokens, await readTopic(kafka.brokers, 'all.exec-events')).found;
    expect(await found()).toBeLessThan(100);
    await kafka.configureTopic('all.exec-events', {});
    await waitFor(async () => (await found()) === 100, { what: 'every exec arrives', timeout: 60_000 });
    expect(await sidecar.end('SIGTERM')).toBe(0);
    expect(await readDeadLetters(kafka.brokers, 'all.')).toEqual([]);
    expect(await auditOf(kafka.brokers, 'all.')).toMatchObject({ code: 0 });
  });
});

describe('a packet count that the broker refuses', () => {
  afterEach(() => {
    if (whyNoNetwork() === undefined) removeNetwork();
  });

  it('becomes a dead letter; the others of its epoch arrive, and the account closes', { timeout: 180_000 }, async ({
    skip,
  }) => {
    const reason = whyNoCapture() ?? whyNoNetwork();
    skip(reason !== undefined, reason);
    const pair = new VethPair();
    await using place = await SidecarPlace.create('dead-packets', [pair.name]);
    const prefix = 'letters-packets.';
    // Without compression the size of a record is that of its texts, and an address of IPv6 has more of them.
    const flags = ['--create-topics', '--topic-prefix', prefix, '--interval', '200ms', '--compression', 'none'];
    await using sidecar = await place.run(kafka.brokers, ...flags);
    const short = ethernet(etherType.ipv4, ipv4({ protocol: protocol.tcp }, ports(40_001, 443, 16)));
    const address = Buffer.alloc(16, 0xfd);
    const fields = { source: address, destination: address };
    const long = ethernet(etherType.ipv6, ipv6Chain([], protocol.tcp, ports(40_001, 443, 16), fields));
    const runs = [
      { frame: short, times: 3 },
      { frame: long, times: 5 },
    ];
    const values = async () => (await readTopic(kafka.brokers, `${prefix}packet-counts`)).map(({ value }) => value);
    const isLong = (value: Buffer) => value.includes(':fdfd:');
    await pair.sendFrames(runs);
    const first = await waitFor(
      async () => {
        const all = await values();
        return all.some(isLong) && all.some((value) => !isLong(value)) ? all : undefined;
      },
      { what: 'a record of each kind', timeout: 60_000 },
    );
    const largest = (some: readonly Buffer[]) => Math.max(...some.map(({ length }) => length));
    const room = (largest(first.filter((value) => !isLong(value))) + largest(first.filter(isLong))) / 2;
    const framing = 61 + 41; // of a batch, and of its only record: with a key of 32 characters
    await kafka.configureTopic(`${prefix}packet-counts`, { 'max.message.bytes': String(Math.round(framing + room)) });
    await pair.sendFrames(runs);
    await waitFor(async () => (await readDeadLetters(kafka.brokers, prefix)).length > 0, {
      what: 'a dead letter',
      timeout: 60_000,
    });
    expect(await sidecar.end('SIGTERM')).toBe(0);

    const letters = await readDeadLetters(kafka.brokers, prefix);
    for (const { letter } of letters) {
      expect(letter).toMatchObject({ stream_name: `packets:${pair.name}`, seq: null, error_code: 'MESSAGE_TOO_LARGE' });
      expect(isLong(letter.value_bytes as Buffer)).toBe(true);
    }
    expect((await values()).filter(isLong)).toHaveLength(first.filter(isLong).length);
    const { code, said } = await auditOf(kafka.brokers, prefix);
    expect(said).toMatch(new RegExp(`packets:${pair.name}: .*seen 16 = published 16 .*; closed .*dead letters`));
    expect(code).toBe(0);
  });
});

describe('a record whose time the broker refuses', () => {
  const hour = 3_600_000;
  it.each([
    { what: 'too old', config: { 'message.timestamp.before.max.ms': String(hour) }, away: -2 * hour },
    { what: 'too far ahead', config: { 'message.timestamp.after.max.ms': String(hour / 6) }, away: hour / 3 },
  ])('$what becomes a dead letter with the time of sending', async ({ config, away }) => {
    const prefix = `time${away}.`;
    const hostId = 'host-1';
    const log = createLog('silent');
    const client = createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', log });
    await kafka.createTopic(`${prefix}exec-events`, { config });
    await using admin = await client.connectAdmin();
    const topics = await prepareTopics(admin, {
      topics: ['exec-events', 'bpf2kafka-dead-letter'],
      prefix,
      createTopics: true,
      singleNode: true,
      log,
      clock,
    });
    const framing: Framing = { kind: 'single-object' };
    const options = { client, destinations: destinationsOf(topics, hostId), hostId, clock, log };
    await using letterDelivery = new Delivery(options);
    const codec = createCodec({ topic: 'exec-events', framing });
    const letters = { codec: createCodec({ topic: 'bpf2kafka-dead-letter', framing }), delivery: letterDelivery };
    const deadLetters = createDeadLetters({ topic: 'exec-events', codec, letters, clock });
    await using delivery = new Delivery({ ...options, deadLetters });
    const now = Date.now();
    const events = [0, 1, 2, 3, 4].map((n) => ({
      ...fullEvent,
      seq: fullEvent.seq + n,
      event_time: n === 2 ? now + away : now,
    }));
    await delivery.accept(codec.encode(events));

    const seqOf = ({ headers }: Pick<OutgoingRecord, 'headers'>) => Number(headers.seq) - fullEvent.seq;
    expect((await readTopic(kafka.brokers, `${prefix}exec-events`)).map(seqOf)).toEqual([0, 1, 3, 4]);
    const [letter, ...more] = await readDeadLetters(kafka.brokers, prefix);
    expect(more).toEqual([]);
    expect(letter).toMatchObject({
      letter: { seq: fullEvent.seq + 2, error_code: 'INVALID_TIMESTAMP', event_time: now + away },
      headers: { seq: String(fullEvent.seq + 2), clock_skew: String(now + away) },
    });
    expect(delivery.figures.deadLetters).toBe(1);
  });
});

describe('without a topic for dead letters', () => {
  it('run ends with exit code 4 and names it', async ({ skip }) => {
    const reason = whyNoCapture();
    skip(reason !== undefined, reason);
    for (const topic of ['exec-events', 'exit-events', 'bpf2kafka-ledger'])
      await kafka.createTopic(`letters-lacking.${topic}`);
    await using place = await SidecarPlace.create('dead-lacking');
    const words = ['run', '--brokers', kafka.brokers, '--topic-prefix', 'letters-lacking.', ...place.flags];
    await using run = new CommandProcess(words);
    expect(await run.exit()).toBe(4);
    expect(run.errors).toContain('letters-lacking.bpf2kafka-dead-letter');
  });
});
