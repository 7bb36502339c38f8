import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseSecretPattern, type SecretPattern } from '../../src/secret-pattern.ts';

function pattern(source: string): SecretPattern {
  const parsed = parseSecretPattern(source);
  if ('reason' in parsed) throw new Error(parsed.reason);
  return parsed.pattern;
}

describe('a pattern for secrets', () => {
  test.each([
    ['ACME-[0-9]{4}', 'id ACME-1234, ACME-5678.', 'id ***, ***.'],
    ['ACME-[0-9]{4}', 'nothing', 'nothing'],
    ['ACME-[0-9]{4}', 'ACME-1234ACME-5678', '***'],
    ['key=(?P<secret>\\S+)', 'key=abc key= key=d', 'key=*** key= key=***'],
    ['key=(?<secret>\\S+)', 'key=abc', 'key=***'],
    ['(key)=(\\S+)', 'key=abc', '***'],
    ['(?i)acme', 'x Acme y', 'x *** y'],
    ['a|(?P<secret>b)', 'abc', 'a***c'],
    ['é+', 'caféé au lait', 'caf*** au lait'],
  ])('%s hides its matches, or its group `secret`: %s', (source, text, hidden) => {
    expect(pattern(source).hide(text)).toBe(hidden);
    expect(pattern(source).test(text)).toBe(text !== hidden || source.startsWith('a|'));
  });

  test.each([
    ['*', 'at character 1: missing argument to repetition operator'],
    ['ab**', 'at character 3: invalid nested repetition operator "**"'],
    ['x(a', 'at character 4: missing closing )'],
    ['x)a)', 'at character 2: unexpected )'],
    ['x[a', 'at character 2: missing closing ] "[a"'],
    ['x*(?=y)', 'at character 3: invalid or unsupported Perl syntax "(?="'],
    ['(a)\\1', 'at character 4: invalid escape sequence "\\\\1"'],
    ['ab\\', 'at character 3: trailing backslash at end of expression'],
    ['x{1001}', 'at character 2: invalid repeat count "{1001}"'],
  ])('%s is refused, with the place', (source, reason) => {
    expect(parseSecretPattern(source)).toEqual({ reason });
  });

  test.each(['', 'a*', '(secret)?', '$'])('%j is refused: it matches everything', (source) => {
    expect(parseSecretPattern(source)).toEqual({ reason: 'this one matches the empty text, and so everything' });
  });

  test('takes time in proportion to the text, also where every match looks at all the rest', () => {
    const hostile = 'a'.repeat(32 * 1024);
    const begun = process.cpuUsage();
    expect(pattern('a.*b|a').hide(hostile)).toMatch(/^\*+$/);
    expect(pattern('(a+)+b|(a|aa)+c').hide(hostile)).toBe(hostile);
    // Without a bound on the matches the first alone takes minutes.
    expect(process.cpuUsage(begun).user).toBeLessThan(3_000_000);
  });

  test('leaves what it does not match as it is, and never makes more than three characters of one', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '-', ' ', 'é', '💡', '*') });
    fc.assert(
      fc.property(text, fc.constantFrom('a', 'ab+', 'a(?P<secret>b)', '[^a]{2}'), (given, source) => {
        const { test: matches, hide } = pattern(source);
        const shown = hide(given);
        if (!matches(given)) expect(shown).toBe(given);
        expect(shown.length).toBeLessThanOrEqual(3 * given.length);
      }),
    );
  });
});
