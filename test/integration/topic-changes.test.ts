import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { partitionFor } from '../../src/producers/partitioner.ts';
import { whyNoCapture } from '../support/capture.ts';
import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic } from '../support/kcat.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { auditOf, readLedger } from '../support/published.ts';
import { type CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, type Storm, startStorm } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

let kafka: TestKafka;
beforeAll(async () => {
  kafka = await startKafka();
});
afterAll(async () => {
  await kafka[Symbol.asyncDispose]();
});

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});
oneStormAtATime();

/** As many partitions as `--create-topics` makes. */
const made = 6;

const execsIn = (prefix: string) => readTopic(kafka.brokers, `${prefix}exec-events`);

/** Makes some execs and waits until they are in the topic. */
async function publishSome(prefix: string): Promise<Storm> {
  const storm = startStorm({ count: 100 });
  await storm.ended;
  await waitFor(async () => compare(storm.tokens, await execsIn(prefix)).found === 100, {
    what: 'the execs are published',
    timeout: 60_000,
  });
  return storm;
}

async function outageOf(sidecar: CommandProcess, topic: string): Promise<string> {
  const [, url] = /"url":"([^"]*)","msg":"HTTP is on"/.exec(sidecar.errors) ?? [];
  return waitFor(
    async () => {
      const response = await fetch(`${url}/readyz`);
      const { reasons } = (await response.json()) as { reasons: string[] };
      const reason = reasons.find((one) => one.startsWith(topic));
      return response.status === 503 && reason?.includes('; the kernel buffers; ') ? reason : undefined;
    },
    { what: `the outage of ${topic} shows`, timeout: 60_000 },
  );
}

describe('a topic that is deleted under a sidecar', () => {
  const flags = ['--create-topics', '--http', '127.0.0.1:0', '--ledger-interval', '1s'];

  it('is an outage with a name; what came meanwhile arrives when it is back, and the audit tells what is gone', {
    timeout: 180_000,
  }, async () => {
    await using place = await SidecarPlace.create('vanish');
    await using sidecar = await place.run(kafka.brokers, ...flags, '--topic-prefix', 'vanish.');
    await publishSome('vanish.');
    await kafka.deleteTopic('vanish.exec-events');
    const meanwhile = startStorm({ count: 100 });
    await meanwhile.ended;
    expect(await outageOf(sidecar, 'vanish.exec-events')).toContain('UNKNOWN_TOPIC_OR_PARTITION');
    await waitFor(
      async () => (await readLedger(kafka.brokers, 'vanish.', 'exec')).some(({ state }) => state === 'degraded'),
      { what: 'the ledger tells of the outage' },
    );

    await kafka.createTopic('vanish.exec-events', { partitions: made });
    await waitFor(async () => compare(meanwhile.tokens, await execsIn('vanish.')).found === 100, {
      what: 'the execs of the outage arrive',
      timeout: 60_000,
    });
    await waitFor(() => sidecar.errors.includes('broker_rewound'), { what: 'the log tells of it' });
    expect(await sidecar.end('SIGTERM')).toBe(0);
    const { code, said } = await auditOf(kafka.brokers, 'vanish.');
    expect(said).toMatch(/lost_after_ack: \d+ of \d+ records/);
    expect(code).toBe(1);
  });

  it('and comes back without the partition of the host holds them until a restart, which moves the host and says so', {
    timeout: 180_000,
  }, async () => {
    const hostId = hostIdWith((id) => partitionFor(id, made) > 1);
    const before = partitionFor(hostId, made);
    const all = [...flags, '--topic-prefix', 'fewer.', '--host-id', hostId];
    await using place = await SidecarPlace.create('fewer');
    await using sidecar = await place.run(kafka.brokers, ...all, '--on-exit', 'keep');
    await publishSome('fewer.');
    await kafka.deleteTopic('fewer.exec-events');
    await kafka.createTopic('fewer.exec-events', { partitions: 1 });
    const meanwhile = startStorm({ count: 100 });
    await meanwhile.ended;
    await outageOf(sidecar, 'fewer.exec-events');
    expect(await execsIn('fewer.')).toEqual([]);
    expect(await sidecar.end('SIGKILL')).toBe('SIGKILL');

    await using next = await place.run(kafka.brokers, ...all);
    expect(await next.end('SIGTERM')).toBe(0);
    expect(compare(meanwhile.tokens, await execsIn('fewer.')).missing).toEqual([]);
    const entries = await readLedger(kafka.brokers, 'fewer.', 'exec');
    const places = entries.map(({ destination }) => destination).filter((one) => (one?.last_offset ?? -1) >= 0);
    const moved = places.findIndex((one) => one?.partition === 0);
    const end = (await execsIn('fewer.')).length;
    for (const place of places.slice(moved)) expect(place?.last_offset).toBeLessThan(end);
    // The last word on the old partition is said once more in front of the first on the new one.
    expect(places[moved - 1]).toMatchObject({ partition: before });
    expect(new Set(places.slice(0, moved).map((one) => one?.partition))).toEqual(new Set([before]));
    expect(new Set(places.slice(moved).map((one) => one?.partition))).toEqual(new Set([0]));
    const { code, said } = await auditOf(kafka.brokers, 'fewer.');
    expect(said).toContain(`partition ${before} is not there any more`);
    expect(code).toBe(1);
  });
});

describe('a broker that has lost what it had acknowledged', () => {
  it('is told of by the sidecar, which goes on, and by the audit', { timeout: 180_000 }, async () => {
    const flags = ['--create-topics', '--topic-prefix', 'rewound.', '--host-id', 'host-1', '--ledger-interval', '1s'];
    await using place = await SidecarPlace.create('rewound');
    await using sidecar = await place.run(kafka.brokers, ...flags);
    const before = await publishSome('rewound.');
    await kafka.losePartition('rewound.exec-events', partitionFor('host-1', made));
    expect(compare(before.tokens, await execsIn('rewound.')).found).toBe(0);
    await publishSome('rewound.');
    await waitFor(() => sidecar.errors.includes('broker_rewound'), { what: 'the log tells of it' });
    expect(await sidecar.end('SIGTERM')).toBe(0);
    const { code, said } = await auditOf(kafka.brokers, 'rewound.');
    expect(said).toMatch(/lost_after_ack: \d+ of \d+ records/);
    expect(code).toBe(1);
  });
});

describe('a topic that gains partitions', () => {
  it('moves no host, neither while it runs nor when it starts again', { timeout: 180_000 }, async () => {
    const more = 8;
    const hostId = hostIdWith((id) => partitionFor(id, made) !== partitionFor(id, more));
    const flags = ['--create-topics', '--topic-prefix', 'more.', '--host-id', hostId, '--on-exit', 'keep'];
    await using place = await SidecarPlace.create('more');
    await using sidecar = await place.run(kafka.brokers, ...flags);
    await publishSome('more.');
    await kafka.addPartitions('more.exec-events', more);
    await publishSome('more.');
    expect(await sidecar.end('SIGTERM')).toBe(0);
    await using next = await place.run(kafka.brokers, ...flags.slice(0, -2));
    await publishSome('more.');
    expect(next.errors).toContain('keeps its partition although the topic has gained some');
    expect(await next.end('SIGTERM')).toBe(0);
    const partitions = new Set((await execsIn('more.')).map(({ partition }) => partition));
    expect(partitions).toEqual(new Set([partitionFor(hostId, made)]));
    expect(await auditOf(kafka.brokers, 'more.')).toMatchObject({ code: 0 });
  });
});

describe('a capture that goes on into topics with another prefix', () => {
  it('takes its account along, and no offset of the old topic', { timeout: 180_000 }, async () => {
    await using place = await SidecarPlace.create('prefix');
    const flags = ['--create-topics', '--on-exit', 'keep', '--ledger-interval', '1s'];
    await using sidecar = await place.run(kafka.brokers, ...flags, '--topic-prefix', 'old.');
    await publishSome('old.');
    expect(await sidecar.end('SIGTERM')).toBe(0);
    await using next = await place.run(kafka.brokers, ...flags, '--topic-prefix', 'new.');
    await publishSome('new.');
    expect(await next.end('SIGTERM')).toBe(0);

    const entries = await readLedger(kafka.brokers, 'new.', 'exec');
    const placesOf = (topic: string) =>
      entries.flatMap(({ destination }) => (destination?.topic === topic ? [destination] : []));
    expect(placesOf('old.exec-events')).toHaveLength(1);
    const end = (await execsIn('new.')).length;
    expect(placesOf('new.exec-events').length).toBeGreaterThan(0);
    for (const { last_offset } of placesOf('new.exec-events')) expect(last_offset).toBeLessThan(end);
    expect(next.errors).not.toContain('broker_rewound');
    const { said } = await auditOf(kafka.brokers, 'new.');
    expect(said).not.toContain('broker_rewound');
  });
});

function hostIdWith(suits: (id: string) => boolean): string {
  for (let n = 0; ; n += 1) if (suits(`host-${n}`)) return `host-${n}`;
}
