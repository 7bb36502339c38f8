import { hidden } from '../secret-pattern.ts';

/**
 * What looks like a secret, unless told otherwise. Narrow on purpose: a name that says so, a form that only keys have, or
 * a program whose option it is.
 *
 * These are patterns of JavaScript, which are several times as fast as those of RE2 and go back in the text when they
 * fail. Each is written so that its time still grows with the length of the text only: it can begin but once in a run of
 * characters that it may go through, or is bounded, or takes all that it has gone through.
 */
export interface TextRule {
  readonly pattern: RegExp;
  /** For String.replace; `$1` is what stays in front. */
  readonly replacement: string;
  /** Of four characters each, one of which is in every text that has a match: see secret-triggers.ts. */
  readonly triggers: readonly string[];
}

/** How the names of what holds a secret end: `--db-password`, `GITHUB_TOKEN`, `AccountKey`. */
const word =
  '(?:pass(?:word|wd|phrase|code)|(?:store|key)pass|secret|token|(?:api|access|account|auth|secret)[_-]?key|_pwd)';
const wordTriggers = [
  ...['pass', 'ecre', 'toke', '_pwd'],
  ...['pi-k', 'pi_k', 'apik', 'ss-k', 'ss_k', 'essk', 'nt-k', 'nt_k', 'untk', 'th-k', 'th_k', 'uthk'],
];
const anyName = `[\\w.-]*?${word}`;
/** Not behind a character of a name, so that a name is gone through once. */
const name = `(?<![\\w.-])${anyName}`;
/** Not those that take no value. */
const option = `--?(?!no-|ask-|prompt-)(?=[a-z])${anyName}`;
/** Up to what ends a word in a shell, a query or a connection string, or in quotes. */
const value = `(?:"[^"]*"?|'[^']*'?|[^\\s"'&;,|<>()]+)`;
/** Of `docker build --secret id=…`, which names a secret and holds none. */
const reference = '(?!(?:id|type|source|src|env)=)';

/** And any fourth character. */
export const schemeTrigger = '://';

const keep = `$1${hidden}`;

/** Applied to every text. */
export const textRules: readonly TextRule[] = [
  {
    // --password=… within a command line, PGPASSWORD=…, ?access_token=…&, AccountKey=…;
    pattern: new RegExp(`(${name}=)${reference}${value}`, 'gi'),
    replacement: keep,
    triggers: wordTriggers,
  },
  {
    // --password … within a command line.
    pattern: new RegExp(`((?<![\\w.-])${option}\\s+)(?!-)${value}`, 'gi'),
    replacement: keep,
    triggers: wordTriggers,
  },
  { pattern: /(;\s?pwd=)[^;"'\s]+/gi, replacement: keep, triggers: ['pwd='] },
  {
    // "password": "…"
    pattern: new RegExp(`(["']${anyName}["']\\s*:\\s*["'])[^"']+`, 'gi'),
    replacement: keep,
    triggers: wordTriggers,
  },
  {
    // A header: X-Api-Key: …
    pattern: new RegExp(`((?<=^|["'])${anyName}:\\s*)[^"'\\r\\n\\s][^"'\\r\\n]*`, 'gi'),
    replacement: keep,
    triggers: wordTriggers,
  },
  {
    pattern: /((?<![\w-])(?:proxy-)?authorization:\s*(?:[\w-]+\s+)?)[^"'\r\n\s][^"'\r\n]*/gi,
    replacement: keep,
    triggers: ['riza'],
  },
  { pattern: /((?<![\w-])(?:set-)?cookie:\s*)[^"'\r\n\s][^"'\r\n]*/gi, replacement: keep, triggers: ['ooki'] },
  { pattern: /((?<![\w-])bearer\s+)[\w.~+/=-]{12,}/gi, replacement: keep, triggers: ['eare'] },
  {
    // scheme://user:password@host; the digest of an image is no host.
    pattern: /(:\/\/[^\s/?#:@"'<>]*:)[^\s/?#"'<>]+(?=@(?!sha256:))/g,
    replacement: keep,
    triggers: [schemeTrigger],
  },
  {
    // Signatures of Azure, AWS and Google Cloud in an address.
    pattern: /([?&](?:sig|x-(?:amz|goog)-signature)=)[\w%+/=-]{20,}/gi,
    replacement: keep,
    triggers: ['sig=', 'ure='],
  },
  { pattern: /(hooks\.slack\.com\/(?:services|workflows|triggers)\/)[\w/-]+/gi, replacement: keep, triggers: ['slac'] },
  {
    pattern: /(-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----)[\s\S]+?(?=-----END|$)/g,
    replacement: keep,
    triggers: ['-beg'],
  },
  {
    // A JSON Web Token: `{"` in base64url, then two more parts, or four when it is encrypted.
    pattern: /(?<![\w-])eyJ[\w-]{10,}\.[\w-]*(?:\.[\w-]*){1,3}/g,
    replacement: hidden,
    triggers: [...'abcdefghijklmnopqrstuvwxyz0123456789-_'].map((next) => `eyj${next}`),
  },
  {
    pattern: new RegExp(
      `(?<![A-Za-z0-9])(?:${[
        // AWS
        'A(?:KIA|SIA)[A-Z0-9]{16}',
        // Google Cloud: API key, OAuth token, client secret
        'AIza[\\w-]{35}',
        'ya29\\.[\\w.-]{20,}',
        'GOCSPX-[\\w-]{20,}',
        // GitHub, GitLab
        'gh[pousr]_[A-Za-z0-9]{36,}',
        'github_pat_\\w{22,}',
        'glpat-[\\w.-]{20,}',
        // Slack
        'xox[abeoprs](?:\\.xox[bp])?-[\\w-]{10,}',
        'xapp-\\d-[\\w-]{10,}',
        // Stripe, npm, PyPI, Vault, DigitalOcean, OpenAI, Anthropic
        '[rs]k_(?:live|test)_[A-Za-z0-9]{16,}',
        'npm_[A-Za-z0-9]{36}',
        'pypi-AgE[\\w-]{50,}',
        'hvs\\.[\\w-]{24,}',
        'dop_v1_[0-9a-f]{64}',
        'sk-(?:proj|ant|svcacct)-[\\w-]{20,}',
      ].join('|')})`,
      'g',
    ),
    replacement: hidden,
    triggers: [
      ...['akia', 'asia', 'aiza', 'ya29', 'gocs', 'ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_', 'hub_', 'lpat', 'xapp'],
      ...[...'abeoprs'].map((kind) => `xox${kind}`),
      ...['k_li', 'k_te', 'npm_', 'pypi', 'hvs.', 'dop_', 'sk-p', 'sk-a', 'sk-s'],
    ],
  },
];

/** Where a program's options hold a secret, by a name that does not say so. */
export interface ProgramRule {
  /** Matches the name of the program, without its directory. */
  readonly program: RegExp;
  /** Of the argument itself; group 1 is what stays. */
  readonly argument?: RegExp;
  /** Of an option whose value is the next argument. */
  readonly option?: RegExp;
  /** What stays of that value, as group 1; all of it is hidden without. */
  readonly value?: RegExp;
  readonly triggers: readonly string[];
}

export const programRules: readonly ProgramRule[] = [
  { program: /^(?:mysql|mariadb)[\w-]*$/, argument: /^(-p)./s, triggers: ['mysq', 'mari'] },
  { program: /^sshpass$/, argument: /^(-p)./s, option: /^-p$/, triggers: ['sshp'] },
  {
    // Without a password it is asked for.
    program: /^curl$/,
    argument: /^((?:-[uU]|--(?:proxy-)?user=)[^:]*:)./s,
    option: /^(?:-[A-Za-z#]*[uU]|--(?:proxy-)?user)$/,
    value: /^([^:]*(?::|$))/,
    triggers: ['curl'],
  },
  { program: /^redis-cli$/, option: /^(?:-a|--pass)$/, triggers: ['s-cl'] },
  { program: /^ldap[a-z]+$/, argument: /^(-w)./s, option: /^-w$/, triggers: ['ldap'] },
  { program: /^mongo[a-z]*$/, option: /^-p$/, triggers: ['mong'] },
  { program: /^sqlcmd$/, argument: /^(-P)./s, option: /^-P$/, triggers: ['sqlc'] },
  { program: /^smbclient$/, argument: /^(-U[^%]*%)./s, option: /^-U$/, value: /^([^%]*(?:%|$))/, triggers: ['smbc'] },
  { program: /^openssl$/, argument: /^(pass:)./s, triggers: ['pass'] },
  // docker login, helm registry login, az login; of other commands of theirs -p is something else.
  { program: /^login$/, option: /^-p$/, triggers: ['ogin'] },
];

/** `--password=…`, of which all that follows is the value, whatever is in it. */
export const wholeAssignment = new RegExp(`^(${anyName}=)${reference}(.+)$`, 'is');

/** `--password`, whose value is the next argument, unless that is an option. */
export const secretOption = new RegExp(`^${option}$`, 'i');
export const secretValue = new RegExp(`^()${reference}`, 'i');
