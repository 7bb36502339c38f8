import { Bpf2KafkaError, reasonOf } from '../errors.ts';
import type { BrokerSecurity, Sasl } from '../security.ts';
import { answeredInTls, tlsFailureOf } from '../tls-failure.ts';

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

/**
 * Who was refused for what is configured is not let in by trying again: a login, a certificate, a listener of the other
 * kind, a token that the endpoint does not give.
 */
export function isRefusal(error: unknown): boolean {
  return (
    ownIn(error) !== undefined || loginFailureOf(error, {}) !== undefined || wireFailureOf(error, {}) !== undefined
  );
}

const connectionErrors = new Set([
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
]);

/** No broker has answered, which may pass. */
export function isConnectionFailure(error: unknown): boolean {
  for (const { name } of chainOf(error)) if (connectionErrors.has(name as string)) return !isRefusal(error);
  return false;
}

export function isAuthorizationError(error: unknown): boolean {
  return protocolErrorOf(error)?.endsWith('_AUTHORIZATION_FAILED') === true;
}

/** A failure of kafkajs in our words. */
export function brokerError(
  operation: string,
  brokers: readonly string[],
  cause: unknown,
  security: BrokerSecurity = {},
): Bpf2KafkaError {
  const own = ownIn(cause);
  if (own !== undefined) return own;
  const explained = loginFailureOf(cause, security) ?? wireFailureOf(cause, security);
  const { reason, remedy } = explained ?? { reason: textOf(cause), remedy: remedyFor(cause, security) };
  return new Bpf2KafkaError('ERR_BROKER', { operation, subject: brokers.join(','), reason, remedy, cause });
}

interface Explanation {
  readonly reason: string;
  readonly remedy: string;
}

function ownIn(error: unknown): Bpf2KafkaError | undefined {
  for (const link of chainOf(error)) if (link instanceof Bpf2KafkaError) return link;
  return undefined;
}

function loginFailureOf(error: unknown, { sasl }: BrokerSecurity): Explanation | undefined {
  switch (protocolErrorOf(error)) {
    case 'UNSUPPORTED_SASL_MECHANISM':
      return {
        reason: `the listener does not offer the login ${sasl?.mechanism ?? 'that is configured'}`,
        remedy: 'give --sasl-mechanism one of its sasl.enabled.mechanisms',
      };
    case 'ILLEGAL_SASL_STATE':
      return { reason: 'the listener wants no login', remedy: 'leave --sasl-mechanism out, or give a port with SASL' };
  }
  for (const { name, type } of chainOf(error)) {
    if (name !== 'KafkaJSSASLAuthenticationError' && type !== 'SASL_AUTHENTICATION_FAILED') continue;
    return { reason: `the broker refuses the login (${textOf(error)})`, remedy: `check ${loginSettings(sasl)}` };
  }
  return undefined;
}

function loginSettings(sasl: Sasl | undefined): string {
  if (sasl === undefined) return 'the settings of SASL';
  if (sasl.mechanism !== 'OAUTHBEARER') return `--sasl-username and ${sasl.password.setting}`;
  const { token } = sasl;
  return token.kind === 'file' ? token.setting : '--sasl-oauthbearer-scope and what the broker expects of a token';
}

function wireFailureOf(error: unknown, { tls = {} }: BrokerSecurity): Explanation | undefined {
  const text = textOf(error);
  if (text === answeredInTls) return { reason: 'the listener speaks TLS', remedy: 'give --tls' };
  const failure = tlsFailureOf(text, { settings: '--tls', files: tls });
  return failure && { reason: `the broker ${failure.reason}`, remedy: failure.remedy };
}

/** Without what kafkajs puts before the words of the socket. */
function textOf(error: unknown): string {
  return reasonOf(error).replace(/^(Connection error|Failed to connect): /, '');
}

/** kafkajs keeps the broker's answer to itself when it asks for the coordinator of a group that it may not read. */
function isGroupRefused(error: unknown): boolean {
  for (const { name, type } of chainOf(error)) {
    if (type === 'GROUP_AUTHORIZATION_FAILED' || name === 'KafkaJSGroupCoordinatorNotFound') return true;
  }
  return false;
}

function remedyFor(error: unknown, { tls, sasl }: BrokerSecurity): string {
  if (isGroupRefused(error)) return 'grant READ on groups that begin with bpf2kafka- to this principal';
  if (isAuthorizationError(error)) {
    return 'grant WRITE and DESCRIBE on the topics to this principal, READ and DESCRIBE to one that reads';
  }
  for (const { name, code } of chainOf(error)) {
    if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'check the host names given with --brokers';
    if (code === 'ECONNREFUSED') return 'check --brokers and that a broker listens there';
    if (name !== 'KafkaJSConnectionClosedError' && code !== 'ECONNRESET') continue;
    // A broker hangs up without a word when it ends, and on who does not say what its listener expects first.
    if (tls !== undefined && /secure TLS connection/.test(textOf(error))) return 'check that the listener speaks TLS';
    if (sasl === undefined) return 'check that it runs, and give --sasl-mechanism when its listener wants a login';
  }
  return 'check --brokers, the network, and that the listener speaks the protocol that is configured';
}
