import { expect, test } from 'vitest';
import { Bpf2KafkaError } from '../../../src/errors.ts';
import { brokerError, protocolErrorOf } from '../../../src/kafka/broker-error.ts';

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
  [{ type: 'SASL_AUTHENTICATION_FAILED' }, 'credentials'],
  [{ type: 'TOPIC_AUTHORIZATION_FAILED' }, 'grant WRITE'],
  [{}, 'check --brokers'],
])('%o has a remedy that fits', (cause, remedy) => {
  const error = brokerError('reach the broker', ['a:1', 'b:2'], wrapped(cause));
  expect(error).toMatchObject({ code: 'ERR_BROKER', subject: 'a:1,b:2', exitCode: 4 });
  expect(error.remedy).toContain(remedy);
});

test('our own errors pass as they are', () => {
  const own = new Bpf2KafkaError('ERR_TOPIC', { operation: 'x', reason: 'y' });
  expect(brokerError('reach the broker', [], own)).toBe(own);
});
