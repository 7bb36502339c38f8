import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export interface CertificateOptions {
  /** As in `IP:127.0.0.1,DNS:localhost`. */
  readonly names?: string;
  /** Negative for one that has expired already. */
  readonly days?: number;
}

/** PEM files. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** An authority of its own in a directory, made with openssl. */
export class TestAuthority {
  readonly #directory: string;
  readonly #name: string;

  private constructor(directory: string, name: string) {
    this.#directory = directory;
    this.#name = name;
  }

  static async create(directory: string, name: string): Promise<TestAuthority> {
    const authority = new TestAuthority(directory, name);
    const { certificate, key } = authority.#files(name);
    await openssl(
      'req',
      '-x509',
      ...newKey,
      '-subj',
      `/CN=${name}`,
      '-days',
      '10',
      '-keyout',
      key,
      '-out',
      certificate,
    );
    return authority;
  }

  /** The file to trust. */
  get certificate(): string {
    return this.#files(this.#name).certificate;
  }

  async issue(name: string, { names = 'IP:127.0.0.1,DNS:localhost', days = 10 }: CertificateOptions = {}) {
    const { certificate, key } = this.#files(name);
    const request = join(this.#directory, `${name}.csr`);
    const extensions = join(this.#directory, `${name}.ext`);
    await writeFile(extensions, `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    await openssl('req', ...newKey, '-subj', `/CN=${name}`, '-keyout', key, '-out', request);
    const issuer = this.#files(this.#name);
    const signed = [
      '-CA',
      issuer.certificate,
      '-CAkey',
      issuer.key,
      '-CAcreateserial',
      '-extfile',
      extensions,
      '-days',
      String(days),
    ];
    await openssl('x509', '-req', '-in', request, ...signed, '-out', certificate);
    return { certificate, key };
  }

  #files(name: string): Certificate {
    return { certificate: join(this.#directory, `${name}.pem`), key: join(this.#directory, `${name}.key`) };
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-sha256'];

async function openssl(...words: string[]): Promise<void> {
  await execute('openssl', words);
}
