import { expect, test } from 'vitest';
import { brokerProperties } from '../../../src/embedded-kafka/broker-properties.ts';

const layout = { dataDirectory: '/d', port: 1, controllerPort: 2 };

test('the broker and its controller listen on loopback only', () => {
  const lines = brokerProperties(layout, {}).split('\n');
  expect(lines).toContain('listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2');
  expect(lines).toContain('auto.create.topics.enable=false');
});

test('an override replaces the embedded setting', () => {
  const lines = brokerProperties(layout, { 'auto.create.topics.enable': 'true' }).split('\n');
  expect(lines.filter((line) => line.startsWith('auto.create'))).toEqual(['auto.create.topics.enable=true']);
});

test('a value with a line end or a backslash stays one value', () => {
  expect(brokerProperties(layout, { jaas: ' a\\b\nc' })).toContain('\njaas=\\ a\\\\b\\nc\n');
});
