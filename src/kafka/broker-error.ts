import { Bpf2KafkaError, type ErrorCode, reasonOf } from '../errors.ts';

interface ErrorShape {
  readonly name?: unknown;
  readonly type?: unknown;
  readonly code?: unknown;
  readonly cause?: unknown;
}

/** The error itself and what caused it, outermost first. kafkajs wraps: retries exceeded -> non-retriable -> protocol. */
function* chainOf(error: unknown): Generator<ErrorShape> {
  let link = error;
  for (let depth = 0; depth < 8 && typeof link === 'object' && link !== null; depth += 1) {
    yield link as ErrorShape;
    link = (link as ErrorShape).cause;
  }
}

/** Name of the broker's error code, as in `MESSAGE_TOO_LARGE`; undefined when the failure is not an answer of a broker. */
export function protocolErrorOf(error: unknown): string | undefined {
  for (const { type } of chainOf(error)) if (typeof type === 'string') return type;
  return undefined;
}

/** Refused credentials do not become right by trying again. */
export function isAuthenticationError(error: unknown): boolean {
  for (const { name, type } of chainOf(error)) {
    if (name === 'KafkaJSSASLAuthenticationError') return true;
    if (type === 'SASL_AUTHENTICATION_FAILED' || type === 'UNSUPPORTED_SASL_MECHANISM') return true;
  }
  return false;
}

export function isAuthorizationError(error: unknown): boolean {
  return protocolErrorOf(error)?.endsWith('_AUTHORIZATION_FAILED') === true;
}

function remedyFor(error: unknown): string {
  if (isAuthenticationError(error)) return 'check the SASL settings and the credentials';
  if (isAuthorizationError(error)) return 'grant WRITE and DESCRIBE on the topics to this principal';
  for (const { code } of chainOf(error)) {
    if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'check the host names given with --brokers';
    if (code === 'ECONNREFUSED') return 'check --brokers and that a broker listens there';
  }
  return 'check --brokers, the network, and that the listener speaks the protocol that is configured';
}

/** A failure of kafkajs in our words. */
export function brokerError(
  operation: string,
  brokers: readonly string[],
  cause: unknown,
  code: ErrorCode = 'ERR_BROKER',
): Bpf2KafkaError {
  if (cause instanceof Bpf2KafkaError) return cause;
  return new Bpf2KafkaError(code, {
    operation,
    subject: brokers.join(','),
    reason: reasonOf(cause),
    remedy: remedyFor(cause),
    cause,
  });
}
