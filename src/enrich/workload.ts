import { type Container, containerOf } from './container.ts';
import type { Kubernetes } from './kubernetes.ts';
import { RecentCache } from './recent-cache.ts';

/** What runs in a cgroup. Null where there is nothing to say, undefined where there is and it is not known, or not yet. */
export interface Workload {
  readonly container: Container;
  readonly namespace: string | null | undefined;
  readonly podName: string | null | undefined;
  readonly containerName: string | null | undefined;
}

/** Paths of cgroups that are kept; a busy host has some thousand cgroups. */
const mostPaths = 8_192;

/** Containers and pods by the path of the cgroup, each path worked out once, and again while names are missing. */
export class Workloads {
  readonly #kubernetes: Pick<Kubernetes, 'of'>;
  readonly #known = new RecentCache<string, { readonly workload: Workload; readonly complete: boolean }>({
    entries: mostPaths,
  });

  constructor(kubernetes: Pick<Kubernetes, 'of'>) {
    this.#kubernetes = kubernetes;
  }

  /** @param path below the root of the hierarchy, beginning with / */
  of(path: string): Workload {
    const known = this.#known.get(path);
    if (known?.complete) return known.workload;
    const workload = this.#workloadOf(known?.workload.container ?? containerOf(path));
    const complete = ![workload.namespace, workload.podName, workload.containerName].includes(undefined);
    this.#known.set(path, { workload, complete });
    return workload;
  }

  #workloadOf(container: Container): Workload {
    const { id, podUid } = container;
    if (podUid === null) return { container, namespace: null, podName: null, containerName: null };
    const names = this.#kubernetes.of(podUid, id);
    return {
      container,
      namespace: names.namespace ?? undefined,
      podName: names.podName ?? undefined,
      containerName: id === null ? null : (names.containerName ?? undefined),
    };
  }
}
