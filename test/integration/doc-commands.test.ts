import { execFileSync, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest';
import { whyNoCapture } from '../support/capture.ts';
import { docCommands, type Ran } from '../support/doc-commands.ts';
import { DocShell } from '../support/doc-shell.ts';
import { removeNetwork, VethPair, whyNoNetwork } from '../support/network.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';
import { sharedKafka as kafka } from '../support/shared-kafka.ts';
import { type CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { startTraffic, type Traffic } from '../support/traffic.ts';

/** The commands of the documents beside a real broker, a registry, and a sidecar that publishes execs and packets. */

const reason = whyNoCapture() ?? whyNoNetwork();
const day = 24 * 3_600_000;
const dayText = (millis: number) => `${new Date(millis).toISOString().slice(0, 10)}T00:00:00Z`;

let registry: TestRegistry;
let place: SidecarPlace;
let pair: VethPair;
let sidecar: CommandProcess;
let shell: DocShell;
let traffic: Traffic;
let execs: NodeJS.Timeout;

beforeAll(async () => {
  if (reason !== undefined) return;
  registry = await startRegistry();
  pair = new VethPair();
  place = await SidecarPlace.create('documents', [pair.name]);
  sidecar = await place.run(kafka.brokers, '--create-topics', '--http', '127.0.0.1:0', '--ledger-interval', '500ms');
  await kafka.createTopic('siem-execs');
  await kafka.createTopic('siem-refused');
  // Something to read for whoever reads from now on.
  execs = setInterval(() => spawnSync('/bin/true'), 200);
  traffic = startTraffic(pair);
  const [, url = ''] = /"url":"([^"]*)","msg":"HTTP is on"/.exec(sidecar.errors) ?? [];
  shell = new DocShell({
    'kafka-1:9092,kafka-2:9092': kafka.brokers,
    'kafka-1:9092': kafka.brokers,
    'localhost:9092': kafka.brokers,
    'http://registry:8081': registry.url,
    '127.0.0.1:29092': kafka.brokers,
    'http://127.0.0.1:28081/apis/ccompat/v7': registry.url,
    'http://127.0.0.1:8080': url,
    // The day of an example, which is now.
    '2026-11-24T00:00:00Z': dayText(Date.now() - day),
    '2026-11-25T00:00:00Z': dayText(Date.now() + day),
  });
}, 120_000);

afterAll(async () => {
  if (reason !== undefined) return;
  clearInterval(execs);
  await traffic?.stop();
  shell?.[Symbol.dispose]();
  await sidecar?.end('SIGTERM');
  await place?.[Symbol.asyncDispose]();
  await registry?.stop();
  removeNetwork();
}, 60_000);

beforeEach(({ skip }) => skip(reason !== undefined, reason));

type Entry = readonly [text: string, entry: Ran];
const beside = Object.entries(docCommands).flatMap(([text, entry]): Entry[] =>
  'ran' in entry && entry.ran === 'with a broker' ? [[text, entry]] : [],
);
const isReader = ([text]: Entry) => /^bpf2kafka (tail|audit) /.test(text);
const timeout = 240_000;

test.for(beside.filter((entry) => !isReader(entry)))('%s', { timeout }, async ([text, entry], { skip }) => {
  skip(isWithout('curl', text), 'curl is not installed');
  await using own = await SidecarPlace.create('command');
  if (entry.after !== undefined) await keep(own);
  await shell.check(text, entry, environmentOf(text, own));
});

// Most of their time they wait for the broker to let them into their groups.
describe.concurrent('readers', () => {
  test.for(beside.filter(isReader))('%s', { timeout }, async ([text, entry], { skip }) => {
    skip(isWithout('jq', text), 'jq is not installed');
    await shell.check(text, entry);
  });
});

/** Whether the command needs a program that is not there. */
function isWithout(program: string, text: string): boolean {
  return new RegExp(`\\b${program} `).test(text) && spawnSync(program, ['--version']).error !== undefined;
}

/** As in a configuration that is complete: what the commands of the documents leave to it. */
function environmentOf(text: string, { pinPath, stateDir }: SidecarPlace): Record<string, string> {
  const places = { BPF2KAFKA_PIN_PATH: pinPath, BPF2KAFKA_STATE_DIR: stateDir };
  if (!/^bpf2kafka run /.test(text)) return { ...places, BPF2KAFKA_HTTP: 'off' };
  return {
    ...places,
    BPF2KAFKA_HTTP: 'off',
    BPF2KAFKA_NO_PACKETS: 'true',
    BPF2KAFKA_CREATE_TOPICS: 'true',
    BPF2KAFKA_REGISTER_SCHEMAS: 'true',
    // A second sidecar of this host has topics of its own: the audit of the first one would find two captures.
    BPF2KAFKA_TOPIC_PREFIX: 'second.',
  };
}

/** Leaves a capture behind that nobody reads, with an exec that nobody has acknowledged. */
async function keep(own: SidecarPlace): Promise<void> {
  const flags = ['--create-topics', '--topic-prefix', 'kept.', '--on-exit', 'keep', '--http', 'off'];
  await using kept = await own.run(kafka.brokers, ...flags);
  await kept.end('SIGTERM');
  execFileSync('/bin/true');
}
