import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makesStorms, spread } from '../../support/spread-storms.ts';

it.each([
  { some: [], rest: [1, 2], spread: [1, 2] },
  { some: ['a', 'b'], rest: [], spread: ['a', 'b'] },
  { some: ['a', 'b'], rest: [1, 2, 3, 4], spread: ['a', 1, 2, 'b', 3, 4] },
  { some: ['a', 'b'], rest: [1], spread: ['a', 1, 'b'] },
  { some: ['a', 'b', 'c'], rest: [1, 2, 3, 4], spread: ['a', 1, 'b', 2, 3, 'c', 4] },
])('$some among $rest: nothing is left out, and the order stays', ({ some, rest, spread: wanted }) => {
  expect(spread<string | number>(some, rest)).toEqual(wanted);
});

it('each file of test/integration that starts a storm waits for its turn', () => {
  const directory = join(import.meta.dirname, '../../integration');
  const files = readdirSync(directory).map((name) => join(directory, name));
  const starting = files.filter((file) => readFileSync(file, 'utf8').includes('startStorm('));
  expect(starting.length).toBeGreaterThan(0);
  expect(starting.filter((file) => !makesStorms(file))).toEqual([]);
});
