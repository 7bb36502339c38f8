import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync } from 'node:fs';
import { access, constants, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clock, systemClock } from '../clock.ts';
import { Bpf2KafkaError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { explainBrokerFailure } from './broker-failure.ts';
import { answersWithBroker } from './broker-probe.ts';
import { brokerProperties } from './broker-properties.ts';
import { chooseFreePort, isFreePort } from './free-port.ts';

export interface EmbeddedKafkaOptions {
  /** Data, settings and log of the broker. Made and formatted when it is new, reused afterwards. */
  readonly directory: string;
  /** Kafka's jars. Default: the newest that set-up has put into the checkout. */
  readonly librariesDirectory?: string;
  /** Default: the one that set-up has found, else `java`. */
  readonly javaCommand?: string;
  /** Default: the port of the last start in this directory when it is free, else one that is free. */
  readonly port?: number;
  /** What a new directory is made for; default: a cluster of its own. */
  readonly clusterId?: string;
  readonly log: Log;
  readonly heapMegabytes?: number;
  /** Broker settings that override the embedded ones. */
  readonly properties?: Readonly<Record<string, string>>;
  /** More arguments for the Java virtual machine. */
  readonly jvmArguments?: readonly string[];
  readonly clock?: Clock;
}

const checkout = join(import.meta.dirname, '../..');
const cacheDirectory = join(checkout, '.cache');
const startTimeoutMillis = 60_000;
const stopTimeoutMillis = 15_000;
const probeIntervalMillis = 25;
const defaultHeapMegabytes = 256;

const operation = 'start the embedded broker';

/** A real Apache Kafka of one node in KRaft mode, on loopback, that lives no longer than this process. */
export class EmbeddedKafka implements AsyncDisposable {
  readonly port: number;
  /** `127.0.0.1:PORT` */
  readonly brokers: string;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  #stopped: Promise<void> | undefined;

  private constructor(child: ChildProcess, pid: number, port: number, log: Log, clock: Clock) {
    this.port = port;
    this.brokers = `127.0.0.1:${port}`;
    this.pid = pid;
    this.#child = child;
    this.#clock = clock;
    child.once('exit', (code, signal) => {
      if (this.#stopped === undefined) log.error({ code, signal, pid }, 'the embedded broker ended by itself');
    });
  }

  /** Resolves when the broker answers and can create topics; rejects with ERR_EMBEDDED_BROKER and the broker's reason. */
  static async start(options: EmbeddedKafkaOptions): Promise<EmbeddedKafka> {
    const { directory, log, clock = systemClock } = options;
    const begun = clock.elapsedMillis();
    const libraries = options.librariesDirectory ?? newestLibraries();
    const classPath = jarsIn(libraries);
    await prepareDirectory(directory);
    const lock = join(directory, 'lock');
    refuseSecondBroker(directory, lock);
    const port = await choosePort(directory, options.port);
    const dataDirectory = join(directory, 'data');
    const propertiesFile = join(directory, 'server.properties');
    const layout = { dataDirectory, port, controllerPort: await chooseFreePort() };
    await writeFile(propertiesFile, brokerProperties(layout, options.properties ?? {}));

    const logFile = await openLog(directory);
    const java: Java = {
      command: options.javaCommand ?? installedJava(),
      arguments: [
        ...jvmArguments(libraries, options.heapMegabytes ?? defaultHeapMegabytes),
        ...(options.jvmArguments ?? []),
        '-cp',
        classPath,
      ],
      output: logFile,
      lock,
    };
    let child: ChildProcess | undefined;
    try {
      if (!existsSync(join(dataDirectory, 'meta.properties'))) {
        await format(java, propertiesFile, directory, options.clusterId ?? newClusterId());
      }
      child = launch(java, ['kafka.Kafka', propertiesFile]);
      const pid = await spawned(child);
      await untilReady(child, port, directory, clock);
      await writeFile(join(directory, 'port'), `${port}\n`);
      log.info(
        { port, pid, directory, millis: Math.round(clock.elapsedMillis() - begun) },
        'the embedded broker answers',
      );
      return new EmbeddedKafka(child, pid, port, log, clock);
    } catch (error) {
      child?.kill('SIGKILL');
      throw error;
    } finally {
      closeSync(logFile);
    }
  }

  /** Lets the broker end in order, and kills it when it does not within 15 s. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    if (hasEnded(this.#child)) return;
    const exited = once(this.#child, 'exit');
    const waiting = new AbortController();
    this.#child.kill('SIGTERM');
    await Promise.race([exited, this.#clock.sleep(stopTimeoutMillis, waiting.signal)]);
    waiting.abort();
    if (!hasEnded(this.#child)) this.#child.kill('SIGKILL');
    await exited;
  }
}

interface Java {
  readonly command: string;
  readonly arguments: readonly string[];
  /** Descriptor of the log file. */
  readonly output: number;
  /** File that is locked for as long as it runs. */
  readonly lock: string;
}

/** Exit code of flock when another process holds the lock. */
const lockedExitCode = 75;
const onConflict = ['--conflict-exit-code', String(lockedExitCode)];

/**
 * Kafka's own lock comes too late: a second node of both roles begins to write the metadata log of the first before its
 * broker part finds the directory taken, and the first then fences itself for ever (seen with 4.4.0). So the directory
 * is locked around the whole process; here only to refuse before the first one's log file is touched, and to give one
 * that has just been killed the moment that it needs.
 */
function refuseSecondBroker(directory: string, lock: string): void {
  if (spawnSync('flock', ['--timeout', '2', ...onConflict, lock, 'true']).status === lockedExitCode)
    throw taken(directory);
}

function taken(directory: string): Bpf2KafkaError {
  return new Bpf2KafkaError('ERR_EMBEDDED_BROKER', {
    operation,
    subject: `in ${directory}`,
    reason: `another broker uses the data directory ${join(directory, 'data')}`,
    remedy: 'stop it or give another directory',
  });
}

/**
 * In a session of its own, so that ^C in a terminal reaches the sidecar only, which still has to drain into this
 * broker; and tied to this process by the kernel, because a sidecar that is killed cannot stop it.
 */
function launch(java: Java, mainClass: readonly string[]): ChildProcess {
  const locked = ['flock', '--nonblock', '--no-fork', ...onConflict, java.lock];
  return spawn('setpriv', ['--pdeathsig', 'KILL', ...locked, java.command, ...java.arguments, ...mainClass], {
    detached: true,
    stdio: ['ignore', java.output, java.output],
  });
}

async function spawned(child: ChildProcess): Promise<number> {
  try {
    await once(child, 'spawn');
  } catch (cause) {
    throw new Bpf2KafkaError('ERR_EMBEDDED_BROKER', {
      operation,
      reason: `setpriv does not run: ${reasonOf(cause)}`,
      remedy: 'run `npm run setup` (package util-linux)',
      cause,
    });
  }
  return child.pid as number;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function format(java: Java, propertiesFile: string, directory: string, clusterId: string): Promise<void> {
  const tool = launch(java, ['kafka.tools.StorageTool', 'format', `--cluster-id=${clusterId}`, '-c', propertiesFile]);
  await spawned(tool);
  if (!hasEnded(tool)) await once(tool, 'exit');
  if (tool.exitCode === lockedExitCode) throw taken(directory);
  if (tool.exitCode !== 0) throw await failure(directory);
}

function newClusterId(): string {
  return randomBytes(16).toString('base64url');
}

async function untilReady(child: ChildProcess, port: number, directory: string, clock: Clock): Promise<void> {
  const deadline = clock.elapsedMillis() + startTimeoutMillis;
  while (!hasEnded(child)) {
    const left = deadline - clock.elapsedMillis();
    if (left <= 0) throw await failure(directory, `it did not answer within ${startTimeoutMillis / 1000} s; last: `);
    if ((await answersWithBroker(port, left)) && !hasEnded(child)) return;
    await clock.sleep(probeIntervalMillis);
  }
  if (child.exitCode === lockedExitCode) throw taken(directory);
  throw await failure(directory);
}

async function failure(directory: string, prefix = ''): Promise<Bpf2KafkaError> {
  const { reason, remedy } = explainBrokerFailure(await readFile(logPath(directory), 'utf8'));
  return new Bpf2KafkaError('ERR_EMBEDDED_BROKER', {
    operation,
    subject: `in ${directory}`,
    reason: `${prefix}${reason}`,
    remedy: remedy ?? `see ${logPath(directory)}`,
  });
}

function jvmArguments(libraries: string, heapMegabytes: number): string[] {
  const classArchive = join(dirname(libraries), 'broker.jsa');
  return [
    `-Xmx${heapMegabytes}m`,
    '-Xss512k',
    '-XX:+UseSerialGC',
    // The second compiler costs 0.4 s of start and 30 MB; an embedded broker never runs long under full load.
    '-XX:TieredStopAtLevel=1',
    '-XX:+ExitOnOutOfMemoryError',
    '-Djava.awt.headless=true',
    '-Dorg.apache.logging.log4j.level=INFO',
    // The archive of loaded classes halves the start; another Java than the one that wrote it does without.
    ...(existsSync(classArchive) ? [`-XX:SharedArchiveFile=${classArchive}`, '-Xshare:auto', '-Xlog:cds=off'] : []),
  ];
}

function installedJava(): string {
  const found = join(cacheDirectory, 'java');
  return existsSync(found) ? found : 'java';
}

function newestLibraries(): string {
  const versions = join(cacheDirectory, 'kafka');
  const names = existsSync(versions) ? readdirSync(versions) : [];
  const newest = names
    .filter((name) => /^\d+(\.\d+)+$/.test(name) && existsSync(join(versions, name, 'libs')))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1);
  return join(versions, newest ?? 'VERSION', 'libs');
}

function jarsIn(libraries: string): string {
  const jars = existsSync(libraries) ? readdirSync(libraries).filter((name) => name.endsWith('.jar')) : [];
  if (!jars.some((name) => name.startsWith('kafka_'))) {
    throw new Bpf2KafkaError('ERR_EMBEDDED_BROKER', {
      operation,
      reason: `Kafka's libraries are not in ${libraries}`,
      remedy: 'give --brokers to use a broker of yours, or run `npm run setup` in a checkout',
    });
  }
  // Sorted, because the archive of classes is valid for one class path only.
  return jars
    .sort()
    .map((name) => join(libraries, name))
    .join(':');
}

async function prepareDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
    await access(directory, constants.W_OK);
  } catch (cause) {
    throw new Bpf2KafkaError('ERR_EMBEDDED_BROKER', {
      operation,
      subject: `in ${directory}`,
      reason: `the directory is not writable (${reasonOf(cause)})`,
      cause,
    });
  }
}

async function choosePort(directory: string, wanted: number | undefined): Promise<number> {
  if (wanted !== undefined) {
    if (await isFreePort(wanted)) return wanted;
    throw new Bpf2KafkaError('ERR_EMBEDDED_BROKER', {
      operation,
      subject: `on 127.0.0.1:${wanted}`,
      reason: 'the port is taken',
      remedy: 'give another port, or stop what listens there',
    });
  }
  const last = await readFile(join(directory, 'port'), 'utf8').then(Number, () => 0);
  return last > 0 && (await isFreePort(last)) ? last : chooseFreePort();
}

function logPath(directory: string): string {
  return join(directory, 'broker.log');
}

/** One file a start, and the one before it: a broker that runs in this directory already keeps writing into its own. */
async function openLog(directory: string): Promise<number> {
  const path = logPath(directory);
  if (existsSync(path)) await rename(path, join(directory, 'broker.previous.log'));
  return openSync(path, 'a');
}
