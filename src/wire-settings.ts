import {
  type BrokerSecurity,
  passwordMechanisms,
  type RegistrySecurity,
  type Sasl,
  type Secret,
  type SettingFile,
  type TlsFiles,
  type TokenEndpoint,
  type TokenFile,
} from './security.ts';
import { configError, environmentName, matching, oneOf, path, type Setting, setting, text, toggle } from './setting.ts';

// ---- The rows ----

const none = (): undefined => undefined;

export function file(name: string, description: string, fallbackText?: string): Setting<string | undefined> {
  return setting<string | undefined>({
    name,
    placeholder: 'FILE',
    description,
    ...(fallbackText === undefined ? {} : { fallbackText }),
    value: path,
    fallback: none,
  });
}

/** Not on the command line, where every user of the host can read it; `NAME-file` is the row beside it. */
function secret(name: string, description: string): Setting<string | undefined> {
  return setting<string | undefined>({
    name,
    placeholder: 'SECRET',
    secret: true,
    description,
    value: matching('one line', /^[^\r\n\0]+$/),
    fallback: none,
  });
}

function word(name: string, placeholder: string, description: string): Setting<string | undefined> {
  return setting<string | undefined>({
    name,
    placeholder,
    description,
    value: matching('1 to 255 characters without control characters', /^[^\p{Cc}]{1,255}$/u),
    fallback: none,
  });
}

const tokenEndpointUrl = text('an http or https address without user and password', (given) => {
  const url = URL.parse(given);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
    ? given
    : undefined;
});

const ownAuthorities = 'the authorities that Node.js brings';

export const brokerRows = {
  tls: setting({ name: 'tls', description: 'connect to the brokers with TLS', value: toggle, fallback: () => false }),
  tlsCa: file('tls-ca-file', 'PEM file with the authorities to trust for the brokers', ownAuthorities),
  tlsCertificate: file('tls-cert-file', 'PEM file with the certificate to show to the brokers'),
  tlsKey: file('tls-key-file', 'PEM file with the key of that certificate'),
  tlsKeyPassword: secret('tls-key-password', 'password of the key'),
  tlsKeyPasswordFile: file('tls-key-password-file', 'file with the password of the key, when it has one'),
  saslMechanism: setting<Sasl['mechanism'] | undefined>({
    name: 'sasl-mechanism',
    placeholder: 'MECHANISM',
    description: `log in to the brokers with ${passwordMechanisms.join(', ')} or OAUTHBEARER`,
    value: oneOf(...passwordMechanisms, 'OAUTHBEARER'),
    fallback: none,
  }),
  saslUsername: word('sasl-username', 'NAME', 'user of PLAIN and SCRAM'),
  saslPassword: secret('sasl-password', 'password of PLAIN and SCRAM'),
  saslPasswordFile: file('sasl-password-file', 'file with the password of PLAIN and SCRAM'),
  tokenFile: file('sasl-oauthbearer-token-file', 'file with the token, read at each login'),
  tokenUrl: setting<string | undefined>({
    name: 'sasl-oauthbearer-token-endpoint-url',
    placeholder: 'URL',
    description: 'where to get a token for client credentials',
    value: tokenEndpointUrl,
    fallback: none,
  }),
  tokenClientId: word('sasl-oauthbearer-client-id', 'ID', 'client that asks for the token'),
  tokenClientSecret: secret('sasl-oauthbearer-client-secret', 'its secret'),
  tokenClientSecretFile: file('sasl-oauthbearer-client-secret-file', 'file with its secret'),
  tokenScope: word('sasl-oauthbearer-scope', 'SCOPE', 'scope of the token, when the endpoint wants one'),
  tokenCa: file('sasl-oauthbearer-ca-file', 'PEM file with the authorities to trust for the endpoint', ownAuthorities),
};

export const registryRows = {
  registryCa: file('registry-ca-file', 'PEM file with the authorities to trust for the registry', ownAuthorities),
  registryCertificate: file('registry-cert-file', 'PEM file with the certificate to show to the registry'),
  registryKey: file('registry-key-file', 'PEM file with the key of that certificate'),
  registryUsername: word('registry-username', 'NAME', 'user of the registry (basic authentication)'),
  registryPassword: secret('registry-password', 'password of that user'),
  registryPasswordFile: file('registry-password-file', 'file with the password of that user'),
};

type BrokerName = keyof typeof brokerRows;
type RegistryName = keyof typeof registryRows;
export const brokerSecurityNames = Object.keys(brokerRows) as BrokerName[];
export const registrySecurityNames = Object.keys(registryRows) as RegistryName[];

// ---- What they mean together ----

/** The settings of one command line, environment and file. */
export interface GivenSettings {
  /** @throws Bpf2KafkaError ERR_CONFIG */
  value<Value>(row: Setting<Value>): Value;
  /** The configuration file that gives the setting; undefined when it comes from somewhere else. */
  fileOf(row: Setting<unknown>): string | undefined;
}

/** @throws Bpf2KafkaError ERR_CONFIG when settings are missing, or would be ignored */
export function readBrokerSecurity(given: GivenSettings): BrokerSecurity {
  const rows = brokerRows;
  const tls = tlsOf(
    given,
    rows.tlsCa,
    rows.tlsCertificate,
    rows.tlsKey,
    secretOf(given, rows.tlsKeyPassword, rows.tlsKeyPasswordFile),
  );
  if (!given.value(rows.tls)) refuseWithout(given, '--tls', [rows.tlsCa, rows.tlsCertificate]);
  return { tls: given.value(rows.tls) ? tls : undefined, sasl: saslOf(given) };
}

/** @throws Bpf2KafkaError ERR_CONFIG when settings are missing, or would be ignored */
export function readRegistrySecurity(given: GivenSettings, registry: string | undefined): RegistrySecurity {
  const rows = registryRows;
  const tls = tlsOf(given, rows.registryCa, rows.registryCertificate, rows.registryKey, undefined);
  const password = secretOf(given, rows.registryPassword, rows.registryPasswordFile);
  const username = given.value(rows.registryUsername);
  if (registry === undefined) {
    const { registryPassword, registryPasswordFile, ...others } = rows;
    refuseWithout(given, '--registry', Object.values(others));
  } else if (!registry.toLowerCase().startsWith('https:')) {
    refuseWithout(given, 'an https address of --registry', [rows.registryCa, rows.registryCertificate]);
  }
  if (username === undefined && password !== undefined) throw incomplete(password.setting, '--registry-username');
  if (username === undefined) return { tls };
  return { tls, login: { username, password: needed(password, rows.registryUsername, rows.registryPasswordFile) } };
}

function saslOf(given: GivenSettings): Sasl | undefined {
  const rows = brokerRows;
  const mechanism = given.value(rows.saslMechanism);
  const username = given.value(rows.saslUsername);
  const password = secretOf(given, rows.saslPassword, rows.saslPasswordFile);
  const { tokenFile, tokenUrl, tokenClientId, tokenClientSecretFile, tokenScope, tokenCa } = rows;
  if (mechanism !== 'OAUTHBEARER') {
    refuseWithout(given, '--sasl-mechanism OAUTHBEARER', [
      tokenFile,
      tokenUrl,
      tokenClientId,
      tokenClientSecretFile,
      tokenScope,
      tokenCa,
    ]);
  }
  if (mechanism === 'OAUTHBEARER') return { mechanism, token: tokenOf(given) };
  if (mechanism === undefined) {
    refuseWithout(given, '--sasl-mechanism', [rows.saslUsername]);
    if (password !== undefined) throw incomplete(password.setting, '--sasl-mechanism');
    return undefined;
  }
  return {
    mechanism,
    username: needed(username, rows.saslMechanism, rows.saslUsername),
    password: needed(password, rows.saslMechanism, rows.saslPasswordFile),
  };
}

function tokenOf(given: GivenSettings): TokenFile | TokenEndpoint {
  const rows = brokerRows;
  const file = settingFile(given, rows.tokenFile);
  const url = given.value(rows.tokenUrl);
  const secretText = secretOf(given, rows.tokenClientSecret, rows.tokenClientSecretFile);
  if (file !== undefined) {
    refuseBeside(given, rows.tokenFile, [
      rows.tokenUrl,
      rows.tokenClientId,
      rows.tokenClientSecretFile,
      rows.tokenScope,
      rows.tokenCa,
    ]);
    return { kind: 'file', ...file };
  }
  const clientId = given.value(rows.tokenClientId);
  if (url === undefined) {
    throw incomplete('--sasl-mechanism OAUTHBEARER', `--${rows.tokenFile.name} or --${rows.tokenUrl.name}`);
  }
  if (!url.toLowerCase().startsWith('https:')) refuseWithout(given, 'an https address of the endpoint', [rows.tokenCa]);
  return {
    kind: 'endpoint',
    url,
    clientId: needed(clientId, rows.tokenUrl, rows.tokenClientId),
    clientSecret: needed(secretText, rows.tokenUrl, rows.tokenClientSecretFile),
    scope: given.value(rows.tokenScope),
    tls: { ca: settingFile(given, rows.tokenCa) },
  };
}

type TextRow = Setting<string | undefined>;

function tlsOf(
  given: GivenSettings,
  caRow: TextRow,
  certificateRow: TextRow,
  keyRow: TextRow,
  keyPassword: Secret | undefined,
): TlsFiles {
  const ca = settingFile(given, caRow);
  const certificate = settingFile(given, certificateRow);
  const key = settingFile(given, keyRow);
  if (keyPassword !== undefined && key === undefined) throw incomplete(keyPassword.setting, `--${keyRow.name}`);
  if (certificate === undefined && key !== undefined) throw incomplete(key.setting, `--${certificateRow.name}`);
  if (certificate === undefined) return { ca };
  return { ca, client: { certificate, key: needed(key, certificateRow, keyRow), keyPassword } };
}

function settingFile(given: GivenSettings, row: TextRow): SettingFile | undefined {
  const path = given.value(row);
  return path === undefined ? undefined : { setting: `--${row.name}`, path };
}

/** @throws Bpf2KafkaError ERR_CONFIG when both rows are given */
export function secretOf(given: GivenSettings, textRow: TextRow, fileRow: TextRow): Secret | undefined {
  const secretText = given.value(textRow);
  const file = settingFile(given, fileRow);
  if (secretText === undefined) return file && { kind: 'file', ...file };
  if (file !== undefined) {
    throw configError({
      operation: `use ${file.setting}`,
      reason: `${textRow.name} is given as well`,
      remedy: 'give one of them',
    });
  }
  const configFile = given.fileOf(textRow);
  const name = configFile === undefined ? environmentName(textRow.name) : textRow.name;
  return { kind: 'text', setting: name, text: secretText, ...(configFile === undefined ? {} : { path: configFile }) };
}

function needed<Value>(value: Value | undefined, by: Setting<unknown>, row: Setting<unknown>): Value {
  if (value === undefined) throw incomplete(`--${by.name}`, `--${row.name}`);
  return value;
}

/** What is given and would have no effect is a mistake: who set it believes in it. */
function refuseWithout(given: GivenSettings, missing: string, rows: readonly Setting<unknown>[]): void {
  for (const row of rows) if (given.value(row) !== undefined) throw incomplete(`--${row.name}`, missing);
}

function refuseBeside(given: GivenSettings, first: Setting<unknown>, rows: readonly Setting<unknown>[]): void {
  for (const row of rows) {
    if (given.value(row) === undefined) continue;
    throw configError({
      operation: `use --${row.name}`,
      reason: `--${first.name} is given as well`,
      remedy: 'give one of them',
    });
  }
}

function incomplete(what: string, missing: string) {
  return configError({ operation: `use ${what}`, reason: `it needs ${missing}`, remedy: `give ${missing} as well` });
}
