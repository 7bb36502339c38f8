/**
 * Counts packets on one interface and publishes them when told to, in a process of its own, so that its main loop has
 * nothing else to do:
 *
 *   node bench/pipeline/packet-process.ts '{"pinPath": PATH, "interfaceIndex": N, …}'
 *
 * Prints a line when it counts. For each `publish` on standard input it ends the epoch, publishes all of it, and prints a
 * line of JSON. Also the program to profile.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { systemClock } from '../../src/clock.ts';
import { createKafkaClient } from '../../src/kafka/client.ts';
import { batchBytes } from '../../src/kafka/topics.ts';
import { openCapture, openPackets } from '../../src/kernel/addon.ts';
import { WallClock } from '../../src/kernel/wall-clock.ts';
import { createLog } from '../../src/log.ts';
import { Delivery } from '../../src/producers/delivery.ts';
import { createCodec } from '../../src/schemas/codec.ts';
import { publish } from '../../src/sidecar.ts';
import { createPacketDecoder } from '../../src/sources/packet-decoder.ts';
import { PacketSource } from '../../src/sources/packets.ts';
import { LoopWatch } from '../harness/loop-watch.ts';

export interface PacketProcessOptions {
  readonly pinPath: string;
  readonly interfaceIndex: number;
  /** Keys that each map holds. */
  readonly flows: number;
  readonly brokers: string;
  readonly topic: string;
}

export interface Published {
  readonly keys: number;
  /** From the end of the epoch until all of it is acknowledged and its map is empty again, milliseconds. */
  readonly elapsed: number;
  /** Of that, reading the map off the main loop. */
  readonly reading: number;
  /** Longest time for which the main loop was blocked, milliseconds. */
  readonly blocked: number;
}

const options = JSON.parse(process.argv[2] as string) as PacketProcessOptions;
const hostId = '3f1c5d0e9b7a4c2d8e6f0a1b2c3d4e5f';
const log = createLog('warn');
const topic = 'packet-counts';

const capture = openCapture(options.pinPath, 1024 * 1024);
const packets = openPackets(capture, { keyKind: 'flow', flows: options.flows, excluded: [] });
packets.attach(options.interfaceIndex);

let reading = 0;
let keys = 0;

/** The same, with a clock around the reading. */
const timed: typeof packets = {
  ...packets,
  readFrozen: async () => {
    const begun = performance.now();
    const frozen = await packets.readFrozen();
    reading = performance.now() - begun;
    keys = frozen.keys;
    return frozen;
  },
};

const source = new PacketSource({
  capture,
  packets: timed,
  decoderOf: createPacketDecoder({
    layout: packets.layout(),
    identity: {
      hostId,
      hostName: 'host-0042.eu-west.example.net',
      bootId: '00000000-0000-4000-8000-000000000000',
      attachId: capture.status().attachId,
    },
    wallClock: new WallClock(capture.clockOffsets()),
    keyKind: 'flow',
  }),
  clock: systemClock,
  log,
  // Only when somebody wants it.
  intervalMillis: 24 * 3600 * 1000,
  budget: Number.POSITIVE_INFINITY,
});

const destination = {
  topic: options.topic,
  partition: 0,
  retentionMillis: Number.POSITIVE_INFINITY,
  maxBatchBytes: batchBytes,
};
await using delivery = new Delivery({
  client: createKafkaClient({ brokers: [options.brokers], clientId: 'bench', log }),
  destinations: new Map([[topic, destination]]),
  clock: systemClock,
  log,
});
const codec = createCodec({ topic, framing: { kind: 'single-object' } });
const publishing = publish(source, { codec, delivery }, new AbortController().signal);

async function publishEpoch(): Promise<Published> {
  const watch = new LoopWatch();
  const begun = performance.now();
  await Promise.race([source.drained(), publishing]);
  const elapsed = performance.now() - begun;
  return { keys, elapsed, reading, blocked: watch.stop() };
}

process.stdout.write('counting\n');
const lines = createInterface({ input: process.stdin });
lines.on('line', async () => process.stdout.write(`${JSON.stringify(await publishEpoch())}\n`));
await once(lines, 'close');
source.finish();
await publishing;
