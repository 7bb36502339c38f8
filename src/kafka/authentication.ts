import kafkajs, { type AuthenticationProviderArgs, type KafkaConfig } from 'kafkajs';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { BrokerSecurity, Sasl } from '../security.ts';
import { readableByOthers, readSecret, readTls } from '../security-files.ts';
import { OauthToken, readToken } from './oauth-token.ts';
import type { TlsOptions } from './sockets.ts';

type SaslConfig = NonNullable<KafkaConfig['sasl']>;

export interface Authentication {
  /** Called for each connection; undefined for plain text. */
  readonly tls: (() => TlsOptions) | undefined;
  /** For kafkajs, which asks it for the password or the token each time it authenticates. */
  readonly sasl: SaslConfig | undefined;
}

/**
 * How a client proves who it is and whom it believes. Every file is read once now, so that a wrong one is told at the
 * start, and again with each connection.
 * @throws Bpf2KafkaError ERR_CONFIG
 */
export function createAuthentication({ tls, sasl }: BrokerSecurity, clock: Clock, log: Log): Authentication {
  if (tls !== undefined) readTls(tls);
  if (sasl !== undefined) checkSasl(sasl);
  warn({ tls, sasl }, log);
  return {
    tls: tls && (() => readTls(tls)),
    sasl: sasl && saslOptions(sasl, clock, log),
  };
}

function checkSasl(sasl: Sasl): void {
  if (sasl.mechanism !== 'OAUTHBEARER') return void readSecret(sasl.password);
  const { token } = sasl;
  if (token.kind === 'file') return void readToken(token);
  readSecret(token.clientSecret);
  readTls(token.tls);
}

function warn({ tls, sasl }: BrokerSecurity, log: Log): void {
  const secrets =
    sasl === undefined
      ? []
      : sasl.mechanism !== 'OAUTHBEARER'
        ? [sasl.password]
        : [sasl.token.kind === 'file' ? sasl.token : sasl.token.clientSecret];
  for (const path of readableByOthers([tls?.client?.key, tls?.client?.keyPassword, ...secrets])) {
    log.warn({ path }, 'every user of this host may read this file, and it holds a secret: chmod o-r');
  }
  if (tls === undefined && (sasl?.mechanism === 'PLAIN' || sasl?.mechanism === 'OAUTHBEARER')) {
    log.warn({ mechanism: sasl.mechanism }, 'the secret goes over the network as it is: give --tls');
  }
}

function saslOptions(sasl: Sasl, clock: Clock, log: Log): SaslConfig {
  if (sasl.mechanism === 'OAUTHBEARER') {
    const token = new OauthToken(sasl.token, clock, log);
    return { mechanism: sasl.mechanism, authenticationProvider: oauthBearer(token) };
  }
  const { username, password } = sasl;
  const login = {
    username,
    get password() {
      return readSecret(password);
    },
  };
  switch (sasl.mechanism) {
    case 'PLAIN':
      return Object.assign(login, { mechanism: 'plain' } as const);
    case 'SCRAM-SHA-256':
      return Object.assign(login, { mechanism: 'scram-sha-256' } as const);
    case 'SCRAM-SHA-512':
      return Object.assign(login, { mechanism: 'scram-sha-512' } as const);
  }
}

/**
 * RFC 7628. kafkajs has it, too, and takes any answer for success, so that a refused token shows as a broker that hangs
 * up later (src/broker/saslAuthenticator/oauthBearer.js).
 */
function oauthBearer(token: OauthToken) {
  return ({ saslAuthenticate }: AuthenticationProviderArgs) => ({
    authenticate: async (): Promise<void> => {
      const message = Buffer.from(`n,,\x01auth=Bearer ${await token.value()}\x01\x01`);
      const refusal = await saslAuthenticate({
        request: { encode: () => lengthPrefixed(message) },
        response: { decode: (answer) => answer, parse: (answer) => answer.subarray(4).toString() },
      });
      // Who is let in is answered with nothing (section 3.2.1), who is not with a reason as JSON (3.2.2).
      if (!refusal) return;
      const error = new kafkajs.KafkaJSNonRetriableError(`OAUTHBEARER: ${statusIn(refusal)}`);
      throw Object.assign(error, { type: 'SASL_AUTHENTICATION_FAILED' });
    },
  });
}

function lengthPrefixed(message: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(message.length);
  return Buffer.concat([length, message]);
}

function statusIn(refusal: string): string {
  return /"status":"([a-z_]{1,40})"/.exec(refusal)?.[1] ?? 'the token is refused';
}
