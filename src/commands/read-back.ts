import type { TailConfig } from '../config/types.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StreamName } from '../streams.ts';
import type { CommandIo } from '../terminal.ts';
import { tailStream } from './tail.ts';

/** Where the topics are. */
type Kafka = Pick<TailConfig, 'brokers' | 'security' | 'registry' | 'registrySecurity' | 'topicPrefix'>;

/**
 * Prints what is published to the streams' topics after `start` has resolved. All share standard output: an exec is a
 * line, a table of packets one write of whole lines, so that neither stands inside the other.
 */
export class ReadBack implements AsyncDisposable {
  readonly #streams: readonly StreamName[];
  readonly #kafka: Kafka;
  readonly #log: Log;
  readonly #io: CommandIo;
  readonly #end = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #printing: Promise<void>[] = [];

  constructor(streams: readonly StreamName[], kafka: Kafka, log: Log, io: CommandIo) {
    this.#streams = streams;
    this.#kafka = kafka;
    this.#log = log;
    this.#io = io;
  }

  /** Resolves when a topic cannot be read any more. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** The topics must be there. @throws Bpf2KafkaError ERR_BROKER, ERR_TOPIC */
  async start(): Promise<void> {
    await Promise.all(this.#streams.map((name) => this.#print(name)));
  }

  async #print(name: StreamName): Promise<void> {
    const ready = Promise.withResolvers<void>();
    const tail = tailStream(name, {
      brokers: this.#kafka.brokers,
      security: this.#kafka.security,
      registry: this.#kafka.registry,
      registrySecurity: this.#kafka.registrySecurity,
      topicPrefix: this.#kafka.topicPrefix,
      json: false,
      fromBeginning: false,
      limit: undefined,
      out: this.#io.stdout,
      err: this.#io.stderr,
      log: this.#log,
      signal: this.#end.signal,
      onReady: ready.resolve,
      // A table each second that fills the screen would leave no exec to be seen.
      screenShare: 0.5,
    });
    this.#printing.push(
      tail.then(
        () => this.#ended.resolve(),
        (error) => {
          if (!this.#end.signal.aborted) this.#log.error({ reason: reasonOf(error) }, 'cannot read the topic back');
          this.#ended.resolve();
        },
      ),
    );
    await Promise.race([ready.promise, tail]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await Promise.all(this.#printing);
  }
}
