import { RE2JS, RE2JSSyntaxException } from 're2js';
import { reasonOf } from './errors.ts';

/** A pattern of a user's for secrets, in RE2's syntax: whatever the text, the time grows with its length only. */
export interface SecretPattern {
  /** As it was given. */
  readonly source: string;
  /** Whether the text has a match; without finding out where, which takes several times as long. */
  test(text: string): boolean;
  /**
   * The text with `***` in place of each match, or, where the pattern has a group `secret`, of what that matched.
   * Matches that touch become one.
   */
  hide(text: string): string;
}

/** What was read, or why it is no pattern. */
export type ParsedPattern = { readonly pattern: SecretPattern } | { readonly reason: string };

export const hidden = '***';

/**
 * A search goes on behind the match before, and each may look at all the rest of the text: with so many matches the rest
 * is hidden without a look at it, so that the time stays in proportion.
 */
const mostMatches = 32;

export function parseSecretPattern(source: string): ParsedPattern {
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(source);
  } catch (error) {
    return { reason: reasonWith(error, source) };
  }
  if (compiled.test('')) return { reason: 'this one matches the empty text, and so everything' };
  const group = Object.hasOwn(compiled.namedGroups(), 'secret') ? 'secret' : 0;
  return {
    pattern: {
      source,
      test: (text) => compiled.test(text),
      hide: (text) => hideMatches(compiled, text, group),
    },
  };
}

function hideMatches(compiled: RE2JS, text: string, group: 'secret' | 0): string {
  const matcher = compiled.matcher(text);
  let shown = '';
  let end = 0;
  for (let matches = 0; matcher.find(); matches += 1) {
    if (matches === mostMatches) return shown + hidden;
    const from = matcher.start(group);
    const to = matcher.end(group);
    // The group took no part, or is empty.
    if (from < 0 || from === to) continue;
    if (from > end || end === 0) shown += text.slice(end, from) + hidden;
    end = to;
  }
  return shown + text.slice(end);
}

/** The library says what is wrong and quotes the part; where that stands is for us to find. */
function reasonWith(error: unknown, source: string): string {
  if (!(error instanceof RE2JSSyntaxException)) return reasonOf(error);
  const what = error.getDescription();
  const part = error.getPattern();
  return part === null || part === source
    ? `at character ${firstWrong(source, what) + 1}: ${what}`
    : `at character ${source.indexOf(part) + 1}: ${what} ${JSON.stringify(part)}`;
}

/** Index of the first character with which the pattern is wrong in this way; its length when something is missing. */
function firstWrong(source: string, what: string): number {
  if (what.startsWith('missing') && what.includes('closing')) return source.length;
  for (let length = 1; length < source.length; length += 1) {
    try {
      RE2JS.compile(source.slice(0, length));
    } catch (error) {
      if (error instanceof RE2JSSyntaxException && error.getDescription() === what) return length - 1;
    }
  }
  return source.length - 1;
}
