import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { partitionFor } from '../../src/producers/partitioner.ts';
import { whyNoCapture } from '../support/capture.ts';
import { KafkaCluster } from '../support/kafka-cluster.ts';
import { LossyProxy } from '../support/lossy-proxy.ts';
import { waitFor } from '../support/wait-for.ts';
import { FaultScene, largeRing, long, outageMillis, rate, seconds, suffer, through } from './scene.ts';

/** What goes wrong with three brokers in one cluster, judged as with one. */

beforeEach(({ skip }) => {
  const reason = whyNoCapture();
  skip(reason !== undefined, reason);
});

const topic = 'exec-events';
const hostId = 'host-1';
/** `--create-topics` makes six. */
const partition = partitionFor(hostId, 6);
const host = ['--host-id', hostId, ...largeRing];

test('the leader is killed, another one leads, and it comes back', async (context) => {
  await using cluster = await KafkaCluster.start();
  const moves = long ? 30 : 3;
  const load = { kafka: cluster, execs: (moves * 8 + 8) * rate, flags: host };
  const row = await suffer(context, { name: 'leader killed, of three', ...load }, async () => {
    for (let n = 0; n < moves; n += 1) {
      const leader = await cluster.leaderOf(topic, partition);
      await leader.kill();
      await cluster.leaderOf(topic, partition);
      await leader.start();
      await cluster.inSync(topic, partition);
    }
    return `${moves} times`;
  });
  expect(row).toMatchObject({ missing: 0 });
});

test('every broker is restarted in order, one after the other', async (context) => {
  await using cluster = await KafkaCluster.start();
  const rounds = long ? 10 : 1;
  const load = { kafka: cluster, execs: (rounds * 30 + 10) * rate, flags: host };
  const row = await suffer(context, { name: 'rolling restart, of three', ...load }, async () => {
    for (let n = 0; n < rounds; n += 1) {
      for (const node of cluster.nodes) {
        await node.stop();
        await node.start();
        await cluster.inSync(topic, partition);
      }
    }
    return `${rounds * cluster.nodes.length} restarts`;
  });
  expect(row).toMatchObject({ missing: 0 });
});

test('the partition is given to other brokers again and again, so that its leader is another one each time', async (context) => {
  await using cluster = await KafkaCluster.start();
  const places = [
    [1, 2],
    [2, 3],
    [3, 1],
  ] as const;
  await cluster.createTopic(topic, {}, places[0]);
  const moves = long ? 60 : 6;
  const load = { kafka: cluster, execs: (moves * 4 + 10) * rate, flags: host };
  const row = await suffer(context, { name: 'partition reassigned, of three', ...load }, async () => {
    for (let n = 1; n <= moves; n += 1) {
      const leader = await cluster.leaderOf(topic, 0);
      await cluster.reassign(topic, 0, places[n % places.length] as readonly number[]);
      await waitFor(async () => (await cluster.leaderOf(topic, 0)) !== leader, { what: 'another one leads' });
      await sleep(1_000);
    }
    return `${moves} times`;
  });
  expect(row).toMatchObject({ missing: 0 });
});

test('all brokers are away, and come back where nobody has known them', async (context) => {
  await using cluster = await KafkaCluster.start();
  // As the name of a load balancer, which is all that stays.
  await using bootstrap = await LossyProxy.listen();
  const [first] = cluster.nodes;
  bootstrap.targetPort = first?.port as number;
  const load = {
    kafka: cluster,
    brokers: bootstrap.brokers,
    execs: through(outageMillis),
    flags: host,
  };
  const row = await suffer(context, { name: 'all three move', ...load }, async () => {
    await cluster.move(outageMillis);
    bootstrap.targetPort = first?.port as number;
    return `killed, elsewhere after ${seconds(outageMillis)}`;
  });
  expect(row).toMatchObject({ missing: 0 });
});

test('a copy that lags comes to lead: what is gone in Kafka is told, and nothing else is missing', async ({ task }) => {
  await using cluster = await KafkaCluster.start();
  const [leader, follower] = cluster.nodes as readonly [(typeof cluster.nodes)[0], (typeof cluster.nodes)[0]];
  const unclean = { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' };
  await cluster.createTopic(topic, unclean, [1, 2]);
  const load = { kafka: cluster, execs: 30 * rate, flags: host };
  await using scene = await FaultScene.begin({ name: 'unclean election', ...load });
  await sleep(3_000);
  await follower.kill();
  await waitFor(async () => (await cluster.partition(topic, 0)).isr.length === 1, {
    what: 'the leader is alone',
    timeout: 30_000,
  });
  await sleep(3_000); // in which only the leader gets what is acknowledged
  await leader.kill();
  await follower.start();
  expect(await cluster.leaderOf(topic, 0)).toBe(follower);
  await waitFor(() => scene.sidecar.errors.includes('broker_rewound'), {
    what: 'the log tells of it',
    timeout: 30_000,
  });
  await leader.start();
  await cluster.inSync(topic, 0);
  const row = await scene.judge('3 s and more that only the old leader had', 1);
  task.meta.fault = row;
  expect(row.missing).toBeGreaterThan(0);
  const [, lost] = /lost_after_ack: (\d+)/.exec(row.audit) ?? [];
  expect(Number(lost)).toBeGreaterThanOrEqual(row.missing); // others exec, too
});
