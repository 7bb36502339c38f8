import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { cpus, hostname } from 'node:os';
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { reasonOf } from './errors.ts';
import { type ExecFilters, exeAllowed, parseCgroups, parseExe, parseUid, uidAllowed } from './exec-filters.ts';
import { type IpPrefix, parsePrefix, prefixText } from './ip-prefix.ts';
import type { LogLevel } from './log.ts';
import { type PacketKeyKind, packetKeyKinds } from './schemas/packet-count.ts';
import { parseSecretPattern, type SecretPattern } from './secret-pattern.ts';
import type { BrokerSecurity, RegistrySecurity } from './security.ts';
import {
  configError,
  environmentName,
  type HostFacts,
  type InFile,
  matching,
  oneOf,
  path,
  type Setting,
  setting,
  text,
  toggle,
} from './setting.ts';
import { type SiemFormat, siemFormats } from './siem/formats.ts';
import {
  brokerRows,
  brokerSecurityNames,
  type GivenSettings,
  readBrokerSecurity,
  readRegistrySecurity,
  registryRows,
  registrySecurityNames,
} from './wire-settings.ts';

/** Settings of `run` and `start`. */
export interface RunConfig {
  /** `host:port` each; empty only for `start`, which then starts a broker of its own. */
  readonly brokers: readonly string[];
  readonly security: BrokerSecurity;
  readonly registry: string | undefined;
  readonly registrySecurity: RegistrySecurity;
  readonly registerSchemas: boolean;
  readonly topicPrefix: string;
  readonly createTopics: boolean;
  readonly stateDir: string;
  readonly hostId: string;
  readonly hostName: string;
  /** Of the host, for `bpf2kafka-hosts`. */
  readonly labels: Readonly<Record<string, string>>;
  /** SHA-256 of the settings that were given, without those that name the host and without secrets. */
  readonly configHash: string;
  readonly clientId: string;
  /** What happens to the programs in the kernel when the process ends. */
  readonly onExit: 'detach' | 'keep';
  /** So long after the last sign of a reader the kernel side stops to capture. */
  readonly orphanAfterMillis: number;
  readonly drainTimeoutMillis: number;
  readonly execRingBytes: number;
  /** Undefined when exits are not captured. */
  readonly exitRingBytes: number | undefined;
  /** What the spool may take on disk, bytes; 0: it takes nothing. */
  readonly spoolBytes: number;
  /** What happens when it does: the ring goes on holding, or the oldest batches are dropped and counted. */
  readonly spoolFull: 'keep' | 'drop-oldest';
  /** How much of argv is captured. */
  readonly args: 'full' | 'program' | 'none';
  /** Names of the environment variables that are captured, without repeats. */
  readonly execEnv: readonly string[];
  /** Execs that are counted and not captured; what SIGHUP reads again. */
  /** Execs that fail are captured too. */
  readonly failedExecs: boolean;
  readonly execFilters: ExecFilters;
  readonly pinPath: string;
  readonly compression: 'zstd' | 'lz4' | 'snappy' | 'gzip' | 'none';
  readonly maxBytesPerSecond: number | undefined;
  readonly ledgerIntervalMillis: number;
  /** Where to answer over HTTP; undefined for nowhere. */
  readonly http: ListenAddress | undefined;
  /** The service manager that waits to hear from this process; no setting of a user. */
  readonly serviceManager: ServiceManagerConfig | undefined;
  /** Undefined when packets are not counted. */
  readonly packets: PacketsConfig | undefined;
  readonly redaction: RedactionConfig;
  readonly logLevel: LogLevel;
}

export interface ListenAddress {
  /** A name or an address, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** What systemd gives to a service of `Type=notify`. */
export interface ServiceManagerConfig {
  /** NOTIFY_SOCKET: a path, or a name that begins with @. */
  readonly socket: string;
  /** Within this time it wants to hear from us, milliseconds; undefined when it does not watch. */
  readonly watchdogMillis: number | undefined;
}

export interface PacketsConfig {
  /** Names, without repeats; `auto` among them stands for every physical interface that is up. */
  readonly interfaces: readonly string[];
  /** Networks whose packets are counted as filtered, whichever end is in them; without repeats. */
  readonly excluded: readonly IpPrefix[];
  /** Between two records of a key, 100 to 60,000. */
  readonly intervalMillis: number;
  readonly keyKind: PacketKeyKind;
  /** Records a second on average; over it the interval grows. */
  readonly budget: number;
  /** Keys that each of the kernel's two maps has room for. */
  readonly flows: number;
}

export interface RedactionConfig {
  /** Whether what looks like a secret is hidden without being asked for. */
  readonly defaults: boolean;
  /** Of what is hidden besides; without repeats. */
  readonly patterns: readonly SecretPattern[];
}

/** Of `check`: the settings of the `run` that is asked about. */
export interface CheckConfig extends RunConfig {
  readonly json: boolean;
}

export interface TailConfig {
  readonly brokers: readonly string[];
  readonly security: BrokerSecurity;
  readonly registry: string | undefined;
  readonly registrySecurity: RegistrySecurity;
  readonly topicPrefix: string;
  readonly json: boolean;
  /** Prints documents for security tools. */
  readonly format: SiemFormat | undefined;
  /** Writes them to a topic instead; then there is a format. */
  readonly forward: ForwardConfig | undefined;
  readonly fromBeginning: boolean;
  readonly limit: number | undefined;
}

export interface ForwardConfig {
  /** Full name. */
  readonly topic: string;
  /** Consumer group. */
  readonly group: string;
}

export interface AuditConfig {
  readonly brokers: readonly string[];
  readonly security: BrokerSecurity;
  readonly registry: string | undefined;
  readonly registrySecurity: RegistrySecurity;
  readonly topicPrefix: string;
  readonly json: boolean;
  /** Only entries whose interval lies in this time; milliseconds since 1970. */
  readonly since: number | undefined;
  readonly until: number | undefined;
}

export interface SchemaConfig {
  readonly register: boolean;
  readonly registry: string | undefined;
  readonly registrySecurity: RegistrySecurity;
  readonly topicPrefix: string;
  readonly logLevel: LogLevel;
}

export interface DetachConfig {
  readonly discard: boolean;
  readonly pinPath: string;
  readonly stateDir: string;
  readonly logLevel: LogLevel;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Values of the command line by flag name without dashes; only those that were given, a list of a repeatable flag. */
export type Flags = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

// ---- What values look like ----

/** Items with commas between, which is how the environment has a list; those of equal `identity` are one. */
function list<Value>(
  item: z.ZodType<Value, string>,
  identity: (value: Value) => string,
  separator?: '\n',
): z.ZodType<readonly Value[], string> {
  return z
    .string()
    .transform((given) => itemsOf(given, separator))
    .pipe(z.array(item))
    .transform((values) => [...new Map(values.map((value) => [identity(value), value])).values()])
    .meta({ type: ['array', 'string', 'number'], items: inFileOf(item) });
}

function inFileOf(value: z.ZodType<unknown, string>): InFile {
  const { $schema: _, ...inFile } = z.toJSONSchema(value, { io: 'input' });
  return inFile;
}

function itemsOf(given: string, separator?: '\n'): string[] {
  return separator === undefined ? given.split(',').map((item) => item.trim()) : given.split(separator);
}

function wholeNumber(given: string): number | undefined {
  return /^\d{1,15}$/.test(given) ? Number(given) : undefined;
}

const positive = text('a whole number, 1 or more', (given) => wholeNumber(given) || undefined, {
  type: 'integer',
  minimum: 1,
});

const brokerList = text(
  'a list of HOST:PORT with commas between, HOST a name or an IPv4 address, the port 1 to 65535',
  (given) => {
    const brokers = given.split(',').map((broker) => broker.trim());
    return brokers.every(isBroker) ? brokers : undefined;
  },
  { type: ['string', 'array'], items: { type: 'string' } },
);

/** No IPv6 address: kafkajs cuts the text at the first colon (src/broker/index.js). A name may well stand for one. */
function isBroker(broker: string): boolean {
  const [, host, port] = /^([^:]*):(\d{1,5})$/.exec(broker) ?? [];
  if (host === undefined || Number(port) < 1 || Number(port) > 65535) return false;
  return /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/.test(host);
}

const listenAddress = text<ListenAddress | 'off'>(
  'HOST:PORT, HOST a name or an address (IPv6 in brackets), the port 0 (one that is free) to 65535, or off',
  (given) => {
    if (given === 'off') return given;
    const [, name, address, port] = /^(?:([A-Za-z0-9_.-]+)|\[([0-9A-Fa-f:.]+)\]):(\d{1,5})$/.exec(given) ?? [];
    const host = name ?? (isIPv6(address ?? '') ? address : undefined);
    return host === undefined || Number(port) > 65535 ? undefined : { host, port: Number(port) };
  },
);

// Credentials in an address end up in messages and in the state directory.
const registryUrl = text('an http or https address without user, password, query or fragment', (given) => {
  const url = URL.parse(given);
  const plain = url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  return plain && /^https?:$/.test(url.protocol) ? given : undefined;
});

const duration = text('a number with ms, s, m or h, as in 10s', durationMillis);

const orphanTime = text('a time of 1m or more, as in 24h', (given) => {
  const millis = durationMillis(given);
  return millis !== undefined && millis >= 60_000 ? millis : undefined;
});

function durationMillis(given: string): number | undefined {
  const [, number, unit] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(given) ?? [];
  if (number === undefined) return undefined;
  const millis = Math.round(
    Number(number) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit as 'ms' | 's' | 'm' | 'h'],
  );
  // What a timer of Node.js takes; beyond it a wait ends at once.
  return millis <= 2 ** 31 - 1 ? millis : undefined;
}

function durationText(millis: number): string {
  return millis % 1_000 === 0 ? `${millis / 1_000}s` : `${millis}ms`;
}

const moment = text('a time as in 2026-11-24T22:00:00Z', (given) => {
  const millis = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(given)
    ? Date.parse(given)
    : Number.NaN;
  return Number.isNaN(millis) ? undefined : millis;
});

const smallestRing = 64 * 1024;
/** The kernel takes the size as an unsigned 32-bit number (max_entries). */
const largestRing = 2 ** 31;

const ringBytes = text(
  'a number of bytes that is a power of two, 65536 (64 KiB) to 2147483648 (2 GiB)',
  (given) => {
    const bytes = wholeNumber(given);
    if (bytes === undefined || bytes < smallestRing || bytes > largestRing) return undefined;
    return Number.isInteger(Math.log2(bytes)) ? bytes : undefined;
  },
  { type: 'integer', minimum: smallestRing, maximum: largestRing },
);

const spoolBytes = text(
  '0, or a number of bytes, 1048576 (1 MiB) to 1099511627776 (1 TiB)',
  (given) => {
    const bytes = wholeNumber(given);
    return bytes !== undefined && (bytes === 0 || (bytes >= 2 ** 20 && bytes <= 2 ** 40)) ? bytes : undefined;
  },
  { type: 'integer', minimum: 0, maximum: 2 ** 40 },
);

/** 512 KiB a processor, between 4 and 64 MiB, a power of two. */
export function defaultRingBytes(processors: number): number {
  const wanted = processors * 512 * 1024;
  const power = 2 ** Math.ceil(Math.log2(wanted));
  return Math.min(64 * 1024 * 1024, Math.max(4 * 1024 * 1024, power));
}

/** What the kernel takes as a name (dev_valid_name in net/core/dev.c); `auto` is ours. */
const interfaceName = text('auto, or the name of an interface: 1 to 15 bytes, no blank, slash or colon', (given) => {
  const bytes = Buffer.byteLength(given);
  if (bytes < 1 || bytes > 15 || given === '.' || given === '..') return undefined;
  return /[\0-\x20\x7f/:]/.test(given) ? undefined : given;
});

const ipPrefix: z.ZodType<IpPrefix, string> = z.string().transform((given, context) => {
  const parsed = parsePrefix(given);
  if ('prefix' in parsed) return parsed.prefix;
  context.addIssue({ code: 'custom', message: parsed.allowed });
  return z.NEVER;
});

const secretPattern: z.ZodType<SecretPattern, string> = z.string().transform((given, context) => {
  const parsed = parseSecretPattern(given);
  if ('pattern' in parsed) return parsed.pattern;
  context.addIssue({ code: 'custom', message: `a pattern in RE2's syntax; ${parsed.reason}` });
  return z.NEVER;
});

const packetInterval = text('a time from 100ms to 60s, as in 1s', (given) => {
  const millis = durationMillis(given);
  return millis !== undefined && millis >= 100 && millis <= 60_000 ? millis : undefined;
});

const packetFlows = text(
  'a whole number, 1024 to 16777216',
  (given) => {
    const flows = wholeNumber(given);
    return flows !== undefined && flows >= 1024 && flows <= 2 ** 24 ? flows : undefined;
  },
  { type: 'integer', minimum: 1024, maximum: 2 ** 24 },
);

/** A name ends at the first equals sign. */
const variableName = text('the name of an environment variable, without =', (given) =>
  /^[^=\0]{1,255}$/.test(given) ? given : undefined,
);

/** Kafka allows 249 characters; the longest topic name of ours has 21. */
const topicPrefix = matching('at most 228 letters, digits, dots, dashes and underscores', /^[A-Za-z0-9._-]{0,228}$/);

const topicName = text('the name of a topic: 1 to 249 letters, digits, dots, dashes and underscores', (given) =>
  /^[A-Za-z0-9._-]{1,249}$/.test(given) && given !== '.' && given !== '..' ? given : undefined,
);

const identifier = (allowed: string) => matching(allowed, /^(?!\s)[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,255}(?<!\s)$/u);

interface Label {
  readonly name: string;
  readonly value: string;
}

const label = text<Label>(
  'NAME=VALUE: the name 1 to 63 letters, digits, dots, dashes, underscores and slashes, the value at most 255 characters without control characters',
  (given) => {
    const [, name, value] = /^([A-Za-z0-9._/-]{1,63})=(\P{Cc}{0,255})$/u.exec(given) ?? [];
    return name === undefined || value === undefined ? undefined : { name, value };
  },
);

// ---- The table ----

const none = (): undefined => undefined;
const off = (): boolean => false;

const settings = {
  brokers: setting<readonly string[]>({
    name: 'brokers',
    placeholder: 'HOST:PORT,…',
    description: 'Kafka brokers to ask first',
    value: brokerList,
    fallback: () => [],
  }),
  registry: setting<string | undefined>({
    name: 'registry',
    placeholder: 'URL',
    description: "schema registry that speaks Confluent's API; without one, records name their schema by fingerprint",
    value: registryUrl,
    fallback: none,
  }),
  ...brokerRows,
  ...registryRows,
  registerSchemas: setting({
    name: 'register-schemas',
    description: 'register schemas that the registry lacks, instead of failing',
    value: toggle,
    fallback: off,
  }),
  topicPrefix: setting({
    name: 'topic-prefix',
    placeholder: 'P',
    description: 'put before the name of every topic, as it is',
    fallbackText: 'none',
    value: topicPrefix,
    fallback: () => '',
  }),
  createTopics: setting({
    name: 'create-topics',
    description: 'create topics that are missing, instead of failing',
    value: toggle,
    fallback: off,
  }),
  stateDir: setting({
    name: 'state-dir',
    placeholder: 'DIR',
    description: 'what is kept between starts',
    value: path,
    fallback: () => '/var/lib/bpf2kafka',
  }),
  hostId: setting({
    name: 'host-id',
    placeholder: 'ID',
    description: 'identity of the host, the key of every record',
    fallbackText: 'the content of /etc/machine-id',
    value: identifier('1 to 255 characters without control characters'),
    fallback: machineId,
  }),
  hostName: setting({
    name: 'host-name',
    placeholder: 'NAME',
    description: 'name of the host in every record',
    fallbackText: "the system's host name",
    value: identifier('1 to 255 characters without control characters'),
    fallback: (facts) => facts.hostName,
  }),
  labels: setting<readonly Label[]>({
    name: 'label',
    placeholder: 'K=V',
    repeatable: true,
    description: 'label of this host in the topic bpf2kafka-hosts, as in site=fra1',
    fallbackText: 'none',
    value: list(label, ({ name, value }) => `${name}=${value}`),
    fallback: () => [],
  }),
  clientId: setting({
    name: 'client-id',
    placeholder: 'ID',
    description: 'how the sidecar names itself to the brokers',
    value: identifier('1 to 255 characters without control characters'),
    fallback: () => 'bpf2kafka',
  }),
  onExit: setting<'detach' | 'keep'>({
    name: 'on-exit',
    placeholder: 'detach|keep',
    description: 'whether the kernel goes on capturing for the next start when the sidecar ends',
    value: oneOf('detach', 'keep'),
    fallback: () => 'detach',
  }),
  orphanAfter: setting({
    name: 'orphan-after',
    placeholder: 'TIME',
    description:
      'how long the kernel side goes on when nobody reads it, 1m or more; the time after that counts as unobserved',
    fallbackText: '24h',
    value: orphanTime,
    fallback: () => 24 * 3_600_000,
    shown: durationText,
  }),
  drainTimeout: setting({
    name: 'drain-timeout',
    placeholder: 'TIME',
    description: 'how long to wait at the end for records to be acknowledged (ms, s, m or h)',
    fallbackText: '10s',
    value: duration,
    fallback: () => 10_000,
    shown: durationText,
  }),
  execRingBytes: setting({
    name: 'exec-ring-bytes',
    placeholder: 'N',
    description: "the kernel's buffer for execs, in bytes, a power of two; an eighth more is for what does not fit",
    fallbackText: '512 KiB a processor, 4 to 64 MiB',
    value: ringBytes,
    fallback: (facts) => defaultRingBytes(facts.processors),
  }),
  spoolBytes: setting({
    name: 'spool-bytes',
    placeholder: 'N',
    description:
      'what execs may take on disk, in bytes, while the broker is away and the ring fills: 1048576 (1 MiB) or more, or 0 for nothing',
    fallbackText: '1073741824, 1 GiB',
    value: spoolBytes,
    fallback: () => 2 ** 30,
  }),
  spoolFull: setting<'keep' | 'drop-oldest'>({
    name: 'spool-full',
    placeholder: 'keep|drop-oldest',
    description:
      'what happens when --spool-bytes are used up: the oldest execs are kept and the ring fills, or they are dropped for newer ones; both are counted',
    value: oneOf('keep', 'drop-oldest'),
    fallback: () => 'keep',
  }),
  args: setting<'full' | 'program' | 'none'>({
    name: 'args',
    placeholder: 'full|program|none',
    description: "how much of a program's arguments is captured: all, argv[0] alone, or nothing",
    value: oneOf('full', 'program', 'none'),
    fallback: () => 'full',
  }),
  execEnv: setting<readonly string[]>({
    name: 'exec-env',
    placeholder: 'NAME',
    repeatable: true,
    description: 'environment variable whose value at each exec is captured, as in LD_PRELOAD',
    fallbackText: 'none',
    value: list(variableName, (name) => name),
    fallback: () => [],
  }),
  excludeExe: setting<readonly string[]>({
    name: 'exclude-exe',
    placeholder: 'PATH',
    repeatable: true,
    description: 'file whose execs are counted and not published; with a * at its end all that begin like it',
    fallbackText: 'none',
    value: list(text(exeAllowed, parseExe), (path) => path),
    fallback: () => [],
  }),
  excludeUid: setting<readonly number[]>({
    name: 'exclude-uid',
    placeholder: 'N',
    repeatable: true,
    description: 'user, by number, whose execs are counted and not published',
    fallbackText: 'none',
    value: list(text(uidAllowed, parseUid, { type: 'integer', minimum: 0, maximum: 2 ** 32 - 2 }), String),
    fallback: () => [],
  }),
  excludeCgroupFile: setting<string | undefined>({
    name: 'exclude-cgroup-file',
    placeholder: 'FILE',
    description: 'file with a cgroup a line; execs in one, or below it, are counted and not published',
    fallbackText: 'none',
    value: path,
    fallback: none,
  }),
  failedExecs: setting({
    name: 'failed-execs',
    description: 'capture execs that fail too, with their error',
    value: toggle,
    fallback: off,
  }),
  exitRingBytes: setting({
    name: 'exit-ring-bytes',
    placeholder: 'N',
    description: "the kernel's buffer for exits, in bytes, a power of two",
    fallbackText: 'half of that for execs by default',
    value: ringBytes,
    fallback: (facts) => defaultRingBytes(facts.processors) / 2,
  }),
  noExit: setting({ name: 'no-exit', description: 'capture no exits', value: toggle, fallback: off }),
  pinPath: setting({
    name: 'pin-path',
    placeholder: 'DIR',
    description: 'directory in bpffs that holds the programs and buffers',
    value: path,
    fallback: () => '/sys/fs/bpf/bpf2kafka',
  }),
  compression: setting<'zstd' | 'lz4' | 'snappy' | 'gzip' | 'none'>({
    name: 'compression',
    placeholder: 'zstd|lz4|snappy|gzip|none',
    description: 'compression of the batches',
    value: oneOf('zstd', 'lz4', 'snappy', 'gzip', 'none'),
    fallback: () => 'zstd',
  }),
  maxBytesPerSecond: setting<number | undefined>({
    name: 'max-bytes-per-second',
    placeholder: 'N',
    description: 'limit of what is sent to the brokers',
    fallbackText: 'no limit',
    value: positive,
    fallback: none,
  }),
  ledgerInterval: setting({
    name: 'ledger-interval',
    placeholder: 'TIME',
    description: 'between two entries of the ledger when nothing happens (ms, s, m or h)',
    fallbackText: '10s',
    value: duration,
    fallback: () => 10_000,
    shown: durationText,
  }),
  http: setting<ListenAddress | 'off'>({
    name: 'http',
    placeholder: 'HOST:PORT',
    description: 'where to answer /healthz, /readyz and /metrics, or off',
    fallbackText: '127.0.0.1:8080',
    value: listenAddress,
    fallback: () => ({ host: '127.0.0.1', port: 8080 }),
    shown: (address) => (address === 'off' ? address : `${address.host}:${address.port}`),
  }),
  interfaces: setting<readonly string[]>({
    name: 'interface',
    placeholder: 'NAME',
    repeatable: true,
    description: 'interface whose incoming packets are counted; auto is every physical interface that is up',
    fallbackText: 'auto',
    value: list(interfaceName, (name) => name),
    fallback: () => ['auto'],
  }),
  excludeIp: setting<readonly IpPrefix[]>({
    name: 'exclude-ip',
    placeholder: 'CIDR',
    repeatable: true,
    description:
      'address or network, as in 10.0.0.0/8 or 2001:db8::/32, whose packets, from it or to it, are counted in one sum, as filtered',
    fallbackText: 'none',
    value: list(ipPrefix, prefixText),
    fallback: () => [],
  }),
  packetInterval: setting({
    name: 'interval',
    placeholder: 'TIME',
    description: 'what one packet count covers, 100ms to 60s; longer while the broker is away',
    fallbackText: '1s',
    value: packetInterval,
    fallback: () => 1_000,
    shown: durationText,
  }),
  packetKey: setting<PacketKeyKind>({
    name: 'packet-key',
    placeholder: packetKeyKinds.join('|'),
    description:
      'what packets are counted by: flow (protocol, both addresses and ports, VLAN), service (flow without the source port), hosts (both addresses), example (protocol, source address, both ports)',
    value: oneOf(...packetKeyKinds),
    fallback: () => 'flow',
  }),
  packetBudget: setting({
    name: 'packet-budget',
    placeholder: 'N',
    description: 'packet records a second on average; over it the interval grows, to 60s at most, and no count is lost',
    fallbackText: '5000',
    value: positive,
    fallback: () => 5_000,
  }),
  packetFlows: setting({
    name: 'packet-flows',
    placeholder: 'N',
    description:
      'keys of one interval that the kernel has room for, 1024 to 16777216; packets of the others are counted in one sum, as overflow',
    fallbackText: '131072',
    value: packetFlows,
    fallback: () => 131_072,
  }),
  noPackets: setting({ name: 'no-packets', description: 'count no packets', value: toggle, fallback: off }),
  redact: setting<readonly SecretPattern[]>({
    name: 'redact',
    placeholder: 'REGEX',
    repeatable: true,
    separator: '\n',
    description:
      "pattern in RE2's syntax whose matches in arguments and paths are published as ***; of one with a group named secret, only that group",
    fallbackText: 'none',
    value: list(secretPattern, ({ source }) => source, '\n'),
    fallback: () => [],
  }),
  noRedactDefaults: setting({
    name: 'no-redact-defaults',
    description: 'do not hide what looks like a password, a token or a key',
    value: toggle,
    fallback: off,
  }),
  logLevel: setting<LogLevel>({
    name: 'log-level',
    placeholder: 'LEVEL',
    description: 'debug, info, warn, error or silent',
    value: oneOf('debug', 'info', 'warn', 'error', 'silent'),
    fallback: () => 'info',
  }),
  json: setting({ name: 'json', description: 'one JSON object a line', value: toggle, fallback: off }),
  format: setting<SiemFormat | undefined>({
    name: 'format',
    placeholder: siemFormats.join('|'),
    description: 'documents for security tools, as JSON lines; sigma of exec only',
    value: oneOf(...siemFormats),
    fallback: none,
  }),
  to: setting<string | undefined>({
    name: 'to',
    placeholder: 'TOPIC',
    description:
      'write the documents to this topic (its full name) instead of printing them; needs --format and --group',
    value: topicName,
    fallback: none,
  }),
  group: setting<string | undefined>({
    name: 'group',
    placeholder: 'GROUP',
    description: 'consumer group that remembers what --to has written; a new one begins with the oldest record',
    value: identifier('1 to 255 characters without control characters'),
    fallback: none,
  }),
  fromBeginning: setting({
    name: 'from-beginning',
    description: 'start with the oldest record instead of the next one',
    value: toggle,
    fallback: off,
  }),
  limit: setting<number | undefined>({
    name: 'limit',
    placeholder: 'N',
    description: 'end after N records; of packets without --json, after N tables',
    fallbackText: 'no limit',
    value: positive,
    fallback: none,
  }),
  since: setting<number | undefined>({
    name: 'since',
    placeholder: 'TIME',
    description: 'only entries of the ledger that begin at this time or later',
    fallbackText: 'the oldest',
    value: moment,
    fallback: none,
  }),
  until: setting<number | undefined>({
    name: 'until',
    placeholder: 'TIME',
    description: 'only entries of the ledger that end at this time or earlier',
    fallbackText: 'the newest',
    value: moment,
    fallback: none,
  }),
  register: setting({
    name: 'register',
    description: 'register the schema; needs --registry',
    value: toggle,
    fallback: off,
  }),
  dryRun: setting({
    name: 'dry-run',
    description: 'print the settings that hold, each with where it comes from, as a configuration file; start nothing',
    value: toggle,
    fallback: off,
  }),
  discard: setting({
    name: 'discard',
    description: 'detach although records wait that no broker has acknowledged, and count them as lost',
    value: toggle,
    fallback: off,
  }),
};

type Name = keyof typeof settings;

const runNames = [
  'brokers',
  ...brokerSecurityNames,
  'registry',
  ...registrySecurityNames,
  'registerSchemas',
  'topicPrefix',
  'createTopics',
  'stateDir',
  'hostId',
  'hostName',
  'labels',
  'clientId',
  'onExit',
  'orphanAfter',
  'drainTimeout',
  'execRingBytes',
  'spoolBytes',
  'spoolFull',
  'args',
  'execEnv',
  'excludeExe',
  'excludeUid',
  'excludeCgroupFile',
  'failedExecs',
  'exitRingBytes',
  'noExit',
  'pinPath',
  'compression',
  'maxBytesPerSecond',
  'ledgerInterval',
  'http',
  'interfaces',
  'excludeIp',
  'packetInterval',
  'packetKey',
  'packetBudget',
  'packetFlows',
  'noPackets',
  'redact',
  'noRedactDefaults',
  'logLevel',
] as const satisfies readonly Name[];
const tailNames = [
  'brokers',
  ...brokerSecurityNames,
  'registry',
  ...registrySecurityNames,
  'topicPrefix',
  'json',
  'format',
  'to',
  'group',
  'fromBeginning',
  'limit',
] as const satisfies readonly Name[];
const auditNames = [
  'brokers',
  ...brokerSecurityNames,
  'registry',
  ...registrySecurityNames,
  'topicPrefix',
  'json',
  'since',
  'until',
] as const satisfies readonly Name[];
const schemaNames = [
  'register',
  'registry',
  ...registrySecurityNames,
  'topicPrefix',
  'logLevel',
] as const satisfies readonly Name[];
const detachNames = ['discard', 'pinPath', 'stateDir', 'logLevel'] as const satisfies readonly Name[];

/** What the command line offers for a command, in this order. */
export interface Option {
  readonly name: string;
  readonly placeholder: string | undefined;
  readonly repeatable: boolean;
  readonly description: string;
}

export type CommandName = 'run' | 'start' | 'check' | 'tail' | 'audit' | 'schema' | 'detach';

export function optionsOf(command: CommandName): readonly Option[] {
  const names: Readonly<Record<CommandName, readonly Name[]>> = {
    run: [...runNames, 'dryRun'],
    start: runNames,
    check: [...runNames, 'json'],
    tail: tailNames,
    audit: auditNames,
    schema: schemaNames,
    detach: detachNames,
  };
  const rows = names[command].map((name): Setting<unknown> => settings[name]);
  const options = rows
    .filter(({ secret = false }) => !secret)
    .map((row) => {
      const { name: flag, placeholder, repeatable = false } = row;
      const description = `${row.description}${repeatable ? '; repeatable' : ''}${shownFallback(row)}`;
      return { name: flag, placeholder, repeatable, description };
    });
  if (command === 'detach') return options;
  const file = {
    name: configName,
    placeholder: 'FILE',
    repeatable: false,
    description: 'YAML file with settings: the names of these options without the dashes',
  };
  return [file, ...options];
}

const noFacts: HostFacts = { processors: 1, hostName: '', machineId: undefined };

function shownFallback(row: Setting<unknown>): string {
  if (row.fallbackText !== undefined) return ` (default: ${row.fallbackText})`;
  const value = row.fallback(noFacts);
  return typeof value === 'string' ? ` (default: ${value})` : '';
}

// ---- Where values come from ----

const configName = 'config';

interface Given {
  /** Of a list the items with the setting's separator between. */
  readonly text: string;
  /** Completes 'from …'. */
  readonly origin: string;
  /** The configuration file, when it comes from there. */
  readonly file?: string;
}

/** A setting's value as it was given: flags over environment over file. */
type Lookup = (name: string) => Given | undefined;

function lookupIn(flags: Flags, environment: Environment, file: ReadonlyMap<string, Given>): Lookup {
  return (name) => {
    const flag = flags[name];
    if (flag !== undefined) {
      const text = Array.isArray(flag) ? flag.join(separatorOf(name)) : String(flag);
      return { text, origin: 'the command line' };
    }
    const variable = environmentName(name);
    const inherited = environment[variable];
    // Compose files and unit files pass a variable on as empty when it is not set.
    if (inherited !== undefined && inherited !== '') return { text: inherited, origin: `the environment, ${variable}` };
    return file.get(name);
  };
}

/** With the file that `--config` names. */
function lookupOf(flags: Flags, environment: Environment): Lookup {
  const fileName = lookupIn(flags, environment, new Map())(configName)?.text;
  return lookupIn(flags, environment, fileName === undefined ? new Map() : readFile(fileName));
}

function separatorOf(name: string): string {
  const rows: readonly Setting<unknown>[] = Object.values(settings);
  return rows.find((row) => row.name === name)?.separator ?? ',';
}

function read<Value>(row: Setting<Value>, lookup: Lookup, facts: HostFacts): Value {
  const given = lookup(row.name);
  if (given === undefined) return row.fallback(facts);
  const result = row.value.safeParse(given.text);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const at = issue?.path[0];
  // Of a list only the item that is wrong.
  const wrong = typeof at === 'number' ? itemsOf(given.text, row.separator)[at] : given.text;
  const shown = row.secret ? row.name : `--${row.name} ${JSON.stringify(withoutPassword(wrong ?? ''))}`;
  throw configError({
    operation: 'use',
    subject: `${shown} (from ${given.origin})`,
    reason: `it must be ${issue?.message}`,
  });
}

/** An address with user and password in it is refused, not repeated. */
function withoutPassword(text: string): string {
  return text.replace(/\/\/[^/\s]*@/, '//***@');
}

function machineId(facts: HostFacts): string {
  const id = facts.machineId?.trim();
  // systemd writes 'uninitialized' until the first boot has finished; many hosts would share it as their key.
  if (id !== undefined && /^[0-9a-f]{32}$/.test(id)) return id;
  const state = facts.machineId === undefined ? 'is missing' : id === '' ? 'is empty' : 'holds no machine id';
  throw configError({
    operation: 'tell which host this is',
    reason: `/etc/machine-id ${state}`,
    remedy: "give --host-id, or mount the host's /etc/machine-id",
  });
}

export function hostFacts(): HostFacts {
  let machineIdText: string | undefined;
  try {
    machineIdText = readFileSync('/etc/machine-id', 'utf8');
  } catch {
    machineIdText = undefined;
  }
  // Every processor of the host, not only those that this process may use: the kernel captures on all.
  return { processors: cpus().length, hostName: hostname(), machineId: machineIdText };
}

/** Settings of `run`, and of `start`, for which `brokers` may be absent. Fails with ERR_CONFIG. */
export function loadRunConfig(
  command: 'run' | 'start',
  flags: Flags,
  environment: Environment,
  facts: HostFacts = hostFacts(),
): RunConfig {
  const lookup = lookupOf(flags, environment);
  const http = read(settings.http, lookup, facts);
  const brokers = command === 'run' ? requiredBrokers(lookup, facts) : read(settings.brokers, lookup, facts);
  const security = readBrokerSecurity(givenIn(lookup, facts));
  if (brokers.length === 0 && (security.tls ?? security.sasl) !== undefined) throw noBrokersToSecure();
  return {
    brokers,
    security,
    ...readRegistry(lookup, facts),
    registerSchemas: read(settings.registerSchemas, lookup, facts),
    topicPrefix: read(settings.topicPrefix, lookup, facts),
    createTopics: read(settings.createTopics, lookup, facts),
    stateDir: read(settings.stateDir, lookup, facts),
    hostId: read(settings.hostId, lookup, facts),
    hostName: read(settings.hostName, lookup, facts),
    labels: readLabels(lookup, facts),
    configHash: hashOf(lookup),
    clientId: read(settings.clientId, lookup, facts),
    onExit: read(settings.onExit, lookup, facts),
    orphanAfterMillis: read(settings.orphanAfter, lookup, facts),
    drainTimeoutMillis: read(settings.drainTimeout, lookup, facts),
    execRingBytes: read(settings.execRingBytes, lookup, facts),
    exitRingBytes: readExits(lookup, facts),
    spoolBytes: read(settings.spoolBytes, lookup, facts),
    spoolFull: read(settings.spoolFull, lookup, facts),
    args: read(settings.args, lookup, facts),
    execEnv: read(settings.execEnv, lookup, facts),
    failedExecs: read(settings.failedExecs, lookup, facts),
    execFilters: {
      exes: read(settings.excludeExe, lookup, facts),
      uids: read(settings.excludeUid, lookup, facts),
      cgroups: readCgroups(read(settings.excludeCgroupFile, lookup, facts)),
    },
    pinPath: read(settings.pinPath, lookup, facts),
    compression: read(settings.compression, lookup, facts),
    maxBytesPerSecond: read(settings.maxBytesPerSecond, lookup, facts),
    ledgerIntervalMillis: read(settings.ledgerInterval, lookup, facts),
    http: http === 'off' ? undefined : http,
    serviceManager: readServiceManager(environment),
    packets: readPackets(lookup, facts),
    redaction: {
      defaults: !read(settings.noRedactDefaults, lookup, facts),
      patterns: read(settings.redact, lookup, facts),
    },
    logLevel: read(settings.logLevel, lookup, facts),
  };
}

/** The same settings from the same places as `run`. Fails with ERR_CONFIG. */
export function loadCheckConfig(flags: Flags, environment: Environment, facts: HostFacts = hostFacts()): CheckConfig {
  const json = read(settings.json, lookupIn(flags, environment, new Map()), facts);
  return { ...loadRunConfig('run', flags, environment, facts), json };
}

/** Whether `run` is only to say what it would do. */
export function isDryRun(flags: Flags, environment: Environment): boolean {
  return read(settings.dryRun, lookupIn(flags, environment, new Map()), noFacts);
}

/** One setting of `run` as it holds. */
export interface EffectiveSetting {
  readonly name: string;
  /** As it stands in the file, one that is repeatable as a list, a secret as `***`; undefined: it has no value. */
  readonly value: string | readonly string[] | undefined;
  /** `the command line`, `the environment, NAME`, `FILE, line N`; undefined: the default. */
  readonly origin: string | undefined;
}

/** Of settings that `loadRunConfig` has accepted. */
export function effectiveSettings(
  flags: Flags,
  environment: Environment,
  facts: HostFacts = hostFacts(),
): readonly EffectiveSetting[] {
  const lookup = lookupOf(flags, environment);
  return runNames.map((setting) => {
    const row: Setting<unknown> = settings[setting];
    const { name, secret = false, repeatable = false, separator } = row;
    const given = lookup(name);
    if (given === undefined) return { name, value: fallbackText(row, facts), origin: undefined };
    const { text: value, origin } = given;
    if (secret) return { name, value: '***', origin };
    return { name, value: repeatable ? itemsOf(value, separator) : value, origin };
  });
}

function fallbackText(row: Setting<unknown>, facts: HostFacts): EffectiveSetting['value'] {
  const value = row.fallback(facts);
  // No default is a list that has something in it but this.
  if (Array.isArray(value)) return value.length > 0 ? value.map(String) : undefined;
  return value === undefined ? undefined : (row.shown?.(value) ?? String(value));
}

/** Of the configuration file, as JSON Schema. */
export function fileSchema(): InFile {
  const rows = runNames.map((setting): Setting<unknown> => settings[setting]);
  const properties = rows.map((row) => [row.name, { description: row.description, ...inFileOf(row.value) }]);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Configuration file of bpf2kafka',
    description: 'What `bpf2kafka run --config FILE` takes: the names of its options without the dashes.',
    type: ['object', 'null'],
    additionalProperties: false,
    properties: Object.fromEntries(properties),
  };
}

function givenIn(lookup: Lookup, facts: HostFacts): GivenSettings {
  return { value: (row) => read(row, lookup, facts), fileOf: ({ name }) => lookup(name)?.file };
}

function readRegistry(lookup: Lookup, facts: HostFacts): Pick<RunConfig, 'registry' | 'registrySecurity'> {
  const registry = read(settings.registry, lookup, facts);
  return { registry, registrySecurity: readRegistrySecurity(givenIn(lookup, facts), registry) };
}

function readLabels(lookup: Lookup, facts: HostFacts): RunConfig['labels'] {
  const labels = new Map<string, string>();
  for (const { name, value } of read(settings.labels, lookup, facts)) {
    if (labels.has(name))
      throw configError({
        operation: 'use',
        subject: `--label ${name}=${value}`,
        reason: `it has the value ${labels.get(name)} as well`,
        remedy: 'give each label once',
      });
    labels.set(name, value);
  }
  return Object.fromEntries(labels);
}

/** Hosts that are set up alike have the same, whatever they are called. */
function hashOf(lookup: Lookup): string {
  const ofHost: readonly Name[] = ['hostId', 'hostName', 'labels'];
  const rows = runNames.filter((name) => !ofHost.includes(name)).map((name): Setting<unknown> => settings[name]);
  const given = rows.filter(({ secret = false }) => !secret).map(({ name }) => [name, lookup(name)?.text ?? null]);
  return createHash('sha256').update(JSON.stringify(given)).digest('hex');
}

function readExits(lookup: Lookup, facts: HostFacts): number | undefined {
  // As with packets, a wrong size is refused even where there is no ring.
  const bytes = read(settings.exitRingBytes, lookup, facts);
  return read(settings.noExit, lookup, facts) ? undefined : bytes;
}

function readPackets(lookup: Lookup, facts: HostFacts): PacketsConfig | undefined {
  // All are read, so that a wrong one is refused even where it would not matter.
  const packets = {
    interfaces: read(settings.interfaces, lookup, facts),
    excluded: read(settings.excludeIp, lookup, facts),
    intervalMillis: read(settings.packetInterval, lookup, facts),
    keyKind: read(settings.packetKey, lookup, facts),
    budget: read(settings.packetBudget, lookup, facts),
    flows: read(settings.packetFlows, lookup, facts),
  };
  return read(settings.noPackets, lookup, facts) ? undefined : packets;
}

export function loadTailConfig(flags: Flags, environment: Environment): TailConfig {
  const lookup = lookupOf(flags, environment);
  return {
    brokers: requiredBrokers(lookup, noFacts),
    security: readBrokerSecurity(givenIn(lookup, noFacts)),
    ...readRegistry(lookup, noFacts),
    topicPrefix: read(settings.topicPrefix, lookup, noFacts),
    json: read(settings.json, lookup, noFacts),
    ...readDocuments(lookup),
    fromBeginning: read(settings.fromBeginning, lookup, noFacts),
    limit: read(settings.limit, lookup, noFacts),
  };
}

function readDocuments(lookup: Lookup): Pick<TailConfig, 'format' | 'forward'> {
  const format = read(settings.format, lookup, noFacts);
  const topic = read(settings.to, lookup, noFacts);
  const group = read(settings.group, lookup, noFacts);
  const refuse = (flags: string, reason: string, remedy: string) =>
    configError({ operation: 'use', subject: flags, reason, remedy });
  if (format !== undefined && read(settings.json, lookup, noFacts))
    throw refuse('--format with --json', 'both say what is printed', 'leave one of them out');
  if (topic === undefined && group === undefined) return { format, forward: undefined };
  if (topic === undefined) throw refuse('--group', 'without --to nothing is remembered', 'give --to TOPIC');
  if (format === undefined)
    throw refuse('--to', '--format is not given', `give --format, one of ${siemFormats.join(', ')}`);
  if (group === undefined)
    throw refuse(
      '--to',
      '--group is not given',
      'give --group GROUP, so that the next start goes on where this one ends',
    );
  if (read(settings.fromBeginning, lookup, noFacts))
    throw refuse('--from-beginning with --to', 'the group says where to begin', 'give a new --group to begin anew');
  return { format, forward: { topic, group } };
}

export function loadAuditConfig(flags: Flags, environment: Environment): AuditConfig {
  const lookup = lookupOf(flags, environment);
  return {
    brokers: requiredBrokers(lookup, noFacts),
    security: readBrokerSecurity(givenIn(lookup, noFacts)),
    ...readRegistry(lookup, noFacts),
    topicPrefix: read(settings.topicPrefix, lookup, noFacts),
    json: read(settings.json, lookup, noFacts),
    since: read(settings.since, lookup, noFacts),
    until: read(settings.until, lookup, noFacts),
  };
}

export function loadSchemaConfig(flags: Flags, environment: Environment): SchemaConfig {
  const lookup = lookupOf(flags, environment);
  return {
    register: read(settings.register, lookup, noFacts),
    ...readRegistry(lookup, noFacts),
    topicPrefix: read(settings.topicPrefix, lookup, noFacts),
    logLevel: read(settings.logLevel, lookup, noFacts),
  };
}

export function loadDetachConfig(flags: Flags, environment: Environment): DetachConfig {
  const lookup = lookupIn(flags, environment, new Map());
  return {
    discard: read(settings.discard, lookup, noFacts),
    pinPath: read(settings.pinPath, lookup, noFacts),
    stateDir: read(settings.stateDir, lookup, noFacts),
    logLevel: read(settings.logLevel, lookup, noFacts),
  };
}

/** sd_notify(3), sd_watchdog_enabled(3). */
function readServiceManager(environment: Environment): ServiceManagerConfig | undefined {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: micros, WATCHDOG_PID: pid } = environment;
  if (socket === undefined || socket === '') return undefined;
  const watched = pid === undefined || Number(pid) === process.pid;
  const watchdogMillis = watched && micros !== undefined ? Math.floor(Number(micros) / 1000) : 0;
  return { socket, watchdogMillis: watchdogMillis > 0 ? watchdogMillis : undefined };
}

function requiredBrokers(lookup: Lookup, facts: HostFacts): readonly string[] {
  const brokers = read(settings.brokers, lookup, facts);
  if (brokers.length > 0) return brokers;
  throw configError({
    operation: 'tell which Kafka to use',
    reason: '--brokers is not given',
    remedy: `give --brokers HOST:PORT or ${environmentName('brokers')}`,
  });
}

function noBrokersToSecure() {
  return configError({
    operation: 'use TLS or SASL',
    reason: 'the Kafka that is started when no --brokers is given has neither',
    remedy: 'give --brokers as well',
  });
}

// ---- Files ----

function readCgroups(name: string | undefined): readonly string[] {
  if (name === undefined) return [];
  const fail = (reason: string) => configError({ operation: 'use the list of cgroups in', subject: name, reason });
  let content: string;
  try {
    content = readFileSync(name, 'utf8');
  } catch (error) {
    throw fail(reasonOf(error));
  }
  const parsed = parseCgroups(content);
  if ('cgroups' in parsed) return parsed.cgroups;
  throw fail(`line ${parsed.line}: it must be ${parsed.allowed}`);
}

function readFile(name: string): Map<string, Given> {
  const fail = (reason: string, remedy?: string) =>
    configError({
      operation: 'use the configuration file',
      subject: name,
      reason,
      ...(remedy === undefined ? {} : { remedy }),
    });

  let content: string;
  try {
    content = readFileSync(name, 'utf8');
  } catch (error) {
    throw fail(reasonOf(error), 'check --config');
  }
  const lines = new LineCounter();
  // Every scalar as the text that stands there: a host id of digits stays what it is.
  const document = parseDocument(content, { schema: 'failsafe', lineCounter: lines });
  const broken = document.errors[0];
  if (broken !== undefined) {
    const { line, col } = lines.linePos(broken.pos[0]);
    throw fail(`line ${line}, column ${col}: ${broken.message.split(/ at line \d+|\n/)[0]}`);
  }
  const values = new Map<string, Given>();
  // An empty file, or one of comments only, sets nothing.
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === '')) return values;
  if (!isMap(document.contents)) throw fail('it must hold one `name: value` a line');

  const known = runNames.map((setting) => settings[setting].name);
  for (const { key, value } of document.contents.items) {
    const line = isScalar(key) ? lines.linePos(key.range?.[0] ?? 0).line : 1;
    const setting = String(key);
    if (!known.includes(setting)) {
      throw fail(
        `line ${line}: it knows no setting ${JSON.stringify(setting)}`,
        `the nearest is '${nearest(setting, known)}'`,
      );
    }
    const parts = isSeq(value) ? value.items : [value];
    if (!parts.every((part) => part === null || isScalar(part))) {
      throw fail(`line ${line}: ${setting} must be a value or a list of values`);
    }
    const given = parts.map((part) => (part === null ? '' : String(part.value ?? ''))).join(separatorOf(setting));
    if (given !== '') values.set(setting, { text: given, origin: `${name}, line ${line}`, file: name });
  }
  return values;
}

/** The name with the fewest letters to change. */
function nearest(wrong: string, names: readonly string[]): string {
  const given = wrong.toLowerCase().replaceAll('_', '-');
  return names.toSorted((a, b) => distance(given, a) - distance(given, b))[0] as string;
}

/** Levenshtein's distance, one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
