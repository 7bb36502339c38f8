import type { Clock } from '../clock.ts';
import { Bpf2KafkaError, reasonOf } from '../errors.ts';
import { basicAuthorization, httpRequest } from '../http-request.ts';
import type { Log } from '../log.ts';
import type { TokenEndpoint, TokenFile } from '../security.ts';
import { readSecret } from '../security-files.ts';

const requestMillis = 5_000;
/** A token is fetched anew when this part of its life is left, and no later than so many milliseconds before its end. */
const renewedPart = 0.2;
const renewedMillis = 15_000;

interface Token {
  readonly value: string;
  /** Times on the clock of elapsed milliseconds: neither depends on what the wall clock of this host says. */
  readonly renewAt: number;
  readonly endsAt: number;
}

/**
 * The token of OAUTHBEARER. One from a file is read each time that a connection asks for it; one of an endpoint is kept
 * and fetched again well before its end, for all connections at once.
 */
export class OauthToken {
  readonly #source: TokenFile | TokenEndpoint;
  readonly #clock: Clock;
  readonly #log: Log;
  #token: Token | undefined;
  #fetching: Promise<Token> | undefined;

  constructor(source: TokenFile | TokenEndpoint, clock: Clock, log: Log) {
    this.#source = source;
    this.#clock = clock;
    this.#log = log;
  }

  /** @throws Bpf2KafkaError ERR_CONFIG for a file that cannot be used, ERR_BROKER when the endpoint gives none */
  async value(): Promise<string> {
    const source = this.#source;
    if (source.kind === 'file') return readToken(source);
    const kept = this.#token;
    if (kept !== undefined && this.#clock.elapsedMillis() < kept.renewAt) return kept.value;
    try {
      this.#fetching ??= this.#fetch(source).finally(() => {
        this.#fetching = undefined;
      });
      this.#token = await this.#fetching;
    } catch (error) {
      if (kept === undefined || this.#clock.elapsedMillis() >= kept.endsAt) throw error;
      this.#log.warn({ reason: reasonOf(error) }, 'the token is not renewed yet; the one before is still good');
      return kept.value;
    }
    return this.#token.value;
  }

  async #fetch(endpoint: TokenEndpoint): Promise<Token> {
    const asked = this.#clock.elapsedMillis();
    const { value, lifeMillis } = await fetchToken(endpoint);
    const margin = Math.max(lifeMillis * renewedPart, renewedMillis);
    return { value, renewAt: asked + lifeMillis - margin, endsAt: asked + lifeMillis };
  }
}

export function readToken(file: TokenFile): string {
  const token = readSecret(file);
  if (isToken(token)) return token;
  throw new Bpf2KafkaError('ERR_CONFIG', {
    operation: 'use',
    subject: `${file.setting} ${file.path}`,
    reason: 'it holds no token (RFC 6750)',
    remedy: 'leave only the token in it',
  });
}

async function fetchToken(endpoint: TokenEndpoint): Promise<{ value: string; lifeMillis: number }> {
  const { url, clientId, clientSecret, scope, tls } = endpoint;
  let status: number;
  let text: string;
  try {
    ({ status, text } = await httpRequest(url, {
      method: 'POST',
      headers: {
        // RFC 6749, section 2.3.1: both are encoded first.
        authorization: basicAuthorization(encodeURIComponent(clientId), encodeURIComponent(readSecret(clientSecret))),
        'content-type': 'application/x-www-form-urlencoded',
        accept: 'application/json',
      },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        ...(scope === undefined ? {} : { scope }),
      }).toString(),
      tls,
      timeoutMillis: requestMillis,
    }));
  } catch (error) {
    if (error instanceof Bpf2KafkaError) throw error;
    throw noToken(endpoint, reasonOf(error), {
      remedy: 'check --sasl-oauthbearer-token-endpoint-url, and --sasl-oauthbearer-ca-file when it is https',
      cause: error,
    });
  }
  const answer = parseAnswer(text);
  if (status >= 400) {
    // Nothing else of the answer: who sends it may repeat what it was sent.
    const code = typeof answer.error === 'string' && /^[a-z_]{1,40}$/.test(answer.error) ? ` (${answer.error})` : '';
    throw noToken(endpoint, `it refuses with ${status}${code}`, {
      remedy: `check --sasl-oauthbearer-client-id, ${clientSecret.setting} and --sasl-oauthbearer-scope`,
    });
  }
  const { access_token: value, expires_in: seconds } = answer;
  if (typeof value !== 'string' || !isToken(value)) {
    throw noToken(endpoint, `its answer (${status}) holds no access_token`, {
      remedy: 'check that --sasl-oauthbearer-token-endpoint-url is the address for tokens',
    });
  }
  // Without a life it is used once: nobody knows for how long it is good.
  return { value, lifeMillis: Number.isFinite(Number(seconds)) ? Math.max(0, Number(seconds)) * 1_000 : 0 };
}

function parseAnswer(text: string): { readonly [name: string]: unknown } {
  try {
    return (JSON.parse(text) as { [name: string]: unknown } | null) ?? {};
  } catch {
    return {};
  }
}

/** Anything else could end its field in the message to the broker. */
function isToken(text: string): boolean {
  return /^[A-Za-z0-9._~+/-]+=*$/.test(text);
}

function noToken(
  { url }: TokenEndpoint,
  reason: string,
  { remedy, cause }: { readonly remedy: string; readonly cause?: unknown },
): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_BROKER', { operation: 'get a token from', subject: url, reason, remedy, cause });
}
