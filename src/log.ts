import { createRequire } from 'node:module';
import { type Logger, pino } from 'pino';
import type { PrettyOptions, PrettyStream } from 'pino-pretty';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/**
 * Logs go to standard error, as JSON lines unless it is a terminal; standard output belongs to what a
 * command prints. Event content (argv, comm, paths) never goes into a log.
 */
export function createLog(level: LogLevel): Log {
  const terminal = process.stderr.isTTY === true;
  const destination = terminal
    ? prettyStream({ destination: 2, sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' })
    : pino.destination({ dest: 2, sync: true });
  return pino({ level, base: { name: 'bpf2kafka' }, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}

/** Of 30 modules, which a start without a terminal does without. */
function prettyStream(options: PrettyOptions): PrettyStream {
  const { build } = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty');
  return build(options);
}
