import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { Bpf2KafkaError, reasonOf } from './errors.ts';
import type { Secret, SettingFile, TlsFiles } from './security.ts';

/**
 * The secret as it is now, without the line end that editors put behind it.
 * @throws Bpf2KafkaError ERR_CONFIG; its message never holds a part of the secret
 */
export function readSecret(secret: Secret): string {
  if (secret.kind === 'text') return secret.text;
  const text = readText(secret).replace(/\r?\n$/, '');
  if (text === '') throw unusable(secret, 'it is empty', 'write the secret into it');
  if (/[\r\n]/.test(text)) throw unusable(secret, 'it has more than one line', 'leave only the secret in it');
  return text;
}

/**
 * What a TLS client is made of, as the files are now. Trust is not left to the environment, where
 * NODE_TLS_REJECT_UNAUTHORIZED=0 would end it.
 * @throws Bpf2KafkaError ERR_CONFIG
 */
export function readTls({ ca, client }: TlsFiles): SecureContextOptions & { readonly rejectUnauthorized: true } {
  return {
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca: readCertificates(ca) }),
    ...(client === undefined ? {} : readClient(client)),
  };
}

/** When the client's certificate ends or ended; undefined when there is none that can be read. */
export function certificateEnd({ client }: TlsFiles): Date | undefined {
  try {
    return client && new Date(new X509Certificate(readFileSync(client.certificate.path)).validTo);
  } catch {
    // Who asks explains a failure; why the file cannot be read is said where it is needed.
    return undefined;
  }
}

/** Those of the files with something secret in them that every user of the host may read. */
export function readableByOthers(secrets: readonly (SettingFile | Secret | undefined)[]): string[] {
  const paths = secrets.flatMap((secret) => secret?.path ?? []);
  return [...new Set(paths)].filter((path) => ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o004) !== 0);
}

function readClient({ certificate, key, keyPassword }: NonNullable<TlsFiles['client']>): SecureContextOptions {
  const cert = readCertificates(certificate);
  const pem = readText(key);
  const passphrase = keyPassword && readSecret(keyPassword);
  try {
    createPrivateKey({ key: pem, ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (error) {
    if (passphrase === undefined && pem.includes('ENCRYPTED')) {
      throw unusable(key, 'it is encrypted', 'give its password with --tls-key-password-file');
    }
    if (keyPassword !== undefined && (error as NodeJS.ErrnoException).code === 'ERR_OSSL_BAD_DECRYPT') {
      throw unusable(key, 'the password does not open it', `check ${keyPassword.setting}`);
    }
    throw unusable(key, 'it holds no private key', 'give a key in PEM format');
  }
  const context = { cert, key: pem, ...(passphrase === undefined ? {} : { passphrase }) };
  try {
    createSecureContext(context);
  } catch (error) {
    const mismatch = (error as NodeJS.ErrnoException).code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH';
    throw unusable(
      key,
      mismatch ? `it does not belong to the certificate in ${certificate.path}` : reasonOf(error),
      `check ${certificate.setting} and ${key.setting}`,
    );
  }
  return context;
}

function readCertificates(file: SettingFile): string {
  const pem = readText(file);
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw unusable(file, 'it holds no certificate', 'give certificates in PEM format');
  for (const block of blocks) {
    try {
      new X509Certificate(block);
    } catch {
      throw unusable(file, 'a certificate in it is damaged', 'give certificates in PEM format');
    }
  }
  return pem;
}

function readText(file: SettingFile): string {
  try {
    return readFileSync(file.path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = { ENOENT: 'there is no such file', EACCES: 'this process may not read it' }[code ?? ''];
    throw unusable(file, reason ?? reasonOf(error), 'check the path and who may read it');
  }
}

function unusable({ setting, path }: SettingFile, reason: string, remedy: string): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_CONFIG', { operation: 'use', subject: `${setting} ${path}`, reason, remedy });
}
