import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from 'kafkajs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createKafkaClient } from '../../src/kafka/client.ts';
import { createLog } from '../../src/log.ts';
import { whyNoCapture } from '../support/capture.ts';
import { type Certificate, TestAuthority } from '../support/certificates.ts';
import { readTopic } from '../support/kcat.ts';
import { oneStormAtATime } from '../support/one-storm-at-a-time.ts';
import { type Listener, password, SecureKafka, user } from '../support/secure-kafka.ts';
import { CommandProcess, SidecarPlace } from '../support/sidecar.ts';
import { compare, startStorm } from '../support/storm.ts';
import { TokenServer } from '../support/token-server.ts';
import { waitFor } from '../support/wait-for.ts';

const clientSecret = 'client-secret-1';
const ringForAnOutage = ['--exec-ring-bytes', String(32 * 1024 * 1024)];

let secure: SecureKafka;
let tls: string[];
let files = 0;

beforeAll(async () => {
  secure = await SecureKafka.start();
  tls = ['--tls', '--tls-ca-file', secure.authority.certificate];
});
afterAll(async () => {
  await secure?.[Symbol.asyncDispose]();
});

async function file(content: string, mode = 0o600): Promise<string> {
  files += 1;
  const path = join(secure.directory, `file-${files}`);
  await writeFile(path, content, { mode });
  return path;
}

const certificateFlags = ({ certificate, key }: Certificate) => ['--tls-cert-file', certificate, '--tls-key-file', key];

const login = (mechanism: string, passwordFile: string) => [
  ...['--sasl-mechanism', mechanism, '--sasl-username', user],
  ...['--sasl-password-file', passwordFile],
];

async function endpointFlags(server: TokenServer): Promise<string[]> {
  return [
    ...[...tls, '--sasl-mechanism', 'OAUTHBEARER', '--sasl-oauthbearer-token-endpoint-url', server.url],
    ...['--sasl-oauthbearer-client-id', 'sidecar', '--sasl-oauthbearer-client-secret-file', await file(clientSecret)],
  ];
}

const tokenServer = (seconds: number) =>
  TokenServer.listen(() => ({ body: JSON.stringify({ access_token: secure.token(seconds), expires_in: seconds }) }));

async function audit(listener: Listener, prefix: string, flags: readonly string[]): Promise<void> {
  const brokers = secure.brokers(listener);
  await using command = new CommandProcess(['audit', '--brokers', brokers, '--topic-prefix', prefix, ...flags]);
  expect([await command.exit(), command.errors, command.lines.at(-1)]).toEqual([0, '', expect.any(String)]);
}

async function findAll(tokens: ReadonlySet<string>, prefix: string): Promise<ReturnType<typeof compare>> {
  return compare(tokens, await readTopic(secure.kafka.brokers, `${prefix}exec-events`));
}

describe('over a listener that is secured', { timeout: 180_000 }, () => {
  beforeEach(({ skip }) => {
    const reason = whyNoCapture();
    skip(reason !== undefined, reason);
  });
  oneStormAtATime();

  async function publishAndAudit(listener: Listener, name: string, flags: readonly string[]): Promise<string> {
    await using place = await SidecarPlace.create(name);
    const prefix = `${name}.`;
    await using sidecar = await place.run(
      secure.brokers(listener),
      ...['--create-topics', '--topic-prefix', prefix, '--log-level', 'debug', ...flags],
    );
    const storm = startStorm({ count: 300 });
    await storm.ended;
    expect(await sidecar.end('SIGTERM')).toBe(0);
    expect(await findAll(storm.tokens, prefix)).toEqual({ missing: [], found: 300, repeated: 0 });
    await audit(listener, prefix, flags);
    for (const secret of [password, clientSecret]) expect(sidecar.errors).not.toContain(secret);
    return sidecar.errors;
  }

  it('with TLS, execs are published and the account closes', async () => {
    await publishAndAudit('tls', 'tls', tls);
  });

  it('with a certificate of the client', async () => {
    await publishAndAudit('mtls', 'mtls', [...tls, ...certificateFlags(secure.client)]);
  });

  it('with PLAIN, and a warning that others may read the password', async () => {
    const path = await file(password, 0o644);
    const log = await publishAndAudit('plain', 'plain', [...tls, ...login('PLAIN', path)]);
    expect(log).toMatch(new RegExp(`"path":"${path}".*every user of this host may read this file`));
  });

  it('with SCRAM-SHA-256', async () => {
    await publishAndAudit('scram', 'scram256', [...tls, ...login('SCRAM-SHA-256', await file(`${password}\n`))]);
  });

  it('with SCRAM-SHA-512 from a configuration file, also read by tail', async () => {
    const config = await file(
      [
        'tls: true',
        `tls-ca-file: ${secure.authority.certificate}`,
        'sasl-mechanism: SCRAM-SHA-512',
        `sasl-username: ${user}`,
        `sasl-password: ${password}`,
      ].join('\n'),
    );
    await publishAndAudit('scram', 'scram512', ['--config', config]);
    const words = ['tail', 'exec', '--from-beginning', '--limit', '1', '--config', config];
    const place = ['--brokers', secure.brokers('scram'), '--topic-prefix', 'scram512.'];
    await using tail = new CommandProcess([...words, ...place]);
    expect([await tail.exit(), tail.lines]).toEqual([0, [expect.stringContaining(' pid: ')]]);
  });

  it('with a token of OAUTHBEARER from a file', async () => {
    const path = await file(secure.token(600));
    const flags = [...tls, '--sasl-mechanism', 'OAUTHBEARER', '--sasl-oauthbearer-token-file', path];
    expect(await publishAndAudit('oauth', 'token', flags)).not.toContain((await readFile(path, 'utf8')).slice(-40));
  });

  it('with tokens of an endpoint that end while it publishes: it logs in again and nothing fails', async () => {
    // The client renews one that has less than 15 s to live, and logs in again 10 s before the end of a session.
    await using server = await tokenServer(13);
    await using place = await SidecarPlace.create('endpoint');
    const flags = await endpointFlags(server);
    const run = ['--create-topics', '--topic-prefix', 'endpoint.', ...ringForAnOutage, ...flags];
    await using sidecar = await place.run(secure.brokers('oauth'), ...run);
    const before = server.requests.length;
    const storm = startStorm({ count: 4_000, rate: 400 });
    await waitFor(() => server.requests.length >= before + 4, { what: 'four more tokens', timeout: 30_000 });
    await storm.ended;
    expect(await sidecar.end('SIGTERM')).toBe(0);
    expect(await findAll(storm.tokens, 'endpoint.')).toEqual({ missing: [], found: 4_000, repeated: 0 });
    expect(sidecar.errors).not.toContain('not acknowledged');
    await audit('oauth', 'endpoint.', flags);
  });

  it('a password that is changed is waited for, and the new one needs no restart', async () => {
    await using place = await SidecarPlace.create('changed');
    const path = await file(password);
    const flags = [...tls, ...login('SCRAM-SHA-512', path)];
    const run = ['--create-topics', '--topic-prefix', 'changed.', ...ringForAnOutage, ...flags];
    await using sidecar = await place.run(secure.brokers('scram'), ...run);
    await secure.setPassword('another-1');
    const storm = startStorm({ count: 2_000, rate: 200 });
    try {
      // Told when the broker asks those who are connected to log in again (connections.max.reauth.ms).
      await waitFor(() => sidecar.errors.includes('the broker refuses the login'), {
        what: 'the login is refused',
        timeout: 30_000,
      });
      expect(sidecar.errors).toMatch(/check --sasl-username and --sasl-password-file/);
      expect(sidecar.errors).not.toContain('the broker acknowledges again');
      await writeFile(path, 'another-1');
      await waitFor(() => sidecar.errors.includes('the broker acknowledges again'), {
        what: 'the new password is in use',
        timeout: 40_000,
      });
      await storm.ended;
      expect(await sidecar.end('SIGTERM')).toBe(0);
      await audit('scram', 'changed.', flags);
      expect(await findAll(storm.tokens, 'changed.')).toMatchObject({ missing: [], found: 2_000 });
      for (const secret of [password, 'another-1']) expect(sidecar.errors).not.toContain(secret);
    } finally {
      await secure.setPassword(password);
    }
  });

  it('a host that may write and describe publishes; reading takes other rights', async () => {
    const topics = ['exec-events', 'exit-events', 'bpf2kafka-ledger', 'bpf2kafka-dead-letter', 'bpf2kafka-hosts'].map(
      (topic) => `rights.${topic}`,
    );
    for (const topic of topics) await secure.kafka.createTopic(topic);
    const { READ, WRITE, DESCRIBE, DELETE } = AclOperationTypes;
    const rule = (principal: string, operation: AclOperationTypes, topic: string) => ({
      ...{ principal: `User:${principal}`, operation, host: '*', permissionType: AclPermissionTypes.ALLOW },
      ...{
        resourceType: AclResourceTypes.TOPIC,
        resourceName: topic,
        resourcePatternType: ResourcePatternTypes.LITERAL,
      },
    });
    const auditor = 'CN=client';
    const group = {
      ...{ resourceType: AclResourceTypes.GROUP, resourceName: 'bpf2kafka-' },
      resourcePatternType: ResourcePatternTypes.PREFIXED,
    };
    await secure.allow([
      ...topics.flatMap((topic) => [WRITE, DESCRIBE].map((operation) => rule(user, operation, topic))),
      ...topics.flatMap((topic) => [READ, DESCRIBE].map((operation) => rule(auditor, operation, topic))),
      ...[READ, DELETE].map((operation) => ({ ...rule(auditor, operation, ''), ...group })),
    ]);
    await using place = await SidecarPlace.create('rights');
    const host = [...tls, ...login('PLAIN', await file(password)), '--topic-prefix', 'rights.'];
    await using sidecar = await place.run(secure.brokers('plain'), ...host);
    const storm = startStorm({ count: 100 });
    await storm.ended;
    const warned = expect.stringContaining('topic settings may not be read (DESCRIBE_CONFIGS)') as string;
    expect([await sidecar.end('SIGTERM'), sidecar.errors]).toEqual([0, warned]);
    expect(await findAll(storm.tokens, 'rights.')).toEqual({ missing: [], found: 100, repeated: 0 });

    await using refused = new CommandProcess(['audit', '--brokers', secure.brokers('plain'), ...host]);
    expect([await refused.exit(), refused.errors]).toEqual([
      4,
      expect.stringMatching(/^bpf2kafka: [^\n]*grant READ on groups that begin with bpf2kafka-[^\n]*\n$/),
    ]);
    await audit('mtls', 'rights.', [...tls, ...certificateFlags(secure.client)]);
  });

  it('a run that is refused at its start leaves nothing in the kernel', async () => {
    await using place = await SidecarPlace.create('refused');
    const flags = [...tls, ...login('PLAIN', await file('wrong'))];
    await using run = new CommandProcess(['run', '--brokers', secure.brokers('plain'), ...place.flags, ...flags], {
      BPF2KAFKA_LOG_LEVEL: 'silent',
    });
    expect(await run.exit()).toBe(4);
    expect(run.errors).toMatch(/^bpf2kafka: [^\n]*refuses the login[^\n]*check --sasl-username[^\n]*\n$/);
    expect(existsSync(place.pinPath)).toBe(false);
  });
});

describe('what is refused is said in one line with its remedy', () => {
  let stranger: Certificate;
  let strangers: TestAuthority;
  let expired: Certificate;
  beforeAll(async () => {
    strangers = await TestAuthority.create(secure.directory, 'strangers');
    stranger = await strangers.issue('stranger');
    expired = await secure.authority.issue('expired', { days: -1 });
  });

  interface Refused {
    readonly title: string;
    readonly listener: Listener | 'open';
    readonly host?: string;
    readonly flags: () => string[] | Promise<string[]>;
    readonly code: number;
    readonly says: RegExp;
  }

  const scram = async (text: string) => [...tls, ...login('SCRAM-SHA-512', await file(text))];
  const missing = '/nowhere/password';
  const cases: Refused[] = [
    {
      title: 'a wrong password',
      listener: 'scram',
      flags: () => scram('wrong'),
      code: 4,
      says: /refuses the login \(.*invalid credentials.*\); check --sasl-username and --sasl-password-file/,
    },
    {
      title: 'a wrong token',
      listener: 'oauth',
      flags: async () => [
        ...[...tls, '--sasl-mechanism', 'OAUTHBEARER'],
        ...['--sasl-oauthbearer-token-file', await file(`${secure.token(600).slice(0, -8)}AAAAAAAA`)],
      ],
      code: 4,
      says: /refuses the login \(OAUTHBEARER: invalid_token\); check --sasl-oauthbearer-token-file/,
    },
    {
      title: 'an unknown authority',
      listener: 'tls',
      flags: () => ['--tls', '--tls-ca-file', strangers.certificate],
      code: 4,
      says: /shows a certificate that is not trusted .*; give the authority that signed it with --tls-ca-file/,
    },
    {
      title: 'a certificate of another name',
      listener: 'tls',
      host: 'localhost',
      flags: () => tls,
      code: 4,
      says: /shows a certificate for another name .*localhost.*; connect by a name that is in the certificate/,
    },
    {
      title: 'no certificate of the client',
      listener: 'mtls',
      flags: () => tls,
      code: 4,
      says: /wants a certificate of this client .*; give --tls-cert-file and --tls-key-file/,
    },
    {
      title: 'a certificate of the client that nobody knows',
      listener: 'mtls',
      flags: () => [...tls, ...certificateFlags(stranger)],
      code: 4,
      says: /refuses this client's certificate .*stranger\.pem; have it signed by an authority that is trusted there/,
    },
    {
      title: 'a certificate of the client that has expired',
      listener: 'mtls',
      flags: () => [...tls, ...certificateFlags(expired)],
      code: 4,
      says: /refuses this client's certificate .*expired\.pem has expired on .*; put a new one into the file/,
    },
    {
      title: 'plain text to a listener with TLS',
      listener: 'tls',
      flags: () => [],
      code: 4,
      says: /the listener speaks TLS; give --tls/,
    },
    {
      title: 'TLS to a listener without',
      listener: 'open',
      flags: () => tls,
      code: 4,
      says: /before secure TLS connection was established; check that the listener speaks TLS/,
    },
    {
      title: 'no login where one is wanted',
      listener: 'scram',
      flags: () => tls,
      code: 4,
      says: /Closed connection; check that it runs, and give --sasl-mechanism when its listener wants a login/,
    },
    {
      title: 'a login where none is wanted',
      listener: 'tls',
      flags: () => scram(password),
      code: 4,
      says: /the listener wants no login; leave --sasl-mechanism out/,
    },
    {
      title: 'a mechanism that is not offered',
      listener: 'scram',
      flags: async () => [...tls, ...login('PLAIN', await file(password))],
      code: 4,
      says: /does not offer the login PLAIN; give --sasl-mechanism one of its sasl\.enabled\.mechanisms/,
    },
    {
      title: 'a password that is not there',
      listener: 'scram',
      flags: () => [...tls, ...login('SCRAM-SHA-512', missing)],
      code: 2,
      says: /cannot use --sasl-password-file \/nowhere\/password: there is no such file; check the path/,
    },
  ];

  it.concurrent.each(cases)('$title', async ({ listener, host, flags, code, says }) => {
    const brokers = listener === 'open' ? secure.kafka.brokers : secure.brokers(listener, host);
    await using command = new CommandProcess(['audit', '--brokers', brokers, ...(await flags())]);
    expect([await command.exit(), command.errors]).toEqual([code, expect.stringMatching(says)]);
    expect(command.errors).toMatch(/^bpf2kafka: [^\n]+\n$/);
    for (const secret of [password, 'wrong']) expect(command.errors).not.toContain(secret);
  });
});

it('a certificate that is replaced is shown from the next connection on, by the same client', async () => {
  const [certificate, key] = [await file(''), await file('')];
  const put = async (from: Certificate) => {
    await writeFile(certificate, await readFile(from.certificate));
    await writeFile(key, await readFile(from.key));
  };
  await put(secure.client);
  const client = createKafkaClient({
    brokers: [secure.brokers('mtls')],
    clientId: 'test',
    security: {
      tls: {
        ca: { setting: '--tls-ca-file', path: secure.authority.certificate },
        client: {
          certificate: { setting: '--tls-cert-file', path: certificate },
          key: { setting: '--tls-key-file', path: key },
        },
      },
    },
    log: createLog('silent'),
  });
  const connect = async () => (await client.connectAdmin()).close();
  await connect();
  await put(await (await TestAuthority.create(secure.directory, 'foreigners')).issue('foreigner'));
  await expect(connect()).rejects.toThrow(/refuses this client's certificate/);
  await put(secure.client);
  await connect();
});
