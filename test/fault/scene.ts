import { startKafka, type TestKafka } from '../support/kafka.ts';
import { readTopic } from '../support/kcat.ts';
import { auditOf, contradictionsIn } from '../support/published.ts';
import { type CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, type Storm, startStorm } from '../support/storm.ts';
import type { FaultRow } from './table.ts';

/** Minutes instead of seconds: `npm run test:fault` without `--short`. */
export const long = process.env.BPF2KAFKA_LONG_TESTS === '1';
/** How long an outage lasts, milliseconds. */
export const outageMillis = long ? 600_000 : 15_000;

export interface SceneOptions {
  /** What a table of faults calls it. */
  readonly name: string;
  readonly execs: number;
  /** A second. */
  readonly rate: number;
  /** Of `run`. */
  readonly flags?: readonly string[];
  /** One that this scene ends; default: a broker of its own. */
  readonly kafka?: TestKafka;
  /** Where the sidecar looks for it; default: its own listener. */
  readonly brokers?: string;
}

/** A generator, a sidecar and a broker, to which something happens. */
export class FaultScene implements AsyncDisposable {
  readonly kafka: TestKafka;
  readonly place: SidecarPlace;
  readonly storm: Storm;
  sidecar: CommandProcess;
  readonly #options: SceneOptions;

  private constructor(options: SceneOptions, kafka: TestKafka, place: SidecarPlace, sidecar: CommandProcess) {
    this.#options = options;
    this.kafka = kafka;
    this.place = place;
    this.sidecar = sidecar;
    this.storm = startStorm({ count: options.execs, rate: options.rate });
  }

  /** Begins with a sidecar that captures; then the generator starts. */
  static async begin(options: SceneOptions): Promise<FaultScene> {
    await using stack = new AsyncDisposableStack();
    const kafka = stack.use(options.kafka ?? (await startKafka()));
    const place = stack.use(await SidecarPlace.create('fault'));
    const sidecar = await place.run(options.brokers ?? kafka.brokers, ...wordsOf(options));
    stack.move();
    return new FaultScene(options, kafka, place, sidecar);
  }

  /** Starts the sidecar again, after its end. */
  async again(...more: string[]): Promise<void> {
    this.sidecar = await this.place.run(
      this.#options.brokers ?? this.kafka.brokers,
      ...wordsOf(this.#options),
      ...more,
    );
  }

  /**
   * Lets the generator and the sidecar come to their ends, and judges by what an independent reader finds.
   * @param done what has happened, for the table
   * @throws when two records of one identity differ, or the audit fails
   */
  async judge(done: string): Promise<FaultRow> {
    await this.storm.ended;
    const code = await this.sidecar.end('SIGTERM');
    if (code !== 0) throw new Error(`the sidecar ended with ${code}: ${this.sidecar.errors}`);
    const records = await readTopic(this.kafka.brokers, 'exec-events');
    const { missing, found, repeated } = compare(this.storm.tokens, records);
    const contradictions = await contradictionsIn(records);
    if (contradictions.length > 0) throw new Error(`${contradictions.length} repeats differ from the first record`);
    const audit = await auditOf(this.kafka.brokers, '');
    if (audit.code !== 0) throw new Error(`the audit does not close: ${audit.said}`);
    return {
      fault: this.#options.name,
      done,
      execs: this.storm.tokens.size,
      found,
      missing: missing.length,
      repeated,
      audit: audit.said.trimEnd().split('\n').at(-1) ?? '',
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sidecar[Symbol.asyncDispose]();
    await this.place[Symbol.asyncDispose]();
    await this.kafka[Symbol.asyncDispose]();
  }
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
