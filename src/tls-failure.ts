import type { TlsFiles } from './security.ts';
import { certificateEnd } from './security-files.ts';

/** Why TLS did not come about, in words that go on after 'it', and what to do. */
export interface TlsFailure {
  readonly reason: string;
  readonly remedy: string;
}

export interface TlsSide {
  /** Head of the settings of this connection: `--tls`, `--registry`. */
  readonly settings: string;
  readonly files: TlsFiles;
}

/** Words of a plain connection that was answered in TLS (see Sockets). */
export const answeredInTls = 'it answers in TLS';

/**
 * Explains by the words of Node.js and OpenSSL: their codes do not come through the libraries that connect. Undefined
 * when the failure is none of TLS.
 */
export function tlsFailureOf(message: string, { settings, files }: TlsSide): TlsFailure | undefined {
  if (/self-signed certificate|unable to (get|verify)|certificate signature failure|invalid CA/i.test(message)) {
    const detail = /self-signed certificate[\w ]*|unable to [\w ]*/i.exec(message)?.[0].trim();
    return {
      reason: `shows a certificate that is not trusted${detail === undefined ? '' : ` (${detail})`}`,
      remedy: `give the authority that signed it with ${settings}-ca-file`,
    };
  }
  if (/certificate (has expired|is not yet valid)/.test(message)) {
    const state = message.includes('expired') ? 'has expired' : 'is not valid yet';
    return { reason: `shows a certificate that ${state}`, remedy: "renew it there, or set this host's clock right" };
  }
  const names = /does not match certificate's altnames: (.*)$/.exec(message)?.[1];
  if (names !== undefined) {
    return {
      reason: `shows a certificate for another name (${names})`,
      remedy: 'connect by a name that is in the certificate',
    };
  }
  const alert = /SSL routines:[^:]*:(?:[\w/]+ )?alert ([\w ]+)/.exec(message)?.[1];
  if (alert !== undefined) return alertFailure(alert, settings, files);
  if (/wrong version number|packet length too long/.test(message)) {
    return { reason: 'does not speak TLS', remedy: 'give the port on which it does, or connect without TLS' };
  }
  return undefined;
}

/** What the other side said before it hung up. */
function alertFailure(alert: string, settings: string, files: TlsFiles): TlsFailure {
  if (!/certificate|unknown ca|handshake failure|access denied/.test(alert)) {
    return { reason: `refuses TLS as this client speaks it (${alert})`, remedy: 'allow TLS 1.2 or 1.3 there' };
  }
  if (files.client === undefined) {
    return {
      reason: `wants a certificate of this client (${alert})`,
      remedy: `give ${settings}-cert-file and ${settings}-key-file`,
    };
  }
  const { path } = files.client.certificate;
  const end = certificateEnd(files);
  if (end !== undefined && end.getTime() < Date.now()) {
    return {
      reason: `refuses this client's certificate (${alert}): ${path} has expired on ${end.toISOString().slice(0, 10)}`,
      remedy: 'put a new one into the file',
    };
  }
  return {
    reason: `refuses this client's certificate (${alert}): ${path}`,
    remedy: 'have it signed by an authority that is trusted there',
  };
}
