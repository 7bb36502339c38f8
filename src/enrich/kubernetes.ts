import { type FSWatcher, watch } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { RecentCache } from './recent-cache.ts';

/** Null where the kubelet's directories do not say it, or not yet. */
export interface KubernetesNames {
  readonly namespace: string | null;
  readonly podName: string | null;
  readonly containerName: string | null;
}

export interface KubernetesOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly logDirectory?: string;
}

const noNames: KubernetesNames = { namespace: null, podName: null, containerName: null };

/** A kubelet has some hundred pods; what has ended is kept for the records that are still on their way. */
const mostPods = 4_096;
const mostContainers = 16_384;
/** Between two readings of the directories because of a name that is not there, milliseconds. */
const readInterval = 1_000;

/** NAMESPACE_POD_UID; the first two have no underscore, being DNS names. */
const podDirectory = /^([a-z0-9.-]+)_([a-z0-9.-]+)_([0-9a-f-]{32,36})$/;
/** POD_NAMESPACE_CONTAINER-ID.log */
const containerLog = /^([a-z0-9.-]+)_([a-z0-9.-]+)_([a-z0-9.-]+)-([0-9a-f]{64})\.log$/;

/**
 * Names of pods and containers out of the names of the kubelet's log directories, `pods` and `containers` below /var/log.
 *
 * Never waited for. Both are watched, and the kubelet makes a pod's directory before the first process of the pod, so
 * that its names are there in time. The link of a container it makes behind the start: the first exec of a container
 * goes without its name. A uid and a container's id are never used twice, so that what was once read stays true.
 */
export class Kubernetes {
  readonly #clock: Clock;
  readonly #directories: readonly WatchedDirectory[];
  readonly #pods = new RecentCache<string, KubernetesNames>({ entries: mostPods });
  readonly #containers = new RecentCache<string, KubernetesNames>({ entries: mostContainers });
  #readAt = Number.NEGATIVE_INFINITY;

  constructor({ clock, log, logDirectory = '/var/log' }: KubernetesOptions) {
    this.#clock = clock;
    this.#directories = [
      new WatchedDirectory(join(logDirectory, 'pods'), log, (name) => this.#notePod(name)),
      new WatchedDirectory(join(logDirectory, 'containers'), log, (name) => this.#noteContainer(name)),
    ];
  }

  /** Reads what is there now, and follows it from then on; no failure without such directories. */
  async read(): Promise<void> {
    this.#readAt = this.#clock.elapsedMillis();
    await Promise.all(this.#directories.map((directory) => directory.read()));
  }

  /** What is known at this moment. What is not is looked for in the background, for the records to come. */
  of(podUid: string, containerId: string | null): KubernetesNames {
    const pod = this.#pods.get(podUid);
    const container = containerId === null ? undefined : this.#containers.get(containerId);
    const complete = pod !== undefined && (container !== undefined || containerId === null);
    if (!complete && this.#clock.elapsedMillis() - this.#readAt >= readInterval) void this.read();
    if (pod === undefined) return container ?? noNames;
    // A container of another pod: one of the two ids in the path of the cgroup is made up.
    if (pod.podName !== container?.podName || pod.namespace !== container.namespace) return pod;
    return container;
  }

  close(): void {
    for (const directory of this.#directories) directory.close();
  }

  #notePod(name: string): void {
    const [, namespace, podName, uid] = podDirectory.exec(name) ?? [];
    if (namespace === undefined || podName === undefined || uid === undefined || this.#pods.get(uid)) return;
    this.#pods.set(uid, { namespace, podName, containerName: null });
  }

  #noteContainer(name: string): void {
    const [, podName, namespace, containerName, id] = containerLog.exec(name) ?? [];
    if (podName === undefined || namespace === undefined || containerName === undefined || id === undefined) return;
    if (this.#containers.get(id)) return;
    this.#containers.set(id, { namespace, podName, containerName });
  }
}

/** Tells each name in a directory: those that are there when it is read, later ones as they appear. */
class WatchedDirectory {
  readonly #path: string;
  readonly #log: Log;
  readonly #note: (name: string) => void;
  #watcher: FSWatcher | undefined;
  #closed = false;
  #said = false;

  constructor(path: string, log: Log, note: (name: string) => void) {
    this.#path = path;
    this.#log = log;
    this.#note = note;
  }

  /** Never rejects: what cannot be read now is read the next time. */
  async read(): Promise<void> {
    try {
      // First, so that nothing appears in between.
      this.#watch();
      for (const name of await readdir(this.#path)) this.#note(name);
    } catch (error) {
      this.#unwatch();
      this.#say(error);
    }
  }

  close(): void {
    this.#closed = true;
    this.#unwatch();
  }

  #watch(): void {
    if (this.#watcher !== undefined || this.#closed) return;
    this.#watcher = watch(this.#path, { persistent: false }, (_event, name) => {
      if (name !== null) this.#note(name);
    });
    this.#watcher.on('error', (error) => {
      this.#unwatch();
      this.#say(error);
    });
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  /** Once. That there is no such directory is no failure: most hosts have no kubelet. */
  #say(error: unknown): void {
    if (this.#said || (error as NodeJS.ErrnoException).code === 'ENOENT') return;
    this.#said = true;
    const fields = { path: this.#path, reason: reasonOf(error) };
    this.#log.warn(fields, 'names of pods cannot be read; records are published without');
  }
}
