import { describe, expect, test } from 'vitest';
import { selectVariables } from '../../../src/sources/environment.ts';

const limits = { capturedBytes: 8192, tailBytes: 0, pageBytes: 4096 };

/** Of variables whose first byte is `pageOffset` into a page; `reads` of the kernel side failed. */
function select(text: string, names: readonly string[], { total = 0, pageOffset = 0, absent = 0 } = {}) {
  const captured = Buffer.from(text, 'latin1');
  return selectVariables(captured, total || captured.length, pageOffset, absent, limits, names);
}

describe('variables', () => {
  test('come by name, in the order that was asked for', () => {
    const text = 'A=1\0B=\0LONGER=x=y\0';
    expect(Object.entries(select(text, ['LONGER', 'A', 'MISSING', 'B', 'LONG']))).toEqual([
      ['LONGER', 'x=y'],
      ['A', '1'],
      ['B', ''],
    ]);
  });

  test('the first of two with one name counts, as for getenv', () => {
    expect(select('A=1\0A=2\0', ['A'])).toEqual({ A: '1' });
  });

  test('texts that are no variables are passed over', () => {
    expect(select('\0=x\0NONE\0A=1\0', ['A', 'NONE', ''])).toEqual({ A: '1' });
  });

  test('a value that is not UTF-8 is escaped', () => {
    expect(select('A=\xff\0', ['A'])).toEqual({ A: '\\xff' });
  });

  test('a name can be any text, also one that objects have', () => {
    expect(Object.entries(select('__proto__=1\0constructor=2\0', ['__proto__', 'constructor']))).toEqual([
      ['__proto__', '1'],
      ['constructor', '2'],
    ]);
    expect(select('A=1\0', ['toString'])).toEqual({});
  });
});

describe('of an environment that is not whole', () => {
  test('the last variable is left out when it is cut', () => {
    const text = `A=1\0B=${'b'.repeat(8192 - 6)}`;
    expect(select(text, ['A', 'B'], { total: 9000 })).toEqual({ A: '1' });
  });

  test('beside a page that was not read, whole variables are there and cut ones are not', () => {
    const before = `A=1\0CUT=${'c'.repeat(92)}`;
    const gap = '\0'.repeat(4096);
    const behind = 'rest=of it\0B=2\0';
    expect(before).toHaveLength(100);
    const where = { pageOffset: 3996, absent: 0b10 };
    expect(select(before + gap + behind, ['A', 'CUT', 'rest', 'B'], where)).toEqual({ A: '1', B: '2' });
  });

  test('nothing, when no page was read', () => {
    expect(select('\0'.repeat(100), ['A'], { absent: 1 })).toEqual({});
  });
});
