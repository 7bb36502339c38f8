import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Redactor } from '../../../src/enrich/redact.ts';
import { secretTriggers } from '../../../src/enrich/secret-triggers.ts';
import { openRecordWriter, type SecretTriggers } from '../../../src/kernel/record-writer.ts';
import { parseSecretPattern, type SecretPattern } from '../../../src/secret-pattern.ts';

const byDefault = new Redactor({ defaults: true, patterns: [] });

function patternOf(source: string): SecretPattern {
  const parsed = parseSecretPattern(source);
  if ('reason' in parsed) throw new Error(parsed.reason);
  return parsed.pattern;
}

const bytesOf = (texts: readonly string[]) => Buffer.from(texts.map((text) => `${text}\0`).join(''));

/** Writes records of one span, and nothing of those in which there may be a secret. */
const harmlessOnly = (secrets: SecretTriggers) => {
  const span = { offset: 0, length: 2 };
  const whole = [{ kind: 'harmless', span } as const];
  const timestamp = { place: { offset: 0, bytes: 4 }, of: 0 } as const;
  return openRecordWriter({ steps: [], timestamp, whole, tables: [], secrets, recordBytes: 8, given: 1 });
};
const byTriggers = harmlessOnly(secretTriggers);

/** Whether texts go to the redactor at all: what the addon says of their bytes, and the patterns. */
const concerns = (redactor: Redactor, texts: readonly string[]) => {
  const bytes = bytesOf(texts);
  const record = Buffer.concat([Buffer.from([8, 0, bytes.length & 0xff, bytes.length >> 8, 0, 0, 0, 0]), bytes]);
  const one = new Uint32Array(1);
  const isHarmless = byTriggers.write(record, one, new Float64Array(1), one, new Float64Array(1), 0, 1) === 1;
  return (redactor.triggers !== undefined && !isHarmless) || redactor.concerns(texts);
};

// Put together here, so that no scanner of sources takes them for real ones.
const digits = '0123456789'.repeat(10);
const letters = 'AbCdEfGhIjKlMnOpQrStUvWxYz'.repeat(4);
const github = `ghp_${letters.slice(0, 36)}`;
const jwt = `eyJ${letters.slice(0, 20)}.eyJ${letters.slice(0, 30)}.${letters.slice(0, 43)}`;
const awsId = `AKIA${'ABCDEFGH12345678'}`;

/** Arguments with blanks between, and what is published of them; `␣` stands for a blank inside of one. */
const hidden: readonly (readonly [given: string, shown: string])[] = [
  // Named options, in the same argument and in the next one
  ['psql --password=s3cret db', 'psql --password=*** db'],
  ['psql --password s3cret db', 'psql --password *** db'],
  ['tool --password=two␣words,and=more&x', 'tool --password=***'],
  ['tool --DB-Password=s3cret', 'tool --DB-Password=***'],
  ['tool -token abc -v', 'tool -token *** -v'],
  ['tool --github-token=abc --x', 'tool --github-token=*** --x'],
  ['tool --api-key abc --apikey=abc --api_key=abc', 'tool --api-key *** --apikey=*** --api_key=***'],
  ['keytool -storepass changeit -keypass changeit', 'keytool -storepass *** -keypass ***'],
  ['java -Djavax.net.ssl.keyStorePassword=changeit Main', 'java -Djavax.net.ssl.keyStorePassword=*** Main'],
  ['vault login --client-secret abc', 'vault login --client-secret ***'],
  ['mount -o username=u,password=s3cret,vers=3.0 //h/s /m', 'mount -o username=u,password=***,vers=3.0 //h/s /m'],
  // Assignments
  ['env PGPASSWORD=s3cret psql', 'env PGPASSWORD=*** psql'],
  ['env PGPASSWORD=correct␣horse psql', 'env PGPASSWORD=*** psql'],
  ['docker run -e MYSQL_ROOT_PASSWORD=x -e A=b i', 'docker run -e MYSQL_ROOT_PASSWORD=*** -e A=b i'],
  [
    'env MYSQL_PWD=x AWS_SECRET_ACCESS_KEY=y GITHUB_TOKEN=z',
    'env MYSQL_PWD=*** AWS_SECRET_ACCESS_KEY=*** GITHUB_TOKEN=***',
  ],
  ['app Server=db;Uid=sa;Pwd=s3cret;Timeout=3', 'app Server=db;Uid=sa;Pwd=***;Timeout=3'],
  ['az AccountName=a;AccountKey=abc+/==;Suffix=x', 'az AccountName=a;AccountKey=***;Suffix=x'],
  // Command lines in one argument
  ['sh -c PGPASSWORD=x␣psql␣-h␣db', 'sh -c PGPASSWORD=***␣psql␣-h␣db'],
  ['bash -lc tool␣--password␣s3cret␣&&␣ls', 'bash -lc tool␣--password␣***␣&&␣ls'],
  ['sh -c tool␣--password="a␣b"␣-v', 'sh -c tool␣--password=***␣-v'],
  ["sh -c tool␣--password␣'a␣b'␣-v", 'sh -c tool␣--password␣***␣-v'],
  ['sh -c mysqldump␣-uroot␣-ps3cret␣db|gzip', 'sh -c mysqldump␣-uroot␣-p***␣db|gzip'],
  ['ssh host mysql␣-ps3cret␣db', 'ssh host mysql␣-p***␣db'],
  // JSON and headers
  ['curl -d {"user":"u","password":"s3␣cret"}', 'curl -d {"user":"u","password":"***"}'],
  ['curl -H Authorization:␣Bearer␣abc', 'curl -H Authorization:␣Bearer␣***'],
  ['curl -H Authorization:␣Basic␣dTpw', 'curl -H Authorization:␣Basic␣***'],
  ['curl -H authorization:␣abc', 'curl -H authorization:␣***'],
  ['curl -H X-Api-Key:␣abc', 'curl -H X-Api-Key:␣***'],
  ['curl -H PRIVATE-TOKEN:␣abc', 'curl -H PRIVATE-TOKEN:␣***'],
  ['curl -H Cookie:␣sid=abc;␣a=b', 'curl -H Cookie:␣***'],
  ["sh -c curl␣-H␣'X-Vault-Token:␣abc'␣http://v", "sh -c curl␣-H␣'X-Vault-Token:␣***'␣http://v"],
  ['grpcurl -rpc-header x␣bearer␣abcdefghijklmnop', 'grpcurl -rpc-header x␣bearer␣***'],
  // Addresses
  ['git clone https://user:s3cret@host/repo', 'git clone https://user:***@host/repo'],
  ['psql postgresql://u:p@ss:w@db:5432/x', 'psql postgresql://u:***@db:5432/x'],
  ['curl http://h/?access_token=abc&x=1', 'curl http://h/?access_token=***&x=1'],
  [`azcopy https://a/c?sv=1&sig=${letters.slice(0, 43)}%3D&se=2`, 'azcopy https://a/c?sv=1&sig=***&se=2'],
  ['curl https://hooks.slack.com/services/T0/B0/abc', 'curl https://hooks.slack.com/services/***'],
  // Forms that only keys have
  [`echo ${awsId}`, 'echo ***'],
  [`echo key:AIza${letters.slice(0, 35)},x`, 'echo key:***,x'],
  [`git push https://${github}@github.com/a/b`, 'git push https://***@github.com/a/b'],
  [`echo ${github}`, 'echo ***'],
  [`echo github_pat_${letters.slice(0, 30)}`, 'echo ***'],
  [`echo glpat-${letters.slice(0, 20)}`, 'echo ***'],
  [`echo xoxb-${digits.slice(0, 12)}-${letters.slice(0, 24)}`, 'echo ***'],
  [`echo sk_live_${letters.slice(0, 24)}`, 'echo ***'],
  [`echo hvs.${letters.slice(0, 24)}`, 'echo ***'],
  [`echo sk-ant-${letters.slice(0, 24)}`, 'echo ***'],
  [`echo ${jwt}`, 'echo ***'],
  [
    'echo -----BEGIN␣RSA␣PRIVATE␣KEY-----\nMIIE\nAbC=\n-----END␣RSA␣PRIVATE␣KEY-----\n',
    'echo -----BEGIN␣RSA␣PRIVATE␣KEY-----***-----END␣RSA␣PRIVATE␣KEY-----\n',
  ],
  ['echo -----BEGIN␣PRIVATE␣KEY-----\ncut', 'echo -----BEGIN␣PRIVATE␣KEY-----***'],
  // Options of programs
  ['mysql -uroot -ps3cret db', 'mysql -uroot -p*** db'],
  ['/usr/bin/mysqldump -ps3cret db', '/usr/bin/mysqldump -p*** db'],
  ['docker exec -it db mariadb -ps3cret', 'docker exec -it db mariadb -p***'],
  ['kubectl exec p -- mysql -ps3cret', 'kubectl exec p -- mysql -p***'],
  ['sshpass -p s3cret ssh h', 'sshpass -p *** ssh h'],
  ['sshpass -ps3cret ssh h', 'sshpass -p*** ssh h'],
  ['curl -u user:s3cret http://h', 'curl -u user:*** http://h'],
  ['curl -sSu user:s3:cret http://h', 'curl -sSu user:*** http://h'],
  ['curl -uuser:s3cret --proxy-user p:q', 'curl -uuser:*** --proxy-user p:***'],
  ['curl --user=user:s3cret', 'curl --user=user:***'],
  ['redis-cli -a s3cret ping', 'redis-cli -a *** ping'],
  ['docker login -u me -p s3cret registry', 'docker login -u me -p *** registry'],
  ['ldapsearch -x -w s3cret -b dc=x', 'ldapsearch -x -w *** -b dc=x'],
  ['mongosh -u a -p s3cret', 'mongosh -u a -p ***'],
  ['sqlcmd -S h -U sa -P s3cret', 'sqlcmd -S h -U sa -P ***'],
  ['smbclient -U DOM\\u%s3cret //h/s', 'smbclient -U DOM\\u%*** //h/s'],
  ['openssl rsa -passin pass:s3cret -in k', 'openssl rsa -passin pass:*** -in k'],
];

const shownAsTheyAre = [
  'ls -la /etc/passwd /var/lib/secrets',
  'passwd --delete alice',
  'psql --no-password db',
  'tool --password-file=/run/secrets/db --token-file /t --password-stdin',
  'tool --password --verbose',
  'tool --password= x',
  'ansible-playbook --ask-become-password site.yml',
  'tool --tokens=5 --max-tokens 100 --tokenizer x',
  'docker build --secret id=npm,src=/root/.npmrc .',
  'docker run --name mysql -p3306:3306 mysql:8',
  'docker run -p 80:80 nginx',
  'mkdir -p /srv/mysql',
  'mysql -u root -p db',
  'mysql -h db -P3306',
  'sh -c mysql␣-e␣x␣|␣tar␣-pxf␣a',
  'ps -u user:group',
  'curl -u user http://h/a:b@c',
  'curl http://[::1]:8080/x@y https://h:443/a?b=c#d',
  'git clone git@github.com:a/b.git ssh://git@host:22/x',
  'docker pull docker://alpine:3@sha256:abc',
  'grep -i authorization /var/log/x',
  'echo basic authentication bearer of news',
  'ssh-keygen -t ed25519 -f key',
  'openssl x509 -in cert.pem',
  'echo -----BEGIN␣CERTIFICATE-----\nMIIE\n-----END␣CERTIFICATE-----',
  'echo eyJust.a.word AKIA ghp_ sk-learn task-pro-jected',
  'cat compass bypass passage',
  'redis-cli -h r get token',
];

const split = (line: string) => line.split(' ').map((argument) => argument.replaceAll('␣', ' '));

describe('redaction by default', () => {
  test.each(hidden)('%s', (given, shown) => {
    const args = split(given);
    const expected = split(shown);
    expect(byDefault.args(args).args).toEqual(expected);
    expect(byDefault.args(args).redacted).toBe(expected.filter((argument, at) => argument !== args[at]).length);
    expect(concerns(byDefault, args)).toBe(true);
    expect(byDefault.args(expected)).toEqual({ args: expected, redacted: 0 });
  });

  test.each(shownAsTheyAre)('leaves %s', (given) => {
    expect(byDefault.args(split(given))).toEqual({ args: split(given), redacted: 0 });
  });

  test('applies to a text that stands alone', () => {
    expect(byDefault.text(`/tmp/password=s3cret/${github}`)).toBe('/tmp/password=***');
    expect(byDefault.text(`/tmp/${github}/x`)).toBe('/tmp/***/x');
    expect(byDefault.text('/usr/bin/passwd')).toBe('/usr/bin/passwd');
  });

  test('applies to variables: by their name, or by what is in them', () => {
    const variables = { GITHUB_TOKEN: 'two words', LD_PRELOAD: '/tmp/x.so', PROXY: 'http://u:p@h', EMPTY_TOKEN: '' };
    const shown = { GITHUB_TOKEN: '***', LD_PRELOAD: '/tmp/x.so', PROXY: 'http://u:***@h', EMPTY_TOKEN: '' };
    expect(byDefault.environment(variables)).toEqual(shown);
    const whole = new Redactor({ defaults: false, patterns: [patternOf('^PROXY=.*')] });
    expect(whole.environment(variables)).toEqual({ ...variables, PROXY: '***' });
  });

  test('can be turned off', () => {
    const off = new Redactor({ defaults: false, patterns: [] });
    const args = ['psql', '--password=s3cret'];
    expect(off.args(args)).toEqual({ args, redacted: 0 });
    expect(off.text('https://u:p@h')).toBe('https://u:p@h');
    expect(concerns(off, args)).toBe(false);
  });

  test('needs no second look at common arguments', () => {
    const common = [
      'ls -la /usr/lib/x86_64-linux-gnu',
      'sh -c test␣-f␣/etc/hosts␣&&␣cat␣/etc/hosts',
      '/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet -O2 -I include -D_FORTIFY_SOURCE=2 main.c -o /tmp/ccX.s',
      'kubectl --namespace kube-system get pods -o json --selector app=web,tier=front',
      'wget https://example.org:8443/a/b?c=d',
      'grep -E ^[a-z]+: /etc/group',
    ];
    expect(common.filter((line) => concerns(byDefault, split(line)))).toEqual([]);
  });
});

describe('patterns of the user', () => {
  const patterns = [patternOf('ACME-[0-9]+'), patternOf('^key (?P<secret>.+)$')];

  test('apply to each argument alone, beside the defaults', () => {
    const redactor = new Redactor({ defaults: true, patterns });
    const given = ['x', 'ACME-12', 'a ACME-1 b', 'key abc', 'ACME-', '--token=x', 'key', 'abc'];
    const shown = ['x', '***', 'a *** b', 'key ***', 'ACME-', '--token=***', 'key', 'abc'];
    expect(redactor.args(given)).toEqual({ args: shown, redacted: 4 });
    expect(redactor.text('/opt/ACME-7/bin')).toBe('/opt/***/bin');
    expect(concerns(redactor, ['x', 'key abc'])).toBe(true);
    expect(concerns(redactor, ['x', 'key', 'abc'])).toBe(false);
  });

  test('apply without the defaults', () => {
    const redactor = new Redactor({ defaults: false, patterns });
    const given = ['ACME-12', '--token=x'];
    expect(redactor.args(given)).toEqual({ args: ['***', '--token=x'], redacted: 1 });
    expect(concerns(redactor, given)).toBe(true);
    expect(concerns(redactor, ['--token=x'])).toBe(false);
  });
});

describe('whatever processes are given', () => {
  /** Pieces of secrets, names, quotes and separators, in any order. */
  const piece = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.constantFrom(
        ...hidden.flatMap(([given]) => split(given).flatMap((text) => text.split(/(?<=[=:@ "'-])/))),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '=',
        ':',
        ' ',
        '"',
        "'",
        '@',
        '://',
        '&',
        ';',
        '-',
        '--',
        '.',
        '\n',
        '***',
        '\u00a0',
        'é',
      ),
    },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 6 }).map((text) => text.replaceAll('\0', '')) },
  );
  const argument = fc.oneof(
    { weight: 3, arbitrary: fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')) },
    { weight: 1, arbitrary: fc.constantFrom('mysql', 'curl', 'login', 'sh', '-c', '-p', '-u', '--token', 'sshpass') },
  );
  const vector = fc.array(argument, { maxLength: 8 });

  test('what needs no second look does not change', () => {
    fc.assert(
      fc.property(vector, (args) => {
        if (concerns(byDefault, args)) return;
        expect(byDefault.args(args)).toEqual({ args, redacted: 0 });
        expect(args.map((text) => byDefault.text(text))).toEqual(args);
      }),
      { numRuns: 2_000 },
    );
  });

  test('arguments stay as many as they were, and at most three characters come of one', () => {
    fc.assert(
      fc.property(vector, (args) => {
        const { args: shown, redacted } = byDefault.args(args);
        expect(shown).toHaveLength(args.length);
        expect(redacted).toBe(shown.filter((text, at) => text !== args[at]).length);
        for (const [at, text] of shown.entries())
          expect(text.length).toBeLessThanOrEqual(3 * (args[at] as string).length);
      }),
      { numRuns: 2_000 },
    );
  });

  test('a secret that is found does not survive anywhere in its argument', () => {
    const secret = fc.stringMatching(/^[A-Za-z0-9]{12,40}$/);
    const frame = fc.constantFrom<(secret: string) => string[]>(
      (s) => [`--password=${s}`],
      (s) => ['--password', s],
      (s) => [`https://u:${s}@h/x`],
      (s) => ['-H', `Authorization: Bearer ${s}`],
      (s) => ['sh', '-c', `x && mysql -p${s} -e 'y'; --token ${s}`],
      (s) => [`{"client_secret": "${s}"}`],
      (s) => ['curl', '-u', `me:${s}`],
    );
    fc.assert(
      fc.property(vector, frame, secret, (before, around, value) => {
        // An open quote or an awaited value in front changes what the words behind are.
        const args = [...before.filter((text) => !/["']/.test(text) && !text.startsWith('-')), 'end', ...around(value)];
        expect(concerns(byDefault, args)).toBe(true);
        expect(byDefault.args(args).args.join('\0')).not.toContain(value);
      }),
      { numRuns: 1_000 },
    );
  });

  test('time grows with the length only', () => {
    const units = [
      ...['a', '-', ':', '@', '"', "'", ' ', '\n', '/', 'a.', '--', 'mysql ', 'curl -u ', 'sh -c ', ';pwd=', '?sig='],
      ...['password', '--password ', 'password=', 'token: ', '"token": "', '"token" ', 'api-key', '_pwd', "'secret':"],
      ...['://', '://a:', '://:', 'eyJ', `${jwt.slice(0, 24)}.`, 'Bearer ', 'bearer', 'authorization: ', 'cookie:'],
      ...[
        '-----BEGIN PRIVATE KEY-----',
        '-----BEGIN ',
        'ghp_',
        'xoxb-',
        'AKIA',
        'sk-ant-',
        'hooks.slack.com/services/',
      ],
    ];
    const slow = units.filter((unit) => {
      const text = unit.repeat(Math.ceil((32 * 1024) / unit.length));
      const begun = process.cpuUsage();
      byDefault.args(['x', text, '-c', text]);
      byDefault.args([`://${text}`, `eyJ${text}`, `--password${text}`, `bearer ${text}`, `"${text}`]);
      // It takes some 30 ms; what goes back over its text again and again takes several seconds.
      return process.cpuUsage(begun).user > 800_000;
    });
    expect(slow).toEqual([]);
  }, 60_000);
});
