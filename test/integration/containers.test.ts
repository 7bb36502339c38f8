import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import avsc from 'avsc';
import { Network, type StartedNetwork } from 'testcontainers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chooseFreePort } from '../../src/embedded-kafka/free-port.ts';
import { removePins, tool, whyNoCapture } from '../support/capture.ts';
import {
  type ContainerKafka,
  ContainerPlace,
  type ContainerRegistry,
  startKafkaContainer,
  startRegistryContainer,
  useEngine,
} from '../support/containers.ts';
import { type Engine, findEngine, NoEngine } from '../support/engine.ts';
import { type Images, imageOfProgram, prepareImages } from '../support/images.ts';
import { readTopic, type TopicRecord } from '../support/kcat.ts';
import { oneStormAtATime, oneStormForAll } from '../support/one-storm-at-a-time.ts';
import { compare, holesIn, startStorm, tokensIn } from '../support/storm.ts';
import { waitFor } from '../support/wait-for.ts';

/** NET_ADMIN, SYS_PTRACE, PERFMON and BPF, as /proc/PID/status has them. */
const fourCapabilities = ((1n << 12n) | (1n << 19n) | (1n << 38n) | (1n << 39n)).toString(16).padStart(16, '0');

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
}, 1_200_000);

afterAll(() => engine?.[Symbol.asyncDispose]());

beforeEach(({ skip }) => skip(whyNot !== undefined, whyNot));

it('the image says which version it is of, and how its health is asked for', async () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
  const words = ['image', 'inspect', '--format', '{{json .Config}}', images.BPF2KAFKA_IMAGE];
  expect(JSON.parse(await engine.docker(words))).toMatchObject({
    Labels: {
      'org.opencontainers.image.title': 'bpf2kafka',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
    Healthcheck: { Test: ['CMD', 'node', '/opt/bpf2kafka/healthcheck.js'] },
  });
});

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
    expect(await decode(ofHost.value, registry.url)).toMatchObject({
      comm: 'noop',
      // By the passwd of the host: the image calls this user root.
      user_name: place.nameOfRoot,
      ...{ container_id: null, container_runtime: null, pod_uid: null },
    });
    expect(await decode(ofContainer.value, registry.url)).toMatchObject({
      comm: 'env',
      args: ['env', `MARK=${inside}`, 'sh', '-c', ':'],
      ...{ container_id: kafka.container.getId(), container_runtime: 'docker', pod_uid: null },
    });
    await place.end(sidecar);
  });

  it('knows the container of an exec that is over within milliseconds, and its container with it', {
    timeout: 120_000,
  }, async () => {
    await using place = await ContainerPlace.create(images.BPF2KAFKA_IMAGE, 'short');
    const sidecar = await place.run(...flags('short.'));
    await using image = await imageOfProgram(engine, tool('noop'));
    const containers = new Map<string, string>();
    for (let n = 0; n < 5; n += 1) {
      // In the form of a storm's, so that it is found in a record's bytes.
      const token = `storm-${process.pid}-0-${n}`;
      // Removed by the engine as soon as it has ended, so that nobody can be asked about it afterwards.
      const words = ['run', '--detach', '--rm', '--network', 'none', image.id, token];
      containers.set(token, await engine.docker(words));
    }
    const ofContainers = await waitFor(
      async () => {
        const records = await readTopic(kafka.brokers, 'short.exec-events');
        const marked = records.filter((record) => tokensIn(record).some((token) => containers.has(token)));
        const execs = await Promise.all(marked.map(({ value }) => decode(value, registry.url)));
        // The engine's client has the token among its arguments, too.
        const found = execs.filter(({ comm }) => comm === 'noop');
        return found.length < containers.size ? undefined : found;
      },
      { what: 'the execs of all containers are in the topic', timeout: 30_000, interval: 500 },
    );
    const ids = new Map(ofContainers.map(({ args, container_id }) => [args?.at(-1), container_id]));
    expect(ids).toEqual(containers);
    for (const exec of ofContainers)
      expect(exec).toMatchObject({
        container_runtime: 'docker',
        cgroup_path: expect.stringContaining(exec.container_id ?? 'an id'),
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
    expect(output.trim().split('\n')).toEqual([fourCapabilities, 'EROFS']);
    await place.end(sidecar);
  });

  describe('under load', () => {
    oneStormAtATime();

    it('loses nothing when the container of Kafka is restarted', { timeout: 180_000 }, async () => {
      await using place = await ContainerPlace.create(images.BPF2KAFKA_IMAGE, 'broker');
      const sidecar = await place.run(...flags('broker.'));
      const storm = startStorm({ count: 3_000, rate: 500 });
      await kafka.container.restart({ timeout: 10_000 });
      await storm.ended;
      const records = await recordsWith('broker.exec-events', storm.tokens);
      expect(holesIn(records)).toEqual([]);
      await place.end(sidecar);
    });

    it('has no gap when its container is replaced, and the audit closes', { timeout: 180_000 }, async () => {
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
});

describe('docker-compose.yml', () => {
  const project = `bpf2kafka-test-${process.pid}`;
  const pinPath = `/sys/fs/bpf/${project}-compose`;
  let settings: Record<string, string>;
  const compose = (words: readonly string[], more: Record<string, string> = {}) =>
    engine.docker(['compose', '--project-name', project, ...words], { ...settings, ...more });
  const up = (words: readonly string[] = [], more: Record<string, string> = {}) =>
    compose(['up', '--detach', '--no-build', '--wait', '--wait-timeout', '120', ...words], more);

  oneStormForAll();
  beforeAll(async () => {
    if (whyNot !== undefined) return;
    const [kafka, registry, http] = [await chooseFreePort(), await chooseFreePort(), await chooseFreePort()];
    settings = {
      ...images,
      COMPOSE_PROFILES: 'demo',
      KAFKA_PORT: String(kafka),
      REGISTRY_PORT: String(registry),
      BPF2KAFKA_HTTP: `127.0.0.1:${http}`,
      BPF2KAFKA_PIN_PATH: pinPath,
    };
  });
  afterAll(async () => {
    if (whyNot !== undefined) return;
    await compose(['down', '--volumes', '--timeout', '20']);
    removePins(pinPath);
  });

  it('comes up in the order of health, and its console shows execs as they are read back', {
    timeout: 180_000,
  }, async () => {
    const started = performance.now();
    const seconds = () => ((performance.now() - started) / 1_000).toFixed(1);
    await up();
    const healthyAfter = seconds();
    expect(await (await fetch(`http://${settings.BPF2KAFKA_HTTP}/readyz`)).json()).toMatchObject({ ready: true });
    const storm = startStorm({ count: 20 });
    await storm.ended;
    await waitFor(
      async () => {
        const shown = await compose(['logs', '--no-log-prefix', 'console']);
        return [...storm.tokens].every((token) => shown.includes(token));
      },
      { what: 'the console shows the execs', timeout: 30_000, interval: 500 },
    );
    // The figures of docs/deploy.md.
    console.log(`docker compose up: healthy after ${healthyAfter} s, execs read from the topic after ${seconds()} s`);
  });

  it('gives the sidecar the users of the host, and no capability but four', { timeout: 180_000 }, async () => {
    await up();
    const of = (path: string) => compose(['exec', '-T', 'sidecar', 'cat', path]);
    expect(await of('/etc/passwd')).toBe(readFileSync('/etc/passwd', 'utf8').trim());
    expect(await of('/proc/self/status')).toMatch(new RegExp(`^CapEff:\\s*${fourCapabilities}$`, 'm'));
  });

  it('runs the sidecar under its own filter of system calls, and not under that of the engine', {
    timeout: 180_000,
  }, async () => {
    await up();
    // Which the engine's own allows.
    const nicer = ['node', '-e', 'require("node:os").setPriority(0, 1)'];
    const [entry = '', ...words] = nicer;
    await engine.docker(['run', '--rm', '--network', 'none', '--entrypoint', entry, images.BPF2KAFKA_IMAGE, ...words]);
    await expect(compose(['exec', '-T', 'sidecar', ...nicer])).rejects.toThrow(/operation not permitted/);
  });

  it('loses no exec when the sidecar is recreated under load, and the audit closes', {
    timeout: 240_000,
  }, async () => {
    await up();
    const brokers = `127.0.0.1:${settings.KAFKA_PORT}`;
    const registry = `http://127.0.0.1:${settings.REGISTRY_PORT}/apis/ccompat/v7`;
    let recreated = false;
    const recreating = up(['--force-recreate', '--no-deps', 'sidecar']).finally(() => {
      recreated = true;
    });
    // All the while, however long that takes.
    const tokens = new Set<string>();
    while (!recreated || tokens.size < 5_000) {
      const storm = startStorm({ count: 500, rate: 500 });
      for (const token of storm.tokens) tokens.add(token);
      await storm.ended;
    }
    await recreating;
    // As docs/deploy.md ends it for good.
    await up(['--no-deps', 'sidecar'], { BPF2KAFKA_ON_EXIT: 'detach' });
    await compose(['stop', '--timeout', '20', 'sidecar']);
    expect(existsSync(pinPath)).toBe(false);

    const records = await readTopic(brokers, 'exec-events');
    expect(compare(tokens, records)).toEqual({ missing: [], found: tokens.size, repeated: 0 });
    expect(holesIn(records)).toEqual([]);
    // As a reader on the host has it.
    const ofStorm = records.find((record) => tokensIn(record).some((token) => tokens.has(token))) as TopicRecord;
    expect(await decode(ofStorm.value, registry)).toMatchObject({ comm: 'noop', container_id: null });
    const words = ['audit', '--brokers', brokers, '--registry', registry];
    const audit = await engine.docker(['run', '--rm', '--network', 'host', images.BPF2KAFKA_IMAGE, ...words]);
    expect(audit).toMatch(/closed/);
  });

  it('goes on capturing after `down`, until `detach` gives up what is left', { timeout: 180_000 }, async () => {
    await up();
    await compose(['down', '--timeout', '20']);
    const storm = startStorm({ count: 20 });
    await storm.ended;
    expect(existsSync(pinPath)).toBe(true);
    const said = await compose(['run', '--rm', '--no-deps', 'sidecar', 'detach', '--discard']);
    expect(said).toMatch(/^detached \S+; lost: \d+ records that no broker had acknowledged$/);
    expect(existsSync(pinPath)).toBe(false);
  });
});

interface DecodedExec {
  readonly pid: number;
  readonly comm: string;
  readonly args: readonly string[] | null;
  readonly user_name: string | null;
  readonly cgroup_path: string | null;
  readonly container_id: string | null;
  readonly container_runtime: string | null;
}

/** By the book of Confluent's framing, without any code of ours. */
async function decode(value: Buffer, url: string): Promise<DecodedExec> {
  expect(value[0]).toBe(0);
  const { schema } = (await (await fetch(`${url}/schemas/ids/${value.readUInt32BE(1)}`)).json()) as { schema: string };
  return avsc.Type.forSchema(JSON.parse(schema)).fromBuffer(value.subarray(5)) as DecodedExec;
}
