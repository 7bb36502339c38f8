import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PartitionMetadata } from 'kafkajs';
import { chooseFreePort } from '../../src/embedded-kafka/free-port.ts';
import { administer, startKafka, type TestKafka } from './kafka.ts';
import { waitFor } from './wait-for.ts';

/** Node ids. */
const ids = [1, 2, 3] as const;

/**
 * Three real brokers in one cluster, which also vote on its metadata: one of them may be away and leaders still move. A topic
 * that is made with `--create-topics` has a copy in each, two of which vouch for an acknowledgement.
 */
export class KafkaCluster implements AsyncDisposable {
  /** In the order of their ids. */
  readonly nodes: readonly TestKafka[];

  private constructor(nodes: readonly TestKafka[]) {
    this.nodes = nodes;
  }

  static async start(): Promise<KafkaCluster> {
    const [controllers, ports] = [await freePorts(), await freePorts()];
    const voters = ids.map((id) => `${id}@127.0.0.1:${controllers.get(id)}`).join(',');
    const clusterId = randomBytes(16).toString('base64url');
    const propertiesOf = (id: number) => (port: number) => ({
      'node.id': String(id),
      listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllers.get(id)}`,
      'controller.quorum.voters': voters,
      // Leaders move only when a test makes them.
      'auto.leader.rebalance.enable': 'false',
      'replica.lag.time.max.ms': '2000',
    });
    const starting = ids.map((id) =>
      startKafka({ clusterId, port: ports.get(id) as number, properties: propertiesOf(id) }),
    );
    const started = await Promise.allSettled(starting);
    const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const cluster = new KafkaCluster(nodes);
    try {
      for (const one of started) if (one.status === 'rejected') throw one.reason;
      await cluster.complete();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** Of those that run. */
  get brokers(): string {
    return this.nodes
      .filter(({ running }) => running)
      .map(({ brokers }) => brokers)
      .join(',');
  }

  async partition(topic: string, partition: number): Promise<PartitionMetadata> {
    const { topics } = await administer(this.brokers, (admin) => admin.fetchTopicMetadata({ topics: [topic] }));
    const found = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition);
    if (found === undefined) throw new Error(`there is no partition ${partition} of ${topic}`);
    return found;
  }

  /** Waits for a partition to have one. */
  async leaderOf(topic: string, partition: number): Promise<TestKafka> {
    return await waitFor(async () => this.node((await this.partition(topic, partition)).leader), {
      what: `${topic}/${partition} has a leader that runs`,
      timeout: 30_000,
    });
  }

  /** Waits until every copy of a partition is in sync. */
  async inSync(topic: string, partition: number): Promise<void> {
    await waitFor(
      async () => {
        const { isr, replicas } = await this.partition(topic, partition);
        return isr.length === replicas.length;
      },
      { what: `all copies of ${topic}/${partition} are in sync`, timeout: 30_000 },
    );
  }

  /** Waits until every broker has told the others that it runs. */
  async complete(): Promise<void> {
    await waitFor(
      async () => {
        const { brokers } = await administer(this.brokers, (admin) => admin.describeCluster());
        return brokers.length === this.nodes.length;
      },
      { what: 'every broker is in the cluster', timeout: 30_000 },
    );
  }

  /** Gives a partition to these nodes, as kafka-reassign-partitions does; waits until no other one has a copy. */
  async reassign(topic: string, partition: number, replicas: readonly number[]): Promise<void> {
    const partitionAssignment = [{ partition, replicas: [...replicas] }];
    await administer(this.brokers, (admin) =>
      admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }] }),
    );
    await waitFor(
      async () => {
        const { isr, replicas: now } = await this.partition(topic, partition);
        return now.length === replicas.length && replicas.every((id) => isr.includes(id));
      },
      { what: `${topic}/${partition} is with ${replicas.join(', ')}`, timeout: 30_000 },
    );
  }

  /** Ends all of them, and starts them after some time where nobody has known them. */
  async move(awayMillis: number): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await sleep(awayMillis);
    const ports = await freePorts();
    await Promise.all(this.nodes.map((node, index) => node.start(ports.get(index + 1))));
    await this.complete();
  }

  /** @param topic with a copy in each of these nodes, the first of which leads */
  async createTopic(
    topic: string,
    config: Readonly<Record<string, string>>,
    replicas: readonly number[],
  ): Promise<void> {
    await administer(this.brokers, async (admin) => {
      const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
      const replicaAssignment = [{ partition: 0, replicas: [...replicas] }];
      await admin.createTopics({ topics: [{ topic, replicaAssignment, configEntries }], waitForLeaders: false });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()));
  }

  /** The node of this id, when it runs. */
  node(id: number): TestKafka | undefined {
    const node = this.nodes[id - 1];
    return node?.running ? node : undefined;
  }
}

/** One for each id. */
async function freePorts(): Promise<ReadonlyMap<number, number>> {
  const ports = new Set<number>();
  while (ports.size < ids.length) ports.add(await chooseFreePort());
  return new Map([...ports].map((port, index) => [index + 1, port]));
}
