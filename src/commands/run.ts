import { systemClock } from '../clock.ts';
import type { RunConfig } from '../config/types.ts';
import { Bpf2KafkaError } from '../errors.ts';
import { createLog, type Log } from '../log.ts';
import { Sidecar, type StopReport } from '../sidecar.ts';
import { type CommandIo, writeLine } from '../terminal.ts';
import { answerHttp } from './answer-http.ts';
import { reloadOnHangup, warnOfLinks } from './reload.ts';
import { ServiceManager } from './service-manager.ts';
import { type StopRequest, stopSignals } from './stop-signals.ts';

/**
 * Captures and publishes until SIGINT or SIGTERM.
 * @param reread reads the settings again, for SIGHUP
 */
export async function runCommand(config: RunConfig, reread: () => RunConfig, io: CommandIo): Promise<number> {
  const log = createLog(config.logLevel);
  using signals = stopSignals();
  const opening = Sidecar.open({ config, log, clock: systemClock });
  using _reload = reloadOnHangup({ config, reread, exclude: async (rules) => (await opening).exclude(rules), log });
  const sidecar = await opening;
  warnOfLinks(config.execFilters, log);
  await using _http = await answerHttp(sidecar, config, log);
  using manager = new ServiceManager(config.serviceManager, log);
  await writeLine(io.stdout, readyLine(sidecar));
  manager.ready(readyLine(sidecar));
  void signals.stop.then(() => manager.stopping());
  await runUntilStopped(sidecar, config, log, signals);
  return 0;
}

/** `ready`, then the streams, packets by interface: `ready exec exit packets:eth0 packets:lo`. */
export function readyLine(sidecar: Sidecar): string {
  return `ready ${sidecar.streams.join(' ')}`;
}

/** @throws Bpf2KafkaError ERR_UNDELIVERED when the capture was to end and could not be drained in time */
export async function runUntilStopped(
  sidecar: Sidecar,
  config: RunConfig,
  log: Log,
  signals: StopRequest,
): Promise<void> {
  const running = sidecar.run();
  await Promise.race([running, signals.stop]);
  log.info({ onExit: config.onExit, drainTimeoutMillis: config.drainTimeoutMillis }, 'stopping');
  const deadline = AbortSignal.any([AbortSignal.timeout(config.drainTimeoutMillis), signals.force]);
  const report = await sidecar.stop(deadline);
  await running;
  if (config.onExit === 'detach' && !report.detached) throw undelivered(report, config.pinPath);
  log.info(report, report.detached ? 'stopped; nothing is left in the kernel' : 'stopped; the capture stays pinned');
}

function undelivered(report: StopReport, pinPath: string): Bpf2KafkaError {
  const { backlog, spooled, spoolDirectory, packets, capturing } = report;
  const left = [
    ...(backlog > 0 ? [`${backlog} records`] : []),
    ...(packets > 0 ? [`${packets} packets`] : []),
    ...(spooled > 0 ? [`${spooled} records in ${spoolDirectory}`] : []),
  ];
  const where = spooled > 0 ? 'there and in the kernel' : 'in the kernel';
  return new Bpf2KafkaError('ERR_UNDELIVERED', {
    operation: 'end the capture in',
    subject: pinPath,
    reason:
      left.length > 0
        ? `${left.join(' and ')} have not been acknowledged by the broker in time; they wait ${where}, and it ${capturing ? 'goes on' : 'has stopped'} capturing`
        : 'the last entry of the ledger has not been acknowledged by the broker in time',
    remedy: 'start again to publish them, or give them up with `bpf2kafka detach --discard`',
  });
}
