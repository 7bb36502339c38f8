import { setTimeout as sleep } from 'node:timers/promises';
import type { TestContext } from 'vitest';
import { readTopic } from '../support/kcat.ts';
import { auditOf, contradictionsIn } from '../support/published.ts';
import { type CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, type Storm, startStorm } from '../support/storm.ts';
import type { FaultRow } from './table.ts';

/** Minutes instead of seconds: `npm run test:fault` without `--short`. */
export const long = process.env.BPF2KAFKA_LONG_TESTS === '1';
/** How long an outage lasts, milliseconds. */
export const outageMillis = long ? 600_000 : 15_000;
export const seconds = (millis: number) => `${millis / 1000} s`;

/** Execs a second. */
export const rate = 800;
/** Execs from 3 s before an outage to 10 s behind it. */
export const through = (millis: number) => Math.ceil((millis / 1000 + 13) * rate);

const mebibyte = 2 ** 20;
/** The ring holds some 4 s of the load, or as much as by default, some 30 s; the disk takes the rest. */
export const smallRing = ['--exec-ring-bytes', String(long ? 8 * mebibyte : mebibyte)];
/** For what only the kernel can hold. */
export const largeRing = ['--exec-ring-bytes', String(32 * mebibyte)];

/** One broker, or several in a cluster. */
export interface Brokers {
  /** `host:port`, separated by commas. */
  readonly brokers: string;
}

export interface SceneOptions {
  /** What a table of faults calls it. */
  readonly name: string;
  readonly kafka: Brokers;
  readonly execs: number;
  /** Of `run`. */
  readonly flags?: readonly string[];
  /** Where the sidecar looks for them; default: their own listeners. */
  readonly brokers?: string;
  /** Of the sidecar's process. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A generator and a sidecar with its broker, to which something happens. */
export class FaultScene implements AsyncDisposable {
  readonly place: SidecarPlace;
  readonly storm: Storm;
  sidecar: CommandProcess;
  readonly #options: SceneOptions;

  private constructor(options: SceneOptions, place: SidecarPlace, sidecar: CommandProcess) {
    this.#options = options;
    this.place = place;
    this.sidecar = sidecar;
    this.storm = startStorm({ count: options.execs, rate });
  }

  /** Begins with a sidecar that captures; then the generator starts. */
  static async begin(options: SceneOptions): Promise<FaultScene> {
    await using stack = new AsyncDisposableStack();
    const { brokers = options.kafka.brokers, environment } = options;
    const place = stack.use(await SidecarPlace.create('fault', [], environment));
    const sidecar = await place.run(brokers, ...wordsOf(options));
    stack.move();
    return new FaultScene(options, place, sidecar);
  }

  /** Starts the sidecar again, after its end. */
  async again(...more: string[]): Promise<void> {
    const { kafka, brokers = kafka.brokers } = this.#options;
    this.sidecar = await this.place.run(brokers, ...wordsOf(this.#options), ...more);
  }

  /**
   * Lets the generator and the sidecar come to their ends, and judges by what an independent reader finds.
   * @param done what has happened, for the table
   * @param verdict exit code of the audit; with 1 the table has what was lost in Kafka
   * @throws when two records of one identity differ, or the audit comes to another verdict
   */
  async judge(done: string, verdict = 0): Promise<FaultRow> {
    const { name, kafka } = this.#options;
    await this.storm.ended;
    const code = await this.sidecar.end('SIGTERM');
    if (code !== 0) throw new Error(`the sidecar ended with ${code}: ${this.sidecar.errors}`);
    const records = await readTopic(kafka.brokers, 'exec-events');
    const { missing, found, repeated } = compare(this.storm.tokens, records);
    const contradictions = await contradictionsIn(records);
    if (contradictions.length > 0) throw new Error(`${contradictions.length} repeats differ from the first record`);
    const audit = await auditOf(kafka.brokers, '');
    if (audit.code !== verdict) throw new Error(`the audit ends with ${audit.code}: ${audit.said}`);
    const lost = [...audit.said.matchAll(/lost_after_ack: (\d+) of/g)].reduce((all, [, some]) => all + Number(some), 0);
    return {
      fault: name,
      done,
      execs: this.storm.tokens.size,
      found,
      missing: missing.length,
      repeated,
      audit: verdict === 0 ? (audit.said.trimEnd().split('\n').at(-1) ?? '') : `lost_after_ack: ${lost}`,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sidecar[Symbol.asyncDispose]();
    await this.place[Symbol.asyncDispose]();
  }
}

/**
 * Lets something happen in the middle of a sidecar's work; the row of the table is kept with the test.
 * @param happen says what it has done
 */
export async function suffer(
  { task }: TestContext,
  options: SceneOptions,
  happen: (scene: FaultScene) => Promise<string>,
): Promise<FaultRow> {
  await using scene = await FaultScene.begin(options);
  await sleep(3_000); // somewhere in the middle of its work
  const row = await scene.judge(await happen(scene));
  task.meta.fault = row;
  return row;
}

function wordsOf({ flags = [] }: SceneOptions): string[] {
  return [
    '--create-topics',
    '--http',
    'off',
    '--ledger-interval',
    '1s',
    '--drain-timeout',
    '60s',
    '--no-exit',
    ...flags,
  ];
}
