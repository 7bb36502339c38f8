import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AclEntry, Kafka, logLevel } from 'kafkajs';
import { chooseFreePort } from '../../src/embedded-kafka/free-port.ts';
import { type Certificate, TestAuthority } from './certificates.ts';
import { startKafka, type TestKafka } from './kafka.ts';
import { setScramPassword } from './scram-user.ts';

export type Listener = 'tls' | 'mtls' | 'plain' | 'scram' | 'oauth';

const protocols = { tls: 'SSL', mtls: 'SSL', plain: 'SASL_SSL', scram: 'SASL_SSL', oauth: 'SASL_SSL' } as const;
const names = Object.keys(protocols) as Listener[];

export const user = 'sidecar';
export const password = 'open-sesame-1';
const audience = 'kafka';
const issuer = 'https://identity.test';

/** A real broker with a listener for each way to secure one, beside the one without, for readers that are not ours. */
export class SecureKafka implements AsyncDisposable {
  readonly kafka: TestKafka;
  readonly authority: TestAuthority;
  /** Of the client, from the same authority. */
  readonly client: Certificate;
  readonly directory: string;
  readonly #ports: Readonly<Record<Listener, number>>;
  readonly #signer: TokenSigner;

  private constructor(parts: {
    kafka: TestKafka;
    authority: TestAuthority;
    client: Certificate;
    directory: string;
    ports: Readonly<Record<Listener, number>>;
    signer: TokenSigner;
  }) {
    this.kafka = parts.kafka;
    this.authority = parts.authority;
    this.client = parts.client;
    this.directory = parts.directory;
    this.#ports = parts.ports;
    this.#signer = parts.signer;
  }

  static async start(): Promise<SecureKafka> {
    const directory = await mkdtemp(join(tmpdir(), 'bpf2kafka-test-secure-'));
    const authority = await TestAuthority.create(directory, 'authority');
    const broker = await authority.issue('broker', { names: 'IP:127.0.0.1' });
    const client = await authority.issue('client');
    const signer = new TokenSigner();
    const keys = join(directory, 'jwks.json');
    await writeFile(keys, JSON.stringify({ keys: [signer.publicKey] }));
    const ports = Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await chooseFreePort()] as const)),
    ) as Record<Listener, number>;
    const port = await chooseFreePort();
    const properties = await propertiesOf({ port, ports, authority, broker, keys, directory });
    const kafka = await startKafka({
      properties,
      port,
      jvmArguments: [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://${keys}`],
    });
    const secure = new SecureKafka({ kafka, authority, client, directory, ports, signer });
    await secure.setPassword(password);
    return secure;
  }

  brokers(listener: Listener, host = '127.0.0.1'): string {
    return `${host}:${this.#ports[listener]}`;
  }

  /** What the user of SCRAM logs in with from now on, with both mechanisms. */
  async setPassword(text: string): Promise<void> {
    await setScramPassword(this.kafka.port, user, text);
  }

  /** From the first rule about a resource on, nobody else may anything there. */
  async allow(rules: readonly AclEntry[]): Promise<void> {
    const admin = new Kafka({ brokers: [this.kafka.brokers], clientId: 'test', logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    try {
      await admin.createAcls({ acl: [...rules] });
    } finally {
      await admin.disconnect();
    }
  }

  /** A token that the broker takes for so long, seconds. */
  token(seconds: number): string {
    return this.#signer.sign({ iss: issuer, sub: user, aud: audience, iat: now(), exp: now() + seconds });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kafka[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}

const now = () => Math.floor(Date.now() / 1_000);

/** Signs tokens (RFC 7519) as an identity provider does. */
class TokenSigner {
  readonly #keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  get publicKey(): object {
    return { ...this.#keys.publicKey.export({ format: 'jwk' }), kid: 'test', alg: 'ES256', use: 'sig' };
  }

  sign(claims: object): string {
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
    const signed = `${encode({ alg: 'ES256', typ: 'JWT', kid: 'test' })}.${encode(claims)}`;
    const signature = sign('sha256', Buffer.from(signed), { key: this.#keys.privateKey, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  }
}

async function propertiesOf(parts: {
  port: number;
  ports: Readonly<Record<Listener, number>>;
  authority: TestAuthority;
  broker: Certificate;
  keys: string;
  directory: string;
}): Promise<Record<string, string>> {
  const { port, ports, authority, broker, keys, directory } = parts;
  const controller = await chooseFreePort();
  const store = join(directory, 'broker-store.pem');
  const chain = [broker.key, broker.certificate, authority.certificate];
  await writeFile(store, (await Promise.all(chain.map((path) => readFile(path, 'utf8')))).join(''));
  const addresses = [`PLAINTEXT://127.0.0.1:${port}`, ...names.map((name) => `${name}://127.0.0.1:${ports[name]}`)];
  const login = 'org.apache.kafka.common.security';
  return {
    listeners: [...addresses, `CONTROLLER://127.0.0.1:${controller}`].join(','),
    'advertised.listeners': addresses.join(','),
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    'listener.security.protocol.map': [
      'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      ...names.map((name) => `${name}:${protocols[name]}`),
    ].join(','),
    // Who comes without a name may do everything, and everybody may what no rule is about.
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:ANONYMOUS',
    'allow.everyone.if.no.acl.found': 'true',
    'inter.broker.listener.name': 'PLAINTEXT',
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': store,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': authority.certificate,
    'listener.name.mtls.ssl.client.auth': 'required',
    'listener.name.plain.sasl.enabled.mechanisms': 'PLAIN',
    'listener.name.plain.plain.sasl.jaas.config': `${login}.plain.PlainLoginModule required user_${user}="${password}";`,
    'listener.name.scram.sasl.enabled.mechanisms': 'SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.scram.scram-sha-256.sasl.jaas.config': `${login}.scram.ScramLoginModule required;`,
    'listener.name.scram.scram-sha-512.sasl.jaas.config': `${login}.scram.ScramLoginModule required;`,
    // Those who are connected must log in again within this time.
    'listener.name.scram.connections.max.reauth.ms': '12000',
    'listener.name.oauth.sasl.enabled.mechanisms': 'OAUTHBEARER',
    'listener.name.oauth.oauthbearer.sasl.jaas.config': `${login}.oauthbearer.OAuthBearerLoginModule required;`,
    'listener.name.oauth.oauthbearer.sasl.server.callback.handler.class': `${login}.oauthbearer.OAuthBearerValidatorCallbackHandler`,
    'listener.name.oauth.sasl.oauthbearer.jwks.endpoint.url': `file://${keys}`,
    'listener.name.oauth.sasl.oauthbearer.expected.audience': audience,
    'listener.name.oauth.sasl.oauthbearer.expected.issuer': issuer,
    'listener.name.oauth.connections.max.reauth.ms': '3600000',
  };
}
