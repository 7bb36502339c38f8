import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { tlsFailureOf } from '../../src/tls-failure.ts';
import { TestAuthority } from '../support/certificates.ts';

const directory = mkdtempSync(join(tmpdir(), 'tls-failure-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const alert = (text: string) =>
  `40FD61E1EE7F0000:error:0A000412:SSL routines:ssl3_read_bytes:${text}:../deps/openssl/record/rec_layer_s3.c:918:SSL alert number 42`;

test.each([
  [
    'self-signed certificate in certificate chain',
    'not trusted (self-signed certificate in certificate chain)',
    '--tls-ca-file',
  ],
  ['unable to verify the first certificate', 'not trusted (unable to verify the first certificate)', '--tls-ca-file'],
  ['unable to get local issuer certificate', 'not trusted', '--tls-ca-file'],
  ['certificate has expired', 'has expired', 'renew it there'],
  ['certificate is not yet valid', 'is not valid yet', 'clock'],
  [
    "Hostname/IP does not match certificate's altnames: Host: kafka. is not in the cert's altnames: DNS:broker",
    'for another name (Host: kafka. is not in the cert',
    'by a name that is in the certificate',
  ],
  [
    alert('tlsv13 alert certificate required'),
    'wants a certificate of this client',
    '--tls-cert-file and --tls-key-file',
  ],
  [alert('ssl/tls alert bad certificate'), 'wants a certificate of this client', '--tls-cert-file and --tls-key-file'],
  [alert('tlsv1 alert protocol version'), 'protocol version', 'TLS 1.2 or 1.3'],
  [`1:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../x.c:1:`, 'does not speak TLS', 'without TLS'],
])('%s is explained', (message, reason, remedy) => {
  const failure = tlsFailureOf(message, { settings: '--tls', files: {} });
  expect(failure?.reason).toContain(reason);
  expect(failure?.remedy).toContain(remedy);
});

test.each([
  [10, "refuses this client's certificate (certificate unknown)", 'have it signed'],
  [-1, 'has expired on 20', 'put a new one into the file'],
])('a certificate of this client that lives %i days and is refused', async (days, reason, remedy) => {
  const authority = await TestAuthority.create(directory, `authority-${days}`);
  const { certificate, key } = await authority.issue(`client-${days}`, { days });
  const files = {
    client: {
      certificate: { setting: '--tls-cert-file', path: certificate },
      key: { setting: '--tls-key-file', path: key },
    },
  };
  const failure = tlsFailureOf(alert('ssl/tls alert certificate unknown'), { settings: '--tls', files });
  expect(failure?.reason).toContain(reason);
  expect(failure?.remedy).toContain(remedy);
});

test('what is no failure of TLS stays what it is', () => {
  for (const message of ['connect ECONNREFUSED 127.0.0.1:1', 'Closed connection', '']) {
    expect(tlsFailureOf(message, { settings: '--tls', files: {} })).toBeUndefined();
  }
});
