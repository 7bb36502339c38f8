import avsc from 'avsc';
import { Network, type StartedNetwork } from 'testcontainers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { whyNoCapture } from '../support/capture.ts';
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
import { compare, holesIn, startStorm } from '../support/storm.ts';
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

  it('sees the execs of the host and of other containers, and the registry gives the schema of what it published', async () => {
    await using place = await ContainerPlace.create(images.BPF2KAFKA_IMAGE, 'seen');
    const sidecar = await place.run(...flags('seen.'));
    const storm = startStorm({ count: 100 });
    await storm.ended;
    const inside = `container-${process.pid}`;
    expect((await kafka.container.exec(['env', `TOKEN=${inside}`, 'true'])).exitCode).toBeDefined();

    const records = await recordsWith('seen.exec-events', storm.tokens);
    const events = await Promise.all(records.map(({ value }) => decode(value, registry.url)));
    const ofContainer = await waitFor(() => events.find(({ argv }) => argv.includes(`TOKEN=${inside}`)), {
      what: 'the exec in the container of Kafka is there',
    });
    expect(ofContainer).toMatchObject({ comm: 'env', argv: ['env', `TOKEN=${inside}`, 'true'] });
    expect(ofContainer.pid).toBeGreaterThan(1);
    await sidecar.stop();
  });
});

interface DecodedExec {
  readonly pid: number;
  readonly comm: string;
  readonly argv: readonly string[];
}

const types = new Map<number, Promise<avsc.Type>>();

/** By the book of Confluent's framing, without any code of ours. */
async function decode(value: Buffer, url: string): Promise<DecodedExec> {
  expect(value[0]).toBe(0);
  const id = value.readUInt32BE(1);
  const known = types.get(id) ?? schemaOf(id, url);
  types.set(id, known);
  return (await known).fromBuffer(value.subarray(5)) as DecodedExec;
}

async function schemaOf(id: number, url: string): Promise<avsc.Type> {
  const { schema } = (await (await fetch(`${url}/schemas/ids/${id}`)).json()) as { schema: string };
  return avsc.Type.forSchema(JSON.parse(schema));
}
