import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/**
 * Logs go to standard error, as JSON lines unless it is a terminal; standard output belongs to what a
 * command prints. Event content (argv, comm, paths) never goes into a log.
 */
export function createLog(level: LogLevel): Log {
  const terminal = process.stderr.isTTY === true;
  const destination = terminal
    ? pretty({ destination: 2, sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' })
    : pino.destination({ dest: 2, sync: true });
  return pino({ level, base: { name: 'bpf2kafka' }, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}
