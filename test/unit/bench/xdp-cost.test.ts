import { expect, it } from 'vitest';
import { figuresOf } from '../../../bench/10-xdp-cost.ts';
import { resultOf } from '../../../bench/harness/figure.ts';

it('the cost of a packet is what a program takes beyond an empty one, by the quickest round of each', () => {
  const cost = (flows: number, program: 'empty' | 'parse_only' | 'bare_hash' | 'ours', ...nanos: number[]) => ({
    flows,
    program,
    nanos,
  });
  const figures = figuresOf([
    ...[cost(1, 'empty', 30, 29), cost(1, 'parse_only', 36, 35), cost(1, 'bare_hash', 79, 99), cost(1, 'ours', 90, 84)],
    ...[cost(1024, 'empty', 40), cost(1024, 'parse_only', 50), cost(1024, 'bare_hash', 140), cost(1024, 'ours', 152)],
  ]);
  const [one, many] = figures.map((figure) => resultOf(10, figure, []));
  expect(one).toMatchObject({ ours: 55, rival: 50, ratio: 1.1, met: true });
  expect(one?.what).toContain('1 flow (parser alone: 6 ns)');
  expect(many).toMatchObject({ ours: 112, rival: 100, ratio: 1.12, met: false });
  expect(many?.what).toContain('1,024 flows (parser alone: 10 ns)');
});
