import { expect, test } from 'vitest';
import { accessOf } from '../../../src/http/access.ts';

const token = 'A1b2C3d4E5f6-._~';
const of = (query?: unknown, authorization?: string) => accessOf({ query, authorization }, token);

test('the token opens the command lines, in the address or in the header', () => {
  expect(of(token)).toEqual({ withArgv: true });
  expect(of(undefined, `Bearer ${token}`)).toEqual({ withArgv: true });
  expect(of(undefined, `bearer  ${token} `)).toEqual({ withArgv: true });
  expect(of(token, `Bearer ${token}`)).toEqual({ withArgv: true });
});

test('without one everything else is open', () => {
  expect(of()).toEqual({ withArgv: false });
});

test.each([
  ['another one', 'A1b2C3d4E5f6-._-', undefined],
  ['the beginning of it', token.slice(0, -1), undefined],
  ['more than it', `${token}x`, undefined],
  ['an empty one', '', undefined],
  ['it twice', [token, token], undefined],
  ['a wrong header', undefined, 'Bearer other'],
  ['a header without a token', undefined, 'Bearer'],
  ['another scheme', undefined, `Basic ${token}`],
  ['a wrong header beside the right address', token, 'Bearer other'],
  ['a wrong address beside the right header', 'other', `Bearer ${token}`],
])('%s is wrong', (_name, query, authorization) => {
  expect(of(query, authorization)).toBeUndefined();
});
