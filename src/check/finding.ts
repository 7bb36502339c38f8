import { Bpf2KafkaError, reasonOf } from '../errors.ts';

/** `degraded`: `run` works, with less than it could; `fail`: it does not. */
export type Status = 'pass' | 'degraded' | 'fail';

/** One answer of `check`. */
export interface Finding {
  readonly status: Status;
  /** What was looked at: `kernel`, `topic exec-events`, `interface eth0`. */
  readonly subject: string;
  /** What was found, without a full stop. */
  readonly found: string;
  /** What to do about it; absent where there is nothing to mend. */
  readonly remedy?: string;
}

export function pass(subject: string, found: string): Finding {
  return { status: 'pass', subject, found };
}

export function degraded(subject: string, found: string, remedy: string): Finding {
  return { status: 'degraded', subject, found, remedy };
}

export function fail(subject: string, found: string, remedy: string): Finding {
  return { status: 'fail', subject, found, remedy };
}

/** What would end `run` in the same way. */
export function failure(subject: string, error: unknown): Finding {
  if (!(error instanceof Bpf2KafkaError)) return { status: 'fail', subject, found: reasonOf(error) };
  const { operation, subject: what, reason, remedy } = error;
  const found = `cannot ${operation}${what === undefined ? '' : ` ${what}`}: ${reasonOf(new Error(reason))}`;
  return { status: 'fail', subject, found, ...(remedy === undefined ? {} : { remedy }) };
}
