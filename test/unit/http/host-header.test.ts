import { expect, test } from 'vitest';
import { isOurHost } from '../../../src/http/host-header.ts';

test.each([
  'localhost',
  'LocalHost:8080',
  '127.0.0.1:8080',
  '[::1]:8080',
  '10.1.2.3:8080',
  'web-17.example.org',
  'WEB-17.example.org:80',
])('%s is ours', (header) => {
  expect(isOurHost(header, 'web-17.example.org')).toBe(true);
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
  expect(isOurHost(header, 'web-17.example.org')).toBe(false);
});
