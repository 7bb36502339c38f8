import { describe, expect, it } from 'vitest';
import { resultOf } from '../../../bench/harness/figure.ts';
import { jsonRow, table } from '../../../bench/harness/table.ts';

const measured = resultOf(
  4,
  {
    what: 'records/s',
    unit: '/s',
    ours: [58_920.4, 61_000, 60_000.6],
    rival: [70_000, 69_000, 71_000],
    goals: [{ of: 'ratio', atLeast: 1 }],
  },
  ['busy machine'],
);
const unmeasured = resultOf(1, { what: 'BPF time', unit: '', goals: [], why: 'not measurable here: no BTF' }, []);

describe('--json', () => {
  it('has exactly the keys that its readers rely on', () => {
    expect(Object.keys(jsonRow(measured))).toEqual(['target', 'what', 'ours', 'rival', 'ratio', 'goal', 'met']);
  });

  it('gives numbers, and says unit, rounds and what to know in words', () => {
    expect(jsonRow(measured)).toEqual({
      target: 4,
      what: 'records/s [/s; median of 3 (58,920 to 61,000); busy machine]',
      ours: 60_000.6,
      rival: 70_000,
      ratio: 60_000.6 / 70_000,
      goal: 'ratio >= 1',
      met: false,
    });
  });

  it('gives null for what was not measured, and says why', () => {
    expect(jsonRow(unmeasured)).toEqual({
      target: 1,
      what: 'BPF time [not measurable here: no BTF]',
      ours: null,
      rival: null,
      ratio: null,
      goal: '',
      met: null,
    });
  });
});

describe('the table', () => {
  const lines = table([measured, unmeasured]).trimEnd().split('\n');

  it('has a line a figure, its columns aligned, and notes below the line that they are about', () => {
    expect(lines).toHaveLength(6);
    expect(lines[2]).toMatch(/^4 {2}records\/s +60,001 \/s +70,000 \/s +0\.86 +ratio >= 1 +NO +median of 3/);
    expect(lines[3]?.trim()).toBe('* busy machine');
    expect(lines[5]?.trim()).toBe('* not measurable here: no BTF');
    const column = (lines[0] as string).indexOf('goal');
    expect(lines[2]?.indexOf('ratio >= 1')).toBe(column);
  });

  it('shows a bar for what is not there', () => {
    expect(lines[4]?.split(/ {2,}/)).toEqual(['1', 'BPF time', '-', '-', '-', '-', '-']);
  });
});
