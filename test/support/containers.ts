import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GenericContainer, type StartedTestContainer, Wait } from 'testcontainers';
import { chooseFreePort } from '../../src/embedded-kafka/free-port.ts';
import { detachPinned } from '../../src/kernel/addon.ts';
import { removeLeftovers } from './capture.ts';
import type { Engine } from './engine.ts';

/** Every container of these tests carries it, with the pid of its test run. */
const label = 'bpf2kafka-test';

/** Tells testcontainers which engine to use; call it before the first container. */
export async function useEngine(engine: Engine): Promise<void> {
  for (const name of ['DOCKER_HOST', 'DOCKER_CONFIG', 'PATH']) {
    const value = engine.environment[name];
    if (value !== undefined) process.env[name] = value;
  }
  // Its clean-up container would have to be pulled; a private engine ends with the tests, and the rest is done here.
  process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';
  process.env.TESTCONTAINERS_HOST_OVERRIDE = '127.0.0.1';
  await removeLeftContainers(engine);
}

/** Removes what a killed test run left in an engine that outlived it. */
async function removeLeftContainers(engine: Engine): Promise<void> {
  const format = `{{.ID}} {{.Label "${label}"}}`;
  const listed = await engine.docker(['ps', '--all', '--filter', `label=${label}`, '--format', format]);
  const left = listed.split('\n').map((line) => line.split(' '));
  const dead = left.filter(([id, pid]) => id && !existsSync(`/proc/${pid}`)).map(([id = '']) => id);
  if (dead.length > 0) await engine.docker(['rm', '--force', '--volumes', ...dead]);
}

export interface ContainerKafka {
  readonly container: StartedTestContainer;
  /** For the host; the same before and after a restart. */
  readonly brokers: string;
}

/** One broker in a network, which other containers reach as `kafka:9092`. */
export async function startKafkaContainer(image: string, network: string): Promise<ContainerKafka> {
  const port = await chooseFreePort();
  const container = await new Container(image, network)
    .withNetworkAliases('kafka')
    .withExposedPorts({ container: 29092, host: port })
    .withEnvironment({
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_LISTENERS: 'BROKER://:9092,HOST://:29092,CONTROLLER://:9093',
      KAFKA_ADVERTISED_LISTENERS: `BROKER://kafka:9092,HOST://127.0.0.1:${port}`,
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'BROKER:PLAINTEXT,HOST:PLAINTEXT,CONTROLLER:PLAINTEXT',
      KAFKA_INTER_BROKER_LISTENER_NAME: 'BROKER',
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
    })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .start();
  return { container, brokers: `127.0.0.1:${port}` };
}

export interface ContainerRegistry {
  readonly container: StartedTestContainer;
  /** For the host. */
  readonly url: string;
}

export async function startRegistryContainer(image: string, network: string): Promise<ContainerRegistry> {
  const container = await new Container(image, network)
    .withExposedPorts(8080)
    .withWaitStrategy(Wait.forHttp('/health/ready', 8080))
    .start();
  return { container, url: `http://127.0.0.1:${container.getMappedPort(8080)}/apis/ccompat/v7` };
}

/** What one sidecar keeps on the host while its containers come and go. */
export class ContainerPlace implements AsyncDisposable {
  readonly pinPath: string;
  readonly stateDir: string;
  /** What the host calls user 0, in the passwd(5) that the sidecar is given as the host's. */
  readonly nameOfRoot = `root-of-${process.pid}`;
  readonly #image: string;
  readonly #running = new Set<StartedTestContainer>();

  private constructor(image: string, pinPath: string, stateDir: string) {
    this.#image = image;
    this.pinPath = pinPath;
    this.stateDir = stateDir;
  }

  static async create(image: string, name: string): Promise<ContainerPlace> {
    removeLeftovers();
    const stateDir = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-state-'));
    const place = new ContainerPlace(image, `/sys/fs/bpf/bpf2kafka-test-${process.pid}-${name}`, stateDir);
    await writeFile(join(stateDir, 'passwd'), `${place.nameOfRoot}:x:0:0::/root:/bin/sh\n`);
    return place;
  }

  /** The sidecar in a container as docker-compose.yml runs it; resolves when it has printed `ready`. */
  async run(...flags: string[]): Promise<StartedTestContainer> {
    const words = ['run', '--pin-path', this.pinPath, '--on-exit', 'keep', '--http', '127.0.0.1:0', ...flags];
    let log = '';
    const container = new Container(this.#image, 'host')
      .onTheHost()
      .withBindMounts([
        { source: '/sys/fs/bpf', target: '/sys/fs/bpf', mode: 'rw' },
        { source: '/sys/kernel/tracing', target: '/sys/kernel/tracing', mode: 'ro' },
        { source: '/etc/machine-id', target: '/etc/machine-id', mode: 'ro' },
        { source: join(this.stateDir, 'passwd'), target: '/etc/passwd', mode: 'ro' },
        { source: this.stateDir, target: '/var/lib/bpf2kafka', mode: 'rw' },
      ])
      .withDroppedCapabilities('ALL')
      .withAddedCapabilities('BPF', 'PERFMON', 'NET_ADMIN', 'SYS_PTRACE')
      .withCommand(words)
      .withWaitStrategy(Wait.forLogMessage(/^ready /))
      .withLogConsumer((lines) => {
        lines.on('data', (line) => {
          log += line;
        });
      });
    try {
      const started = await container.start();
      this.#running.add(started);
      return started;
    } catch (error) {
      throw new Error(`the sidecar's container did not become ready: ${log}`, { cause: error });
    }
  }

  /** Lets the sidecar publish what is left. */
  async end(sidecar: StartedTestContainer): Promise<void> {
    this.#running.delete(sidecar);
    await sidecar.stop({ timeout: 20_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sidecar of this.#running) await sidecar.stop();
    detachPinned(this.pinPath, true);
    await rm(this.stateDir, { recursive: true, force: true });
  }
}

class Container extends GenericContainer {
  constructor(image: string, network: string) {
    super(image);
    this.withNetworkMode(network)
      .withLabels({ [label]: String(process.pid) })
      .withStartupTimeout(60_000);
  }

  /** With the host's process ids, and nothing to write to but its mounts. */
  onTheHost(): this {
    this.hostConfig.PidMode = 'host';
    this.hostConfig.ReadonlyRootfs = true;
    return this;
  }
}
