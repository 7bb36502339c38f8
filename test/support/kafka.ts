import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import kafkajs, { type Admin, Kafka, logLevel } from 'kafkajs';
import { EmbeddedKafka } from '../../src/embedded-kafka/embedded-kafka.ts';
import { createLog } from '../../src/log.ts';
import { keepFormatted, makeFormatted } from './formatted-broker.ts';
import { waitFor } from './wait-for.ts';

type Properties = Readonly<Record<string, string>>;

export interface TestKafkaOptions {
  /** Broker settings that override the embedded ones; those of a port that is given. */
  readonly properties?: Properties | ((port: number) => Properties);
  /** Default: one of its own. */
  readonly clusterId?: string;
  /** More arguments for the Java virtual machine. */
  readonly jvmArguments?: readonly string[];
  /** Of the listener without security; default: one that is free. */
  readonly port?: number;
}

export interface TopicOptions {
  readonly partitions?: number;
  readonly config?: Readonly<Record<string, string>>;
}

/** A real broker in a directory of its own, which can fail in all the ways that brokers fail. */
export async function startKafka(options: TestKafkaOptions = {}): Promise<TestKafka> {
  const directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-kafka-'));
  const kafka = new TestKafka(directory, options);
  const data = join(directory, 'data');
  try {
    // A node of a cluster has files of its own.
    const isAlone = options.clusterId === undefined;
    if (isAlone) await makeFormatted(data);
    await kafka.start();
    if (isAlone) await keepFormatted(data);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
  return kafka;
}

/** A broker as its clients and administrators reach it. */
export abstract class ReachableKafka {
  abstract get port(): number;

  get brokers(): string {
    return `127.0.0.1:${this.port}`;
  }

  createTopic(name: string, { partitions = 1, config = {} }: TopicOptions = {}): Promise<void> {
    const configEntries = entriesOf(config);
    return administer(this.brokers, async (admin) => {
      const topic = { topic: name, numPartitions: partitions, replicationFactor: 1, configEntries };
      await admin.createTopics({ topics: [topic], waitForLeaders: false });
      // kafkajs's own wait fails when the broker has not yet heard of the topic that its controller has made.
      await waitFor(
        async () => {
          const { topics } = await admin.fetchTopicMetadata({ topics: [name] });
          return topics.every((made) => made.partitions.every(({ leader }) => leader >= 0));
        },
        { what: `every partition of ${name} has a leader` },
      );
    });
  }

  /** Gives a topic these settings, and the broker's own for all others. */
  configureTopic(name: string, config: Readonly<Record<string, string>>): Promise<void> {
    return administer(this.brokers, async (admin) => {
      const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name, configEntries: entriesOf(config) };
      await admin.alterConfigs({ validateOnly: false, resources: [resource] });
    });
  }

  deleteTopic(name: string): Promise<void> {
    return administer(this.brokers, (admin) => admin.deleteTopics({ topics: [name] }));
  }

  /** @param partitions how many it has then */
  addPartitions(topic: string, partitions: number): Promise<void> {
    return administer(this.brokers, async (admin) => {
      await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] });
    });
  }
}

export class TestKafka extends ReachableKafka implements AsyncDisposable {
  readonly directory: string;
  readonly #options: TestKafkaOptions;
  #broker: EmbeddedKafka | undefined;
  #port: number | undefined;

  constructor(directory: string, options: TestKafkaOptions) {
    super();
    this.directory = directory;
    this.#options = options;
    this.#port = options.port;
  }

  /** The same before and after a stop and a start. */
  override get port(): number {
    if (this.#port === undefined) throw new Error('this broker has never run');
    return this.#port;
  }

  get pid(): number {
    if (this.#broker === undefined) throw new Error('this broker does not run');
    return this.#broker.pid;
  }

  get running(): boolean {
    return this.#broker !== undefined;
  }

  /** Starts with the data of the last time, and on its port when no other is given. */
  async start(port = this.#port): Promise<void> {
    if (this.#broker !== undefined) throw new Error('this broker runs already');
    const { properties = {}, clusterId, jvmArguments = [] } = this.#options;
    this.#broker = await EmbeddedKafka.start({
      directory: this.directory,
      log: createLog('silent'),
      properties: typeof properties === 'function' ? properties(port as number) : properties,
      jvmArguments,
      ...(port === undefined ? {} : { port }),
      ...(clusterId === undefined ? {} : { clusterId }),
    });
    this.#port = this.#broker.port;
  }

  async stop(): Promise<void> {
    const broker = this.#broker;
    if (broker === undefined) return;
    // A stopped process takes no SIGTERM.
    if (isRunning(broker.pid)) this.resume();
    await broker.stop();
    this.#broker = undefined;
  }

  /** As a power failure of the broker's host, except that what it had written to files is kept. */
  async kill(): Promise<void> {
    const { pid } = this;
    process.kill(pid, 'SIGKILL');
    await waitFor(() => !isRunning(pid), { what: `broker ${pid} is gone` });
    this.#broker = undefined;
  }

  /** Its connections stay open and nothing is answered: as a broker that hangs, or a network that swallows packets. */
  async pause(): Promise<void> {
    const { pid } = this;
    process.kill(pid, 'SIGSTOP');
    // On a busy machine a thread may go on for a moment, and answer.
    await waitFor(() => isStopped(pid), { what: `broker ${pid} is stopped`, interval: 1 });
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** Stops, loses what one partition holds, and starts: as an unclean election of a replica that had nothing. */
  async losePartition(topic: string, partition: number): Promise<void> {
    await this.stop();
    await rm(join(this.directory, 'data', `${topic}-${partition}`), { recursive: true });
    await this.start();
  }

  /** Whatever state it is in; in no order, as nobody reads its data any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#broker !== undefined && isRunning(this.#broker.pid)) await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Does some work as an administrator of a cluster. */
export async function administer<T>(brokers: string, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers: brokers.split(','), clientId: 'test', logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

function entriesOf(config: Readonly<Record<string, string>>): { name: string; value: string }[] {
  return Object.entries(config).map(([name, value]) => ({ name, value }));
}

function isStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
