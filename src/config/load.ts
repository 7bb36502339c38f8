import { readFileSync } from 'node:fs';
import { reasonOf } from '../errors.ts';
import { parseCgroups, ruleNames } from '../exec-filters.ts';
import { configError, environmentName, type HostFacts } from '../setting.ts';
import { siemFormats } from '../siem/formats.ts';
import { type GivenSettings, readBrokerSecurity, readRegistrySecurity } from '../wire-settings.ts';
import { hashOf } from './effective.ts';
import { hostFacts } from './host-facts.ts';
import { readHttpToken } from './http-token.ts';
import { type Lookup, lookupIn, lookupOf, read } from './lookup.ts';
import { noFacts } from './options.ts';
import { settings } from './settings.ts';
import type {
  AttachConfig,
  AuditConfig,
  CaptureConfig,
  CheckConfig,
  DetachConfig,
  Environment,
  Flags,
  PacketsConfig,
  RunConfig,
  SchemaConfig,
  ServiceManagerConfig,
  TailConfig,
} from './types.ts';
import { idsOf } from './user.ts';

/** From flags, environment and file to the settings of each command. */

/** Settings of `run`, and of `start`, for which `brokers` may be absent. Fails with ERR_CONFIG. */
export function loadRunConfig(
  command: 'run' | 'start',
  flags: Flags,
  environment: Environment,
  facts: HostFacts = hostFacts(),
): RunConfig {
  const lookup = lookupOf(flags, environment);
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
    ...readCapture(lookup, facts),
    ...readEnd(lookup, facts),
    drainTimeoutMillis: read(settings.drainTimeout, lookup, facts),
    spoolBytes: read(settings.spoolBytes, lookup, facts),
    spoolFull: read(settings.spoolFull, lookup, facts),
    compression: read(settings.compression, lookup, facts),
    maxBytesPerSecond: read(settings.maxBytesPerSecond, lookup, facts),
    ledgerIntervalMillis: read(settings.ledgerInterval, lookup, facts),
    ...readHttp(lookup, facts),
    serviceManager: readServiceManager(environment),
    redaction: {
      defaults: !read(settings.noRedactDefaults, lookup, facts),
      patterns: read(settings.redact, lookup, facts),
    },
    logLevel: read(settings.logLevel, lookup, facts),
  };
}

/** From the same places as `run`, so that one file is for both; `--user` is no setting of the file. Fails with ERR_CONFIG. */
export function loadAttachConfig(flags: Flags, environment: Environment, facts: HostFacts = hostFacts()): AttachConfig {
  const lookup = lookupOf(flags, environment);
  const user = read(settings.user, lookupIn(flags, environment, new Map()), facts);
  const self = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  return {
    ...readCapture(lookup, facts),
    // Of an attach that comes to nothing.
    onExit: 'detach',
    attached: false,
    user: user === undefined ? self : idsOf(user),
    logLevel: read(settings.logLevel, lookup, facts),
  };
}

function readCapture(lookup: Lookup, facts: HostFacts): Omit<CaptureConfig, 'onExit' | 'attached'> {
  const capture = {
    orphanAfterMillis: read(settings.orphanAfter, lookup, facts),
    execRingBytes: readRing(lookup, facts, settings.execRingBytes, settings.noExec),
    exitRingBytes: readRing(lookup, facts, settings.exitRingBytes, settings.noExit),
    args: read(settings.args, lookup, facts),
    execEnv: read(settings.execEnv, lookup, facts),
    failedExecs: read(settings.failedExecs, lookup, facts),
    execFilters: {
      exes: read(settings.excludeExe, lookup, facts),
      uids: read(settings.excludeUid, lookup, facts),
      cgroups: readCgroups(read(settings.excludeCgroupFile, lookup, facts)),
    },
    pinPath: read(settings.pinPath, lookup, facts),
    packets: readPackets(lookup, facts),
  };
  refuseWithoutExecs(capture);
  return capture;
}

/** What only makes sense with execs; what was given for nothing would be missed later. */
function refuseWithoutExecs({
  execRingBytes,
  exitRingBytes,
  packets,
  failedExecs,
  execFilters,
}: Omit<CaptureConfig, 'onExit' | 'attached'>): void {
  if (execRingBytes !== undefined) return;
  const remedy = 'leave one of them out';
  if (exitRingBytes === undefined && packets === undefined)
    throw configError({
      operation: 'use',
      subject: '--no-exec with --no-exit and --no-packets',
      reason: 'nothing would be captured',
      remedy,
    });
  if (failedExecs)
    throw configError({
      operation: 'use',
      subject: '--no-exec with --failed-execs',
      reason: 'these are execs',
      remedy,
    });
  if (ruleNames(execFilters).length > 0)
    throw configError({
      operation: 'use',
      subject: '--no-exec with rules that exclude execs',
      reason: 'an exit is kept out when its exec was, and no exec would be looked at',
      remedy,
    });
}

function readEnd(lookup: Lookup, facts: HostFacts): Pick<RunConfig, 'onExit' | 'attached'> {
  const attached = read(settings.attached, lookup, facts);
  const onExit = read(settings.onExit, lookup, facts);
  if (!attached) return { onExit, attached };
  const given = lookup(settings.onExit.name);
  if (given !== undefined && onExit === 'detach')
    throw configError({
      operation: 'use',
      subject: `--on-exit detach with --attached (from ${given.origin})`,
      reason: 'to take programs out of the kernel is what --attached has no right to',
      remedy: 'leave it out, and end the capture with `bpf2kafka detach` as root',
    });
  return { onExit: 'keep', attached };
}

function readHttp(lookup: Lookup, facts: HostFacts): Pick<RunConfig, 'http' | 'httpToken'> {
  const http = read(settings.http, lookup, facts);
  const httpToken = readHttpToken(givenIn(lookup, facts));
  if (http !== 'off') return { http, httpToken };
  const off = lookup(settings.http.name);
  for (const { name } of [settings.httpToken, settings.httpTokenFile]) {
    const given = lookup(name);
    if (given === undefined) continue;
    throw configError({
      operation: 'use',
      subject: `--${name} (from ${given.origin}) with --http off (from ${off?.origin})`,
      reason: 'there is no page that it would open',
      remedy: 'leave one of them out',
    });
  }
  return { http: undefined, httpToken };
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

/** Undefined when there is to be none. */
function readRing(
  lookup: Lookup,
  facts: HostFacts,
  size: typeof settings.execRingBytes,
  without: typeof settings.noExec,
): number | undefined {
  // As with packets, a wrong size is refused even where there is no ring.
  const bytes = read(size, lookup, facts);
  return read(without, lookup, facts) ? undefined : bytes;
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
    ...readBounds(lookup),
    limit: read(settings.limit, lookup, noFacts),
  };
}

function readBounds(lookup: Lookup): Pick<TailConfig, 'fromBeginning' | 'since' | 'untilEnd'> {
  const since = read(settings.since, lookup, noFacts);
  const untilEnd = read(settings.untilEnd, lookup, noFacts);
  const fromBeginning = read(settings.fromBeginning, lookup, noFacts);
  if (fromBeginning && since !== undefined)
    throw configError({
      operation: 'use',
      subject: '--from-beginning with --since',
      reason: 'both say where to begin',
      remedy: 'leave one of them out',
    });
  return { fromBeginning: fromBeginning || (untilEnd && since === undefined), since, untilEnd };
}

function readDocuments(lookup: Lookup): Pick<TailConfig, 'format' | 'forward'> {
  const format = read(settings.format, lookup, noFacts);
  const topic = read(settings.to, lookup, noFacts);
  const group = read(settings.group, lookup, noFacts);
  const deadLetter = read(settings.deadLetter, lookup, noFacts);
  const refuse = (flags: string, reason: string, remedy: string) =>
    configError({ operation: 'use', subject: flags, reason, remedy });
  if (format !== undefined && read(settings.json, lookup, noFacts))
    throw refuse('--format with --json', 'both say what is printed', 'leave one of them out');
  if (topic === undefined && group !== undefined)
    throw refuse('--group', 'without --to nothing is remembered', 'give --to TOPIC');
  if (topic === undefined && deadLetter !== undefined)
    throw refuse('--dead-letter', 'without --to no topic refuses a document', 'give --to TOPIC');
  if (topic === undefined) return { format, forward: undefined };
  if (topic === deadLetter)
    throw refuse(`--dead-letter ${deadLetter}`, 'it is the topic of --to, which refuses them', 'give another topic');
  if (format === undefined)
    throw refuse('--to', '--format is not given', `give --format, one of ${siemFormats.join(', ')}`);
  if (group === undefined)
    throw refuse(
      '--to',
      '--group is not given',
      'give --group GROUP, so that the next start goes on where this one ends',
    );
  for (const row of [settings.fromBeginning, settings.since])
    if (read<unknown>(row, lookup, noFacts))
      throw refuse(`--${row.name} with --to`, 'the group says where to begin', 'give a new --group to begin anew');
  if (read(settings.untilEnd, lookup, noFacts))
    throw refuse('--until-end with --to', 'it goes on as records come', 'give --limit N to end it');
  return { format, forward: { topic, group, deadLetter } };
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
