/**
 * Every failure that a user can meet, as a closed set of codes. A code decides the exit code of the
 * command line, so scripts and the service manager can tell a typing error from a broker that is down.
 */
const exitCodes = {
  /** An unknown flag, a missing argument. */
  ERR_USAGE: 2,
  /** A setting with a value that cannot be right; names the setting. */
  ERR_CONFIG: 2,
  /** The kernel lacks something that capturing needs (version, BTF, architecture). */
  ERR_KERNEL_UNSUPPORTED: 3,
  /** The kernel would, but this process may not (capability, lockdown). */
  ERR_PERMISSION: 3,
  /** bpffs or tracefs is not there and cannot be mounted. */
  ERR_MOUNT: 3,
  /** Loading, attaching or pinning a program or a map failed. */
  ERR_BPF: 3,
  /** `run --attached` finds no capture, or not the one that it was asked for. */
  ERR_NOT_ATTACHED: 3,
  /** Another process owns the pinned programs. */
  ERR_OWNED: 3,
  /** What is pinned was written by a version with another layout. */
  ERR_PIN_LAYOUT: 3,
  /** `detach` would throw away records that no broker has acknowledged. */
  ERR_BACKLOG: 3,
  /** The native addon is not built or not loadable on this system. */
  ERR_ADDON: 3,
  /** The broker cannot be reached, or refuses us. */
  ERR_BROKER: 4,
  /** A topic does not exist and may not be created, or its settings would lose records. */
  ERR_TOPIC: 4,
  /** The schema registry cannot be reached, lacks a schema or refuses it. */
  ERR_REGISTRY: 4,
  /** The embedded broker did not start. */
  ERR_EMBEDDED_BROKER: 4,
  /** A shutdown deadline passed with records still unacknowledged: they wait in the kernel. */
  ERR_UNDELIVERED: 4,
} as const;

export type ErrorCode = keyof typeof exitCodes;

export interface Failure {
  /** What was tried, as a verb phrase: `attach the exec program`. */
  readonly operation: string;
  /** On what: a path, a topic, an address. */
  readonly subject?: string;
  /** Why it failed. */
  readonly reason: string;
  /** What the user can do about it. */
  readonly remedy?: string;
  /** The kernel's error number, when there was one. */
  readonly errno?: number;
  readonly cause?: unknown;
}

/** One line that says what was tried, on what, why it failed and what to do. Match on `code`, not on the class. */
export class Bpf2KafkaError extends Error {
  readonly code: ErrorCode;
  readonly operation: string;
  readonly subject: string | undefined;
  readonly reason: string;
  readonly remedy: string | undefined;
  readonly errno: number | undefined;

  constructor(code: ErrorCode, failure: Failure) {
    const subject = failure.subject === undefined ? '' : ` ${failure.subject}`;
    const remedy = failure.remedy === undefined ? '' : `; ${failure.remedy}`;
    super(`cannot ${failure.operation}${subject}: ${failure.reason}${remedy}`, { cause: failure.cause });
    this.name = 'Bpf2KafkaError';
    this.code = code;
    this.operation = failure.operation;
    this.subject = failure.subject;
    this.reason = failure.reason;
    this.remedy = failure.remedy;
    this.errno = failure.errno;
  }

  /** Exit code of the command line: 2 usage or configuration, 3 kernel or permissions, 4 broker. */
  get exitCode(): number {
    return exitCodes[this.code];
  }
}

/** The message of anything that was thrown, on one line. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*\n\s*/g, ' ').trim();
}

/** A write failed because the disk, or what this user may have of it, is used up; also of an error that this one caused. */
export function isOutOfSpace(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG' || isOutOfSpace(error.cause);
}
