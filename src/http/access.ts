import { createHash, timingSafeEqual } from 'node:crypto';

/** What a request may see: command lines, or all but them; undefined when it shows a token that is not ours. */
export type Access = { readonly withArgv: boolean } | undefined;

/** Where a request can carry a token: `?token=…` and the header `Authorization: Bearer …`. */
export interface ShownTokens {
  readonly query: unknown;
  readonly authorization: string | undefined;
}

/**
 * Who shows no token sees no command line; who shows a wrong one, in either place, is told so instead of being left to
 * wonder.
 */
export function accessOf({ query, authorization }: ShownTokens, token: string): Access {
  const shown: unknown[] = [];
  if (query !== undefined) shown.push(query);
  if (authorization !== undefined) shown.push(/^Bearer +(\S+) *$/i.exec(authorization)?.[1]);
  if (!shown.every((text) => typeof text === 'string' && isEqual(text, token))) return undefined;
  return { withArgv: shown.length > 0 };
}

/** In a time that tells nothing of where they differ, nor of their lengths. */
function isEqual(shown: string, token: string): boolean {
  return timingSafeEqual(digestOf(shown), digestOf(token));
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
