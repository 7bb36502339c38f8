import { describe, expect, test } from 'vitest';
import { Bpf2KafkaError } from '../../../src/errors.ts';
import { brokerError, isConnectionFailure, isRefusal, protocolErrorOf } from '../../../src/kafka/broker-error.ts';
import type { BrokerSecurity } from '../../../src/security.ts';

const wrapped = (cause: object) =>
  Object.assign(new Error('retries exceeded'), { cause: Object.assign(new Error('inner'), cause) });

test('the broker error code is found under the wrappings of kafkajs', () => {
  expect(protocolErrorOf(wrapped({ type: 'INVALID_RECORD' }))).toBe('INVALID_RECORD');
  expect(protocolErrorOf(new Error('x'))).toBeUndefined();
  expect(protocolErrorOf('text')).toBeUndefined();
});

test.each([
  [{ code: 'ECONNREFUSED' }, 'a broker listens there'],
  [{ code: 'ENOTFOUND' }, 'host names'],
  [{ type: 'TOPIC_AUTHORIZATION_FAILED' }, 'grant WRITE'],
  [{ type: 'GROUP_AUTHORIZATION_FAILED' }, 'grant READ on groups'],
  [{ name: 'KafkaJSGroupCoordinatorNotFound' }, 'grant READ on groups'],
  [{ name: 'KafkaJSConnectionClosedError' }, 'give --sasl-mechanism when its listener wants a login'],
  [{}, 'check --brokers'],
])('%o has a remedy that fits', (cause, remedy) => {
  const error = brokerError('reach the broker', ['a:1', 'b:2'], wrapped(cause));
  expect(error).toMatchObject({ code: 'ERR_BROKER', subject: 'a:1,b:2', exitCode: 4 });
  expect(error.remedy).toContain(remedy);
  expect(isRefusal(wrapped(cause))).toBe(false);
});

test.each([
  ['KafkaJSConnectionError', true],
  ['KafkaJSConnectionClosedError', true],
  ['KafkaJSRequestTimeoutError', true],
  ['KafkaJSBrokerNotFound', true],
  ['KafkaJSProtocolError', false],
  ['TypeError', false],
])('after %s it is worth to ask again: %s', (name, expected) => {
  expect(isConnectionFailure(wrapped({ name }))).toBe(expected);
});

test('our own errors pass as they are, also under the wrappings of kafkajs', () => {
  const own = new Bpf2KafkaError('ERR_TOPIC', { operation: 'x', reason: 'y' });
  expect(brokerError('reach the broker', [], own)).toBe(own);
  expect(brokerError('reach the broker', [], new Error('retries exceeded', { cause: own }))).toBe(own);
});

describe('a login', () => {
  const password: BrokerSecurity = {
    sasl: {
      mechanism: 'SCRAM-SHA-512',
      username: 'sidecar',
      password: { kind: 'file', setting: '--sasl-password-file', path: '/run/password' },
    },
  };
  const token: BrokerSecurity = {
    sasl: {
      mechanism: 'OAUTHBEARER',
      token: { kind: 'file', setting: '--sasl-oauthbearer-token-file', path: '/run/token' },
    },
  };
  test.each([
    [{ name: 'KafkaJSSASLAuthenticationError' }, password, 'check --sasl-username and --sasl-password-file'],
    [{ type: 'SASL_AUTHENTICATION_FAILED' }, token, 'check --sasl-oauthbearer-token-file'],
    [{ type: 'UNSUPPORTED_SASL_MECHANISM' }, password, 'give --sasl-mechanism one of its sasl.enabled.mechanisms'],
    [{ type: 'ILLEGAL_SASL_STATE' }, password, 'leave --sasl-mechanism out'],
  ])('that fails with %o is a refusal, whose remedy names the settings', (cause, security, remedy) => {
    expect(brokerError('reach the broker', ['a:1'], wrapped(cause), security).remedy).toContain(remedy);
    expect(isRefusal(wrapped(cause))).toBe(true);
  });
});

test.each([
  [
    'Connection error: self-signed certificate in certificate chain',
    'give the authority that signed it with --tls-ca-file',
  ],
  ['Connection error: it answers in TLS', 'give --tls'],
])('%s is a refusal', (message, remedy) => {
  const error = new Error('retries exceeded', { cause: new Error(message) });
  error.message = message;
  expect(brokerError('reach the broker', ['a:1'], error, { tls: {} }).remedy).toBe(remedy);
  expect(isRefusal(error)).toBe(true);
});
