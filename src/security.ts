/**
 * How connections are secured, as it is configured: where the secrets are, not what they are. They are read when a
 * connection is made, so that a rotated one is in force at the next without a restart.
 */

/** A file and the setting that names it, for what is said when it cannot be used. */
export interface SettingFile {
  /** As in `--tls-ca-file`. */
  readonly setting: string;
  readonly path: string;
}

export type Secret =
  /** The file holds the secret and nothing else. */
  | (SettingFile & { readonly kind: 'file' })
  /** Given by the environment, or by the configuration file at `path`. */
  | { readonly kind: 'text'; readonly setting: string; readonly text: string; readonly path?: string };

/** All of them PEM. */
export interface TlsFiles {
  /** Certificates of the authorities that are trusted; undefined for those that Node.js brings. */
  readonly ca?: SettingFile | undefined;
  /** What this client shows when it is asked who it is. */
  readonly client?:
    | {
        /** Its certificate first, then those between it and the authority. */
        readonly certificate: SettingFile;
        readonly key: SettingFile;
        readonly keyPassword?: Secret | undefined;
      }
    | undefined;
}

export interface PasswordLogin {
  readonly username: string;
  readonly password: Secret;
}

export const passwordMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;

export type Sasl =
  | (PasswordLogin & { readonly mechanism: (typeof passwordMechanisms)[number] })
  | { readonly mechanism: 'OAUTHBEARER'; readonly token: TokenFile | TokenEndpoint };

export interface TokenFile extends SettingFile {
  readonly kind: 'file';
}

/** Client credentials grant (RFC 6749, section 4.4). */
export interface TokenEndpoint {
  readonly kind: 'endpoint';
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: Secret;
  /** Blanks between several. */
  readonly scope: string | undefined;
  /** Of the endpoint; used when its address is https. */
  readonly tls: TlsFiles;
}

export interface BrokerSecurity {
  /** Undefined for plain text. */
  readonly tls?: TlsFiles | undefined;
  readonly sasl?: Sasl | undefined;
}

export interface RegistrySecurity {
  /** Used when the address is https. */
  readonly tls?: TlsFiles | undefined;
  /** Basic authentication. */
  readonly login?: PasswordLogin | undefined;
}
