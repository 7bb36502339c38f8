import { join } from 'node:path';
import { systemClock } from '../clock.ts';
import type { RunConfig } from '../config/types.ts';
import { EmbeddedKafka } from '../embedded-kafka/embedded-kafka.ts';
import { createLog, type Log } from '../log.ts';
import { Sidecar } from '../sidecar.ts';
import { type CommandIo, writeLine } from '../terminal.ts';
import { answerHttp } from './answer-http.ts';
import { ReadBack } from './read-back.ts';
import { warnOfLinks } from './reload.ts';
import { readyLine, runUntilStopped } from './run.ts';
import { stopSignals } from './stop-signals.ts';

/**
 * `npm start`: like `run`, with a Kafka of its own when none is named, and with every exec and the table of packets
 * printed as they are read back from the topics.
 */
export async function startCommand(given: RunConfig, io: CommandIo): Promise<number> {
  const log = createLog(given.logLevel);
  using signals = stopSignals();
  await using broker = given.brokers.length > 0 ? undefined : await startBroker(given, log);
  const config = broker === undefined ? given : { ...given, brokers: [broker.brokers], createTopics: true };

  const streams = config.packets === undefined ? (['exec'] as const) : (['exec', 'packets'] as const);
  // Its client warns of what it tries again, as on a broker that has just been made.
  await using readBack = new ReadBack(streams, config, createLog('error'), io);
  const sidecar = await Sidecar.open({
    config,
    log,
    clock: systemClock,
    singleNode: broker !== undefined,
    onTopicsReady: () => readBack.start(),
  });
  warnOfLinks(config.execFilters, log);
  await using http = await answerHttp(sidecar, config, log);
  await writeLine(io.stdout, readyLine(sidecar));
  if (http !== undefined) await writeLine(io.stdout, `live page: ${http.livePage}`);
  if (broker !== undefined) await writeLine(io.stdout, `brokers: ${broker.brokers}`);
  const stop = Promise.race([signals.stop, aborted(io.stdoutClosed), readBack.ended]);
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

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
