import { expect, it } from 'vitest';
import { partitionFor } from '../../src/producers/partitioner.ts';
import { whyNoCapture } from '../support/capture.ts';
import { KafkaCluster } from '../support/kafka-cluster.ts';
import { readTopic } from '../support/kcat.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { auditOf, contradictionsIn } from '../support/published.ts';
import { SidecarPlace } from '../support/sidecar.ts';
import { compare, startStorm } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

const topic = 'exec-events';
const hostId = 'host-1';
/** `--create-topics` makes six. */
const partition = partitionFor(hostId, 6);

oneStormAtATime();

it('of three brokers the leader dies under load, then the next one is shut down, and nothing is missing', {
  timeout: 180_000,
}, async ({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
  await using cluster = await KafkaCluster.start();
  await using place = await SidecarPlace.create('cluster');
  const flags = ['--create-topics', '--host-id', hostId, '--ledger-interval', '1s', '--http', 'off'];
  await using sidecar = await place.run(cluster.brokers, ...flags);
  const tokens = new Set<string>();
  const leaders = new Set<unknown>();
  for (const takeAway of ['kill', 'stop'] as const) {
    const storm = startStorm({ count: 2_000, rate: 250 });
    for (const token of storm.tokens) tokens.add(token);
    await waitFor(async () => compare(storm.tokens, await readTopic(cluster.brokers, topic)).found > 100, {
      what: 'some of the storm is published',
      timeout: 60_000,
    });
    const leader = await cluster.leaderOf(topic, partition);
    await leader[takeAway]();
    leaders.add(leader).add(await cluster.leaderOf(topic, partition));
    await storm.ended;
    await leader.start();
    await cluster.inSync(topic, partition);
  }
  expect(leaders.size).toBeGreaterThan(1);
  expect(await sidecar.end('SIGTERM')).toBe(0);

  const records = await readTopic(cluster.brokers, topic);
  expect(compare(tokens, records).missing).toEqual([]);
  expect(await contradictionsIn(records)).toEqual([]);
  const { code, said } = await auditOf(cluster.brokers, '');
  expect(said).toContain('nothing lost');
  expect(code).toBe(0);
});
