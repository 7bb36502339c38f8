import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { ExecEvent } from '../../../src/schemas/exec-event.ts';
import { siemDocument } from '../../../src/siem/document.ts';
import { type Detection, matches } from '../../support/siem/sigma-rule.ts';
import { plainExec } from './execs.ts';

interface Rule {
  readonly title: string;
  readonly detection: Detection;
  readonly hit: Partial<ExecEvent>;
  readonly miss: Partial<ExecEvent>;
}

const rules = parse(readFileSync(join(import.meta.dirname, 'sigma-rules.yml'), 'utf8')) as readonly Rule[];
const documentOf = (changed: Partial<ExecEvent>) => siemDocument('sigma', 'exec', { ...plainExec, ...changed });

describe('rules over documents', () => {
  test.each(rules)('$title', ({ detection, hit, miss }) => {
    expect(matches(detection, documentOf(hit))).toBe(true);
    expect(matches(detection, documentOf(miss))).toBe(false);
  });

  test('no rule but its own hits an ordinary exec', () => {
    expect(rules.filter(({ detection }) => matches(detection, documentOf({})))).toEqual([]);
  });
});

describe('the language of rules', () => {
  const meets = (detection: Detection, document: Record<string, unknown>) => matches(detection, document);
  test('case does not matter, * and ? are wildcards unless a backslash is before them', () => {
    const one = (value: string, actual: string) => meets({ s: { A: value }, condition: 's' }, { A: actual });
    expect([one('/BIN/*sh', '/bin/dash'), one('a?c', 'abc'), one('a?c', 'ac'), one('a.c', 'abc')]).toEqual([
      ...[true, true, false, false],
    ]);
    expect([one('a\\*', 'a*'), one('a\\*', 'ab'), one('a\\\\b', 'a\\b')]).toEqual([true, false, true]);
  });

  test('not binds more than and, and more than or', () => {
    const holds = (condition: string) => meets({ t: { A: 'x' }, f: { A: 'y' }, condition }, { A: 'x' });
    expect(['t or f and f', '(t or f) and f', 'not f and t', 'not (f or t)', '1 of *'].map(holds)).toEqual([
      ...[true, false, true, false, true],
    ]);
    expect(() => holds('t and')).toThrow('there is no search');
    expect(() => holds('t f')).toThrow('left over');
    expect(() => meets({ s: { 'A|base64': 'x' }, condition: 's' }, { A: 'x' })).toThrow('base64 is not known');
  });
});
