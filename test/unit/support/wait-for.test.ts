import { expect, test } from 'vitest';
import { waitFor } from '../../support/wait-for.ts';

test('resolves to the first truthy value', async () => {
  const values = [undefined, 0, 'there'];
  expect(await waitFor(() => values.shift(), { what: 'a value', interval: 1 })).toBe('there');
});

test('a condition that throws is asked again', async () => {
  let calls = 0;
  const condition = () => {
    if (++calls < 3) throw new Error('not yet');
    return calls;
  };
  expect(await waitFor(condition, { what: 'the third call', interval: 1 })).toBe(3);
});

test('says what was awaited, and what came last', async () => {
  const refused = () => Promise.reject(new Error('refused'));
  await expect(waitFor(refused, { what: 'the broker answers', timeout: 20, interval: 1 })).rejects.toThrow(
    'waited 20 ms in vain: the broker answers (last: Error: refused)',
  );
});
