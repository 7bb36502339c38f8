import type { Secret } from '../security.ts';
import { readSecret } from '../security-files.ts';
import { configError, matching, type Setting, setting } from '../setting.ts';
import { file, type GivenSettings, secretOf } from '../wire-settings.ts';

/** The token that opens the command lines on the live page. */

/** Stands in an address as it is. */
const form = /^[A-Za-z0-9._~-]{16,255}$/;
const allowed = '16 to 255 letters, digits, dots, dashes, underscores and tildes';

export const httpTokenRows = {
  httpToken: setting<string | undefined>({
    name: 'http-token',
    placeholder: 'TOKEN',
    secret: true,
    option: true,
    description: 'what opens the command lines on the live page; --http-token-file hides it from other users',
    fallbackText: 'made at random at each start',
    value: matching(allowed, form),
    fallback: () => undefined,
  }),
  httpTokenFile: file('http-token-file', 'file with that token, read at the start'),
} satisfies Record<string, Setting<string | undefined>>;

export const httpTokenNames = Object.keys(httpTokenRows) as (keyof typeof httpTokenRows)[];

/** As it is now. @throws Bpf2KafkaError ERR_CONFIG */
export function readHttpToken(given: GivenSettings): Extract<Secret, { kind: 'text' }> | undefined {
  const secret = secretOf(given, httpTokenRows.httpToken, httpTokenRows.httpTokenFile);
  if (secret === undefined || secret.kind === 'text') return secret;
  const { setting, path } = secret;
  const text = readSecret(secret);
  if (form.test(text)) return { kind: 'text', setting, text, path };
  const reason = `what it holds must be ${allowed}`;
  throw configError({
    operation: 'use',
    subject: `${setting} ${path}`,
    reason,
    remedy: 'make one: openssl rand -hex 24',
  });
}
