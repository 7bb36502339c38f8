import { expect, test } from 'vitest';
import { isOurHost, namesOf } from '../../../src/http/host-header.ts';

const names = namesOf('web-17.example.org', 'web-17');

test.each([
  'localhost',
  'web-17:8080',
  'LocalHost:8080',
  '127.0.0.1:8080',
  '[::1]:8080',
  '10.1.2.3:8080',
  'web-17.example.org',
  'WEB-17.example.org:80',
])('%s is ours', (header) => {
  expect(isOurHost(header, names)).toBe(true);
});

test.each([
  undefined,
  '',
  'rebound.example.org:8080',
  'localhost.example.org',
  '127.0.0.1.example.org:8080',
  'web-17.example.org.',
  'localhost:8080:8080',
  'localhost:http',
  '[localhost]:8080',
  '[::1',
  'user@localhost',
  '0x7f000001:8080',
])('%j is not', (header) => {
  expect(isOurHost(header, names)).toBe(false);
});

test('the name of the host is one of ours when others than the host itself can connect', () => {
  for (const address of ['127.0.0.1', '127.1.2.3', '::1', 'localhost', 'LOCALHOST'])
    expect(namesOf(address, 'web-17')).toEqual(['localhost']);
  for (const address of ['0.0.0.0', '::', '192.0.2.1'])
    expect(namesOf(address, 'Web-17')).toEqual(['localhost', 'web-17']);
  expect(namesOf('Web-17.example.org', 'web-17')).toEqual(['localhost', 'web-17.example.org', 'web-17']);
});
