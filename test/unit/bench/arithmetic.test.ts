import { describe, expect, it } from 'vitest';
import { maximum, median, minimum, percentile, ratioOf } from '../../../bench/harness/arithmetic.ts';
import { nanosPerExec, nanosPerRun } from '../../../bench/harness/bpf-stats.ts';
import { meets, resultOf } from '../../../bench/harness/figure.ts';

describe('rounds', () => {
  it('come to a median that sorts by number and lies between the two in the middle', () => {
    expect(median([10, 9, 100])).toBe(10);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
  });

  it('come to a percentile on the straight line between two values', () => {
    const values = Array.from({ length: 101 }, (_, n) => 100 - n);
    expect(percentile(values, 0)).toBe(0);
    expect(percentile(values, 99)).toBe(99);
    expect(percentile([0, 10], 25)).toBe(2.5);
  });

  it('come to a minimum and a maximum, and to an error when there are none', () => {
    expect([minimum([3, 1, 2]), maximum([3, 1, 2])]).toEqual([1, 3]);
    expect(() => median([])).toThrow('no round');
    expect(() => minimum([])).toThrow('no round');
  });
});

describe('a ratio', () => {
  it('is ours by the rival, and is not there without a rival or with a rival of 0', () => {
    expect(ratioOf(3, 12)).toBe(0.25);
    expect(ratioOf(3, undefined)).toBeUndefined();
    expect(ratioOf(undefined, 12)).toBeUndefined();
    expect(ratioOf(3, 0)).toBeUndefined();
    expect(ratioOf(3, -1)).toBeUndefined();
  });
});

describe('a goal', () => {
  const both = [
    { of: 'ratio', atMost: 0.15 },
    { of: 'ours', atMost: 2 },
  ] as const;

  it('is met when every bound holds, the bound itself included', () => {
    expect(meets(both, 2, 0.15)).toBe(true);
    expect(meets(both, 2.01, 0.15)).toBe(false);
    expect(meets(both, 2, 0.151)).toBe(false);
    expect(meets([{ of: 'ours', atLeast: 400_000 }], 399_999, undefined)).toBe(false);
  });

  it('is neither met nor missed when what it bounds was not measured, or when there is none', () => {
    expect(meets(both, 1, undefined)).toBeNull();
    expect(meets(both, 3, undefined)).toBe(false);
    expect(meets([], 1, 1)).toBeNull();
  });

  it('is judged by the quoted round of both sides', () => {
    const figure = { what: 'x', unit: 'us', ours: [1, 5, 2], rival: [20, 10, 40], goals: both };
    expect(resultOf(1, figure, [])).toMatchObject({ ours: 2, rival: 20, ratio: 0.1, met: true });
    expect(resultOf(1, { ...figure, statistic: 'maximum' }, [])).toMatchObject({ ours: 5, rival: 40, met: false });
    expect(resultOf(1, figure, []).rounds).toBe('median of 3 (1 to 5)');
  });
});

describe('BPF time', () => {
  it('is the time between two looks by the runs between them', () => {
    expect(nanosPerRun({ runs: 10, nanos: 1_000 }, { runs: 20, nanos: 21_000 })).toBe(2_000);
    expect(() => nanosPerRun({ runs: 10, nanos: 1 }, { runs: 10, nanos: 1 })).toThrow('did not run');
  });

  it('of several programs is the sum, without those that do not run', () => {
    const before = new Map([
      [1, { runs: 0, nanos: 0 }],
      [2, { runs: 5, nanos: 500 }],
      [3, { runs: 0, nanos: 0 }],
    ]);
    const after = new Map([
      [1, { runs: 10, nanos: 10_000 }],
      [2, { runs: 15, nanos: 5_500 }],
      [3, { runs: 0, nanos: 0 }],
    ]);
    expect(nanosPerExec(before, after)).toBe(1_500);
  });
});
