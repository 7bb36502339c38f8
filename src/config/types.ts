import type { ExecFilters } from '../exec-filters.ts';
import type { IpPrefix } from '../ip-prefix.ts';
import type { LogLevel } from '../log.ts';
import type { PacketKeyKind } from '../schemas/packet-count.ts';
import type { SecretPattern } from '../secret-pattern.ts';
import type { BrokerSecurity, RegistrySecurity, Secret } from '../security.ts';
import type { SiemFormat } from '../siem/formats.ts';

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
  /** Goes on with what another process has attached, and loads nothing; then `onExit` is `keep`. */
  readonly attached: boolean;
  /** So long after the last sign of a reader the kernel side stops to capture. */
  readonly orphanAfterMillis: number;
  readonly drainTimeoutMillis: number;
  /** Undefined when execs are not captured. */
  readonly execRingBytes: number | undefined;
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
  /** Execs that fail are captured too. */
  readonly failedExecs: boolean;
  /** Execs that are counted and not captured; what SIGHUP reads again. */
  readonly execFilters: ExecFilters;
  readonly pinPath: string;
  readonly compression: 'zstd' | 'lz4' | 'snappy' | 'gzip' | 'none';
  readonly maxBytesPerSecond: number | undefined;
  readonly ledgerIntervalMillis: number;
  /** Where to answer over HTTP; undefined for nowhere. */
  readonly http: ListenAddress | undefined;
  /** What opens the command lines on the live page; undefined: one is made at the start. */
  readonly httpToken: Extract<Secret, { kind: 'text' }> | undefined;
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

/** What shapes a capture. */
export type CaptureConfig = Pick<
  RunConfig,
  | 'onExit'
  | 'attached'
  | 'orphanAfterMillis'
  | 'execRingBytes'
  | 'exitRingBytes'
  | 'args'
  | 'execEnv'
  | 'failedExecs'
  | 'execFilters'
  | 'pinPath'
  | 'packets'
>;

export interface AttachConfig extends CaptureConfig {
  /** Who may read it. */
  readonly user: UserIds;
  readonly logLevel: LogLevel;
}

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
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
  /** Begins with the first record of this time or later, milliseconds since 1970. */
  readonly since: number | undefined;
  /** Ends at the end that the topic has at the start; begins at its beginning when nothing else is said. */
  readonly untilEnd: boolean;
  readonly limit: number | undefined;
}

export interface ForwardConfig {
  /** Full name. */
  readonly topic: string;
  /** Full name of the topic of what that one refuses. */
  readonly deadLetter: string | undefined;
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
