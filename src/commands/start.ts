import { join } from 'node:path';
import { systemClock } from '../clock.ts';
import type { RunConfig } from '../config.ts';
import { EmbeddedKafka } from '../embedded-kafka/embedded-kafka.ts';
import { reasonOf } from '../errors.ts';
import { createLog, type Log } from '../log.ts';
import { Sidecar } from '../sidecar.ts';
import { type CommandIo, writeLine } from '../terminal.ts';
import { answerHttp, readyLine, runUntilStopped } from './run.ts';
import { stopSignals } from './stop-signals.ts';
import { tailStream } from './tail.ts';

/**
 * `npm start`: like `run`, with a Kafka of its own when none is named, and with every exec printed as it
 * is read back from the topic.
 */
export async function startCommand(given: RunConfig, io: CommandIo): Promise<number> {
  const log = createLog(given.logLevel);
  using signals = stopSignals();
  await using broker = given.brokers.length > 0 ? undefined : await startBroker(given, log);
  const config = broker === undefined ? given : { ...given, brokers: [broker.brokers], createTopics: true };

  await using tail = new Tail(config, log, io);
  const sidecar = await Sidecar.open({
    config,
    log,
    clock: systemClock,
    singleNode: broker !== undefined,
    onTopicsReady: () => tail.start(),
  });
  await using _http = await answerHttp(sidecar, config, log);
  await writeLine(io.stdout, readyLine(sidecar));
  const stop = Promise.race([signals.stop, aborted(io.stdoutClosed), tail.ended]);
  await runUntilStopped(sidecar, config, log, { stop, force: signals.force });
  return 0;
}

async function startBroker(config: RunConfig, log: Log): Promise<EmbeddedKafka> {
  const directory = join(config.stateDir, 'kafka');
  log.info({ directory }, 'no --brokers given: starting a Kafka of one node');
  const broker = await EmbeddedKafka.start({ directory, log });
  log.info({ brokers: broker.brokers, pid: broker.pid }, 'Kafka is up');
  return broker;
}

/** Prints every exec that is published after `start` has resolved. */
class Tail implements AsyncDisposable {
  readonly #config: RunConfig;
  readonly #log: Log;
  readonly #io: CommandIo;
  readonly #end = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  #printing: Promise<void> | undefined;

  constructor(config: RunConfig, log: Log, io: CommandIo) {
    this.#config = config;
    this.#log = log;
    this.#io = io;
  }

  /** Resolves when the topic cannot be read any more. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  async start(): Promise<void> {
    const ready = Promise.withResolvers<void>();
    const tail = tailStream('exec', {
      brokers: this.#config.brokers,
      registry: this.#config.registry,
      topicPrefix: this.#config.topicPrefix,
      json: false,
      fromBeginning: false,
      limit: undefined,
      out: this.#io.stdout,
      err: this.#io.stderr,
      log: this.#log,
      signal: this.#end.signal,
      onReady: ready.resolve,
    });
    this.#printing = tail.then(
      () => this.#ended.resolve(),
      (error) => {
        if (!this.#end.signal.aborted) this.#log.error({ reason: reasonOf(error) }, 'cannot read the topic back');
        this.#ended.resolve();
      },
    );
    await Promise.race([ready.promise, tail]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#printing;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
