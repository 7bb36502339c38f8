import { beforeAll, describe, expect, test } from 'vitest';

test('passes', () => {});

test('fails', () => {
  expect(1).toBe(2);
});

test('finds out that it cannot run', (context) => {
  context.skip('no CAP_BPF');
});

test.skip('is switched off', () => {});

test.todo('is not written');

describe('with a hook that fails', () => {
  beforeAll(() => {
    throw new Error('hook');
  });

  test('never runs', () => {});
});
