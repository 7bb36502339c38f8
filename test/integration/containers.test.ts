import { existsSync } from 'node:fs';
import avsc from 'avsc';
import { Network, type StartedNetwork } from 'testcontainers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chooseFreePort } from '../../src/embedded-kafka/free-port.ts';
import { removePins, whyNoCapture } from '../support/capture.ts';
import {
  type ContainerKafka,
  ContainerPlace,
  type ContainerRegistry,
  startKafkaContainer,
  startRegistryContainer,
  useEngine,
} from '../support/containers.ts';
import { type Engine, findEngine, NoEngine } from '../support/engine.ts';
import { type Images, prepareImages } from '../support/images.ts';
import { readTopic, type TopicRecord } from '../support/kcat.ts';
import { compare, holesIn, startStorm, tokensIn } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

let engine: Engine;
let whyNot: string | undefined = whyNoCapture();
let images: Images;

beforeAll(async () => {
  if (whyNot !== undefined) return;
  const found = await findEngine();
  if (found instanceof NoEngine) {
    whyNot = found.reason;
    return;
  }
  engine = found;
  await useEngine(engine);
  images = await prepareImages(engine);
}, 300_000);

afterAll(() => engine?.[Symbol.asyncDispose]());

beforeEach(({ skip }) => skip(whyNot !== undefined, whyNot));

describe('the sidecar in a container, beside Kafka and a registry in containers', () => {
  let network: StartedNetwork;
  let kafka: ContainerKafka;
  let registry: ContainerRegistry;
  beforeAll(async () => {
    if (whyNot !== undefined) return;
    network = await new Network().start();
    [kafka, registry] = await Promise.all([
      startKafkaContainer(images.KAFKA_IMAGE, network.getName()),
      startRegistryContainer(images.REGISTRY_IMAGE, network.getName()),
    ]);
  });
  afterAll(async () => {
    await Promise.all([kafka?.container.stop(), registry?.container.stop()]);
    await network?.stop();
  });

  /** Flags of a sidecar whose topics are its own. */
  const flags = (prefix: string) => [
    ...['--brokers', kafka.brokers, '--registry', registry.url, '--register-schemas'],
    ...['--create-topics', '--topic-prefix', prefix],
  ];

  /** The records of a topic, once the last of these tokens is there. */
  async function recordsWith(topic: string, tokens: ReadonlySet<string>): Promise<TopicRecord[]> {
    let records: TopicRecord[] = [];
    await waitFor(
      async () => {
        records = await readTopic(kafka.brokers, topic);
        return compare(tokens, records).missing.length === 0;
      },
      { what: `all of ${tokens.size} execs are in ${topic}`, timeout: 60_000, interval: 500 },
    );
    return records;
  }

  it('sees the execs of the host and of other containers, and the registry gives the schema of what it published', {
    timeout: 120_000,
  }, async () => {
    await using place = await ContainerPlace.create(images.BPF2KAFKA_IMAGE, 'seen');
    const sidecar = await place.run(...flags('seen.'));
    const storm = startStorm({ count: 100 });
    await storm.ended;
    const inside = `container-${process.pid}`;
    await kafka.container.exec(['env', `MARK=${inside}`, 'sh', '-c', ':']);

    const records = await recordsWith('seen.exec-events', storm.tokens);
    const ofContainer = await waitFor(
      async () => (await readTopic(kafka.brokers, 'seen.exec-events')).find(({ value }) => value.includes(inside)),
      { what: 'the exec of the container is in the topic', timeout: 30_000, interval: 500 },
    );
    const ofHost = records.find((record) => tokensIn(record).some((token) => storm.tokens.has(token))) as TopicRecord;
    expect(await decode(ofHost.value, registry.url)).toMatchObject({ comm: 'noop' });
    expect(await decode(ofContainer.value, registry.url)).toMatchObject({
      comm: 'env',
      args: ['env', `MARK=${inside}`, 'sh', '-c', ':'],
    });
    await place.end(sidecar);
  });

  it('has no capability but the four that it needs, and nothing to write to but its mounts', {
    timeout: 120_000,
  }, async () => {
    await using place = await ContainerPlace.create(images.BPF2KAFKA_IMAGE, 'rights');
    const sidecar = await place.run(...flags('rights.'));
    const { output } = await sidecar.exec([
      'node',
      '-e',
      `const { readFileSync, writeFileSync } = require('node:fs');
       console.log(/CapEff:\\s*(\\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
       try { writeFileSync('/written', ''); } catch (error) { console.log(error.code); }`,
    ]);
    const capabilities = (1n << 12n) | (1n << 19n) | (1n << 38n) | (1n << 39n); // NET_ADMIN, SYS_PTRACE, PERFMON, BPF
    expect(output.trim().split('\n')).toEqual([capabilities.toString(16).padStart(16, '0'), 'EROFS']);
    await place.end(sidecar);
  });

  it('loses nothing when the container of Kafka is restarted under load', { timeout: 180_000 }, async () => {
    await using place = await ContainerPlace.create(images.BPF2KAFKA_IMAGE, 'broker');
    const sidecar = await place.run(...flags('broker.'));
    const storm = startStorm({ count: 3_000, rate: 500 });
    await kafka.container.restart({ timeout: 10_000 });
    await storm.ended;
    const records = await recordsWith('broker.exec-events', storm.tokens);
    expect(holesIn(records)).toEqual([]);
    await place.end(sidecar);
  });

  it('has no gap when its container is replaced under load, and the audit closes', { timeout: 180_000 }, async () => {
    await using place = await ContainerPlace.create(images.BPF2KAFKA_IMAGE, 'replaced');
    const ring = ['--exec-ring-bytes', String(16 * 1024 * 1024)];
    const words = [...flags('replaced.'), ...ring];
    const first = await place.run(...words);
    const storm = startStorm({ count: 5_000, rate: 1_000 });
    await waitFor(async () => (await readTopic(kafka.brokers, 'replaced.exec-events')).length > 500, {
      what: 'the storm is on',
    });
    await place.end(first);
    const second = await place.run(...words);
    await storm.ended;
    const records = await recordsWith('replaced.exec-events', storm.tokens);
    expect(compare(storm.tokens, records)).toEqual({ missing: [], found: 5_000, repeated: 0 });
    expect(holesIn(records)).toEqual([]);
    await place.end(second);

    const audit = await engine.docker([
      ...['run', '--rm', '--network', 'host', images.BPF2KAFKA_IMAGE, 'audit'],
      ...['--brokers', kafka.brokers, '--registry', registry.url, '--topic-prefix', 'replaced.'],
    ]);
    expect(audit).toMatch(/closed/);
  });
});

describe('docker-compose.yml', () => {
  const project = `bpf2kafka-test-${process.pid}`;
  const pinPath = `/sys/fs/bpf/${project}-compose`;
  let settings: Record<string, string>;
  const compose = (...words: string[]) => engine.docker(['compose', '--project-name', project, ...words], settings);

  beforeAll(async () => {
    if (whyNot !== undefined) return;
    const [kafka, registry, http] = [await chooseFreePort(), await chooseFreePort(), await chooseFreePort()];
    settings = {
      ...images,
      KAFKA_PORT: String(kafka),
      REGISTRY_PORT: String(registry),
      BPF2KAFKA_HTTP: `127.0.0.1:${http}`,
      BPF2KAFKA_PIN_PATH: pinPath,
    };
  });
  afterAll(async () => {
    if (whyNot !== undefined) return;
    await compose('--profile', 'demo', 'down', '--volumes', '--timeout', '20');
    removePins(pinPath);
  });

  it('comes up in the order of health, shows execs on its console, and ends with nothing in the kernel', {
    timeout: 300_000,
  }, async () => {
    await compose('--profile', 'demo', 'up', '--detach', '--no-build', '--wait', '--wait-timeout', '120');
    expect(await (await fetch(`http://${settings.BPF2KAFKA_HTTP}/readyz`)).json()).toMatchObject({ ready: true });
    const storm = startStorm({ count: 20 });
    await storm.ended;
    await waitFor(
      async () => {
        const shown = await compose('--profile', 'demo', 'logs', '--no-log-prefix', 'console');
        return [...storm.tokens].every((token) => shown.includes(token));
      },
      { what: 'the console shows the execs', timeout: 30_000, interval: 500 },
    );

    await compose('up', '--detach', '--no-build', '--wait', '--force-recreate', '--no-deps', 'sidecar');
    expect(existsSync(pinPath)).toBe(true);

    settings.BPF2KAFKA_ON_EXIT = 'detach';
    await compose('up', '--detach', '--no-build', '--wait', '--no-deps', 'sidecar');
    await compose('--profile', 'demo', 'down', '--timeout', '20');
    expect(existsSync(pinPath)).toBe(false);
  });
});

interface DecodedExec {
  readonly pid: number;
  readonly comm: string;
  readonly args: readonly string[] | null;
}

/** By the book of Confluent's framing, without any code of ours. */
async function decode(value: Buffer, url: string): Promise<DecodedExec> {
  expect(value[0]).toBe(0);
  const { schema } = (await (await fetch(`${url}/schemas/ids/${value.readUInt32BE(1)}`)).json()) as { schema: string };
  return avsc.Type.forSchema(JSON.parse(schema)).fromBuffer(value.subarray(5)) as DecodedExec;
}
