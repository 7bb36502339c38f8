import { expect, test } from 'vitest';
import { keptSeconds, Rates } from '../../../src/live/rates.ts';

const start = 1_790_000_000;
const at = (second: number) => (start + second) * 1_000;

function historyOf(rates: Rates, now: number, seconds: number, packetsUntil = at(now)) {
  return rates.history(at(now), seconds, { execs: at(now), exits: 0, packets: packetsUntil });
}

test('events stand in the second in which they happened, in any order', () => {
  const rates = new Rates();
  for (const millis of [at(2) + 999, at(0), at(2), at(1) + 1, at(0) + 500]) rates.count('execs', millis);
  const { seconds, execs, exits } = historyOf(rates, 4, 5);
  expect(seconds).toEqual([-1, 0, 1, 2, 3].map((second) => start + second));
  expect(execs).toEqual([0, 2, 1, 2, 0]);
  expect(exits).toEqual([null, null, null, null, null]);
});

test('an interval is spread over its seconds', () => {
  const rates = new Rates();
  rates.spread('packets', at(0) + 500, at(1) + 500, 100);
  rates.spread('packets', at(1) + 500, at(4) + 500, 300);
  expect(historyOf(rates, 6, 6, at(4) + 500).packets).toEqual([50, 100, 100, 100, null, null]);
});

test('an interval longer than what is kept leaves its end', () => {
  const rates = new Rates();
  rates.spread('packets', at(-100_000), at(0), 100_000);
  const { packets } = historyOf(rates, 0, keptSeconds);
  expect(packets).toHaveLength(keptSeconds);
  expect(new Set(packets)).toEqual(new Set([1]));
});

test('what is older than is kept changes nothing', () => {
  const rates = new Rates();
  rates.count('execs', at(0));
  rates.count('execs', at(-keptSeconds));
  rates.count('execs', at(-5 * keptSeconds));
  expect(historyOf(rates, 1, keptSeconds).execs).toEqual([...new Array<number>(keptSeconds - 1).fill(0), 1]);
});

test('a place that stood for an earlier second begins anew', () => {
  const rates = new Rates();
  rates.count('execs', at(0));
  rates.count('exits', at(keptSeconds));
  expect(historyOf(rates, keptSeconds + 1, 1).execs).toEqual([0]);
});
