import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { whyNoCapture } from '../support/capture.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic } from '../support/kcat.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { contradictionsIn } from '../support/published.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, holesIn, repeatsIn, startStorm } from '../support/storm.ts';

const topic = 'exec-events';

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});

let kafka: TestKafka;
beforeAll(async () => {
  kafka = await startKafka();
});
afterAll(async () => {
  await kafka[Symbol.asyncDispose]();
});

describe('bpf2kafka run', () => {
  oneStormAtATime();

  it('publishes every one of 20,000 spawns on both cores, without a hole in seq', { timeout: 180_000 }, async () => {
    await using place = await SidecarPlace.create('storm');
    await using sidecar = await place.run(kafka.brokers, '--create-topics', '--topic-prefix', 'storm.');
    const storm = startStorm({ count: 20_000 });
    await storm.ended;
    expect(await sidecar.end('SIGTERM')).toBe(0);

    const records = await readTopic(kafka.brokers, `storm.${topic}`);
    expect(compare(storm.tokens, records)).toEqual({ missing: [], found: 20_000, repeated: 0 });
    expect(holesIn(records)).toEqual([]);
    expect(repeatsIn(records)).toEqual([]);
    expect(existsSync(place.pinPath)).toBe(false);
  });

  it('loses nothing when it is killed five times in a storm, and repeats records unchanged', {
    timeout: 240_000,
  }, async () => {
    await using place = await SidecarPlace.create('kill');
    const flags = ['--create-topics', '--topic-prefix', 'kill.', '--exec-ring-bytes', String(64 * 1024 * 1024)];
    let sidecar = await place.run(kafka.brokers, ...flags);
    const storm = startStorm({ count: 20_000, rate: 1_500 });
    for (let i = 0; i < 5; i += 1) {
      await sleep(700); // somewhere in the middle of its work; where exactly must not matter
      expect(await sidecar.end('SIGKILL')).toBe('SIGKILL');
      sidecar = await place.run(kafka.brokers, ...flags);
    }
    await using last = sidecar;
    await storm.ended;
    expect(await last.end('SIGINT')).toBe(0);

    const records = await readTopic(kafka.brokers, `kill.${topic}`);
    expect(compare(storm.tokens, records)).toMatchObject({ missing: [], found: 20_000 });
    expect(holesIn(records)).toEqual([]);
    expect(await contradictionsIn(records)).toEqual([]);
  });

  it('loses nothing when the broker is away for seconds in a storm that fits the ring', {
    timeout: 180_000,
  }, async () => {
    const away = process.env.BPF2KAFKA_LONG_TESTS === '1' ? 20 : 8;
    const count = 800 * (away + 5); // which goes on behind the outage
    await using place = await SidecarPlace.create('outage');
    await using sidecar = await place.run(
      kafka.brokers,
      ...['--create-topics', '--topic-prefix', 'outage.', '--exec-ring-bytes', String(32 * 1024 * 1024)],
    );
    const storm = startStorm({ count, rate: 800 });
    await sleep(1_000);
    await kafka.kill();
    await sleep(1_000 * away); // the length of the outage is the case
    await kafka.start();
    await storm.ended;
    expect(await sidecar.end('SIGTERM')).toBe(0);

    const records = await readTopic(kafka.brokers, `outage.${topic}`);
    expect(compare(storm.tokens, records)).toMatchObject({ missing: [], found: count });
    expect(holesIn(records)).toEqual([]);
  });

  it('gives no identity twice when it is detached and attached again in one boot', async () => {
    await using place = await SidecarPlace.create('again');
    const storms = [];
    for (let i = 0; i < 3; i += 1) {
      await using sidecar = await place.run(kafka.brokers, '--create-topics', '--topic-prefix', 'again.');
      const storm = startStorm({ count: 300 });
      storms.push(storm);
      await storm.ended;
      expect(await sidecar.end('SIGTERM')).toBe(0);
      expect(existsSync(place.pinPath)).toBe(false);
    }
    const records = await readTopic(kafka.brokers, `again.${topic}`);
    for (const storm of storms)
      expect(compare(storm.tokens, records)).toEqual({ missing: [], found: 300, repeated: 0 });
    expect(repeatsIn(records)).toEqual([]);
  });

  it('keeps capturing after its end with --on-exit keep, and publishes that at the next start', async () => {
    await using place = await SidecarPlace.create('keep');
    const flags = ['--create-topics', '--topic-prefix', 'keep.', '--on-exit', 'keep'];
    await using first = await place.run(kafka.brokers, ...flags);
    expect(await first.end('SIGTERM')).toBe(0);
    const storm = startStorm({ count: 300 });
    await storm.ended;

    await using second = await place.run(kafka.brokers, '--topic-prefix', 'keep.', '--on-exit', 'detach');
    expect(await second.end('SIGTERM')).toBe(0);
    expect(existsSync(place.pinPath)).toBe(false);
    const records = await readTopic(kafka.brokers, `keep.${topic}`);
    expect(compare(storm.tokens, records)).toEqual({ missing: [], found: 300, repeated: 0 });
  });

  it('refuses to run twice on the same pins and names the owner', async () => {
    await using place = await SidecarPlace.create('twice');
    await using first = await place.run(kafka.brokers, '--create-topics', '--topic-prefix', 'twice.');
    await using second = new CommandProcess([
      'run',
      '--brokers',
      kafka.brokers,
      ...place.flags,
      '--topic-prefix',
      'twice.',
    ]);
    expect(await second.exit()).toBe(3);
    expect(second.errors).toContain(`process ${first.pid} owns them`);
    await using detach = new CommandProcess(['detach', '--pin-path', place.pinPath, '--discard']);
    expect(await detach.exit()).toBe(3);
    expect(detach.errors).toContain(`process ${first.pid} owns them`);

    expect(await first.end('SIGTERM')).toBe(0);
  });

  it('leaves records in the kernel, and says so, when it cannot publish them before the deadline', async () => {
    await using place = await SidecarPlace.create('deadline');
    await using own = await startKafka();
    await using sidecar = await place.run(own.brokers, '--create-topics', '--drain-timeout', '1s');
    await own.kill();
    const storm = startStorm({ count: 100 });
    await storm.ended;
    expect(await sidecar.end('SIGTERM')).toBe(4);
    expect(sidecar.errors).toMatch(
      /\d+ records have not been acknowledged by the broker in time; they wait in the kernel/,
    );

    await using refused = new CommandProcess(['detach', '--pin-path', place.pinPath]);
    expect(await refused.exit()).toBe(3);
    expect(refused.errors).toMatch(/\d+ records in the kernel have not been acknowledged/);

    await own.start();
    await using next = await place.run(own.brokers);
    expect(await next.end('SIGTERM')).toBe(0);
    const records = await readTopic(own.brokers, topic);
    expect(compare(storm.tokens, records)).toEqual({ missing: [], found: 100, repeated: 0 });
  });
});

describe('bpf2kafka run with bad input says it in one line', () => {
  it.each([
    { title: 'an unknown flag', words: ['--no-such-flag'], code: 2, says: /--no-such-flag/ },
    {
      title: 'a broken value',
      words: ['--exec-ring-bytes', '1000'],
      code: 2,
      says: /--exec-ring-bytes "1000".*power of two/,
    },
    {
      title: 'an unreachable broker',
      words: ['--brokers', '127.0.0.1:1'],
      code: 4,
      says: /127\.0\.0\.1:1.*ECONNREFUSED/,
    },
    {
      title: 'a missing topic',
      words: ['--topic-prefix', 'none.'],
      code: 4,
      says: /none\.exec-events.*does not exist.*--create-topics/,
    },
    {
      title: 'a registry that does not answer',
      words: ['--topic-prefix', 'said.', '--create-topics', '--registry', 'http://127.0.0.1:1'],
      code: 4,
      says: /registry http:\/\/127\.0\.0\.1:1 is not available/,
    },
  ])('$title', { timeout: 60_000 }, async ({ words, code, says }) => {
    await using place = await SidecarPlace.create('bad');
    await using command = new CommandProcess(['run', '--brokers', kafka.brokers, ...place.flags, ...words], {
      BPF2KAFKA_LOG_LEVEL: 'silent',
    });
    expect(await command.exit()).toBe(code);
    expect(command.errors).toMatch(says);
    expect(command.errors.trim().split('\n')).toHaveLength(1);
    expect(command.lines).toEqual([]);
    expect(existsSync(place.pinPath)).toBe(false);
  });
});
