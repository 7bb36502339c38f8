import { exeAllowed, parseExe, parseUid, uidAllowed } from '../exec-filters.ts';
import { type IpPrefix, prefixText } from '../ip-prefix.ts';
import type { LogLevel } from '../log.ts';
import { type PacketKeyKind, packetKeyKinds } from '../schemas/packet-count.ts';
import type { SecretPattern } from '../secret-pattern.ts';
import { oneOf, path, type Setting, setting, text, toggle } from '../setting.ts';
import { type SiemFormat, siemFormats } from '../siem/formats.ts';
import { brokerRows, registryRows } from '../wire-settings.ts';
import { machineId } from './host-facts.ts';
import { httpTokenRows } from './http-token.ts';
import type { ListenAddress } from './types.ts';
import { type GivenUser, givenUser } from './user.ts';
import {
  brokerList,
  defaultRingBytes,
  duration,
  durationText,
  identifier,
  interfaceName,
  ipPrefix,
  type Label,
  label,
  list,
  listenAddress,
  moment,
  orphanTime,
  packetFlows,
  packetInterval,
  positive,
  registryUrl,
  ringBytes,
  secretPattern,
  spoolBytes,
  topicName,
  topicPrefix,
  variableName,
} from './values.ts';

/** Every setting of every command, a row each. */

const none = (): undefined => undefined;
const off = (): boolean => false;

export const settings = {
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
    description:
      'whether the kernel goes on capturing for the next start when the sidecar ends; with --attached it does',
    value: oneOf('detach', 'keep'),
    fallback: () => 'detach',
  }),
  attached: setting({
    name: 'attached',
    description: 'go on with what `bpf2kafka attach` has attached with the same settings, without any capability',
    value: toggle,
    fallback: off,
  }),
  user: setting<GivenUser | undefined>({
    name: 'user',
    placeholder: 'NAME|UID[:GID]',
    description: 'who may read the capture with `run --attached`; without GID, the group that /etc/passwd has',
    fallbackText: 'who attaches',
    value: givenUser,
    fallback: none,
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
  noExec: setting({ name: 'no-exec', description: 'capture no execs', value: toggle, fallback: off }),
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
    description: 'where the live page is, and /json, /events, /healthz, /readyz and /metrics; or off',
    fallbackText: '127.0.0.1:8080',
    value: listenAddress,
    fallback: () => ({ host: '127.0.0.1', port: 8080 }),
    shown: (address) => (address === 'off' ? address : `${address.host}:${address.port}`),
  }),
  ...httpTokenRows,
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
  deadLetter: setting<string | undefined>({
    name: 'dead-letter',
    placeholder: 'TOPIC',
    description:
      'topic (its full name) for documents that the topic of --to refuses; without it they are held and tried again',
    value: topicName,
    fallback: none,
  }),
  fromBeginning: setting({
    name: 'from-beginning',
    description: 'start with the oldest record instead of the next one',
    value: toggle,
    fallback: off,
  }),
  untilEnd: setting({
    name: 'until-end',
    description: 'print what the topic holds now, from --since or its beginning, and end',
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
    description:
      'begin with what is of this time or later, as in 2026-11-24T22:00:00Z, or 10m for ten minutes ago; of audit, entries of the ledger',
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

export type Name = keyof typeof settings;

/** Between the items of a list, by the name of its flag. */
export function separatorOf(name: string): string {
  const rows: readonly Setting<unknown>[] = Object.values(settings);
  return rows.find((row) => row.name === name)?.separator ?? ',';
}
