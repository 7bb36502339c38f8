/** What the path of a cgroup says about the container in it; each null when it says nothing. */
export interface Container {
  /** As the runtime has it: 64 hexadecimal digits, or the name of a container of LXC or systemd-nspawn. */
  readonly id: string | null;
  /** docker, containerd, cri-o, podman, lxc or systemd-nspawn; null also where several name their cgroups alike. */
  readonly runtime: string | null;
  /** With dashes, as Kubernetes has it; of a static pod 32 hexadecimal digits. */
  readonly podUid: string | null;
}

const nothing: Container = { id: null, runtime: null, podUid: null };

/** What runtimes put before the id: in the name of a scope (systemd driver), or of the cgroup itself (cgroupfs). */
const runtimes: Readonly<Record<string, string>> = {
  docker: 'docker',
  'cri-containerd': 'containerd',
  containerd: 'containerd',
  nerdctl: 'containerd',
  crio: 'cri-o',
  libpod: 'podman',
};

/**
 * `docker-ID.scope`, `crio-ID`, and `PARENT.slice:cri-containerd:ID`: what containerd makes when it is configured for
 * cgroupfs and the kubelet for systemd. Not `libpod-conmon-ID.scope` and `crio-conmon-ID.scope`: conmon watches over the
 * container from outside.
 */
const prefixedId = /^(?:[^:]+:)?([a-z-]+)[-:]([0-9a-f]{64})(?:\.scope)?$/;

/** The cgroupfs driver of Docker and containerd: the id is the whole name, so only the parent tells them apart. */
const bareId = /^[0-9a-f]{64}$/;
const runtimeByParent: Readonly<Record<string, string>> = {
  // Of the daemon, unless it was given another --cgroup-parent.
  docker: 'docker',
  // Namespaces of containerd: of nerdctl and ctr, and of its Docker mode.
  default: 'containerd',
  'k8s.io': 'containerd',
  moby: 'docker',
};

const lxcPayload = /^lxc\.payload[.-](.+)$/;
const lxcParents = ['lxc', 'lxc.payload'];
/** systemd-nspawn keeps its own processes in `supervisor`, beside the container's. A virtual machine has neither. */
const nspawnUnit = /^(?:systemd-nspawn@(.+)\.service|machine-(.+)\.scope)$/;

/** `kubepods-burstable-podUID.slice`, without a class for guaranteed pods; the kubelet of kind adds a prefix. */
const podSlice = /(?:^|-)kubepods(?:-[a-z]+)?-pod([0-9a-f_-]{32,36})\.slice(?::|$)/;
const podDirectory = /^pod([0-9a-f-]{32,36})$/;
const uidForm = /^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})$/;

/**
 * Reads the names that container runtimes give to cgroups, version 1 and 2, systemd and cgroupfs drivers.
 *
 * Of containers in each other (Docker in Docker, kind) the innermost one counts: its image is what runs, and the others
 * stand before it in the path, which is in the record too. Whoever may make cgroups below its own can choose any name:
 * see docs/workloads.md.
 * @param path below the root of the hierarchy, beginning with /
 */
export function containerOf(path: string): Container {
  const names = path.split('/');
  let container: Pick<Container, 'id' | 'runtime'> | undefined;
  let podUid: string | null = null;
  for (let at = names.length - 1; at > 0 && (container === undefined || podUid === null); at -= 1) {
    container ??= containerAt(names, at);
    podUid ??= podAt(names, at);
  }
  if (container === undefined && podUid === null) return nothing;
  return { id: container?.id ?? null, runtime: container?.runtime ?? null, podUid };
}

function containerAt(names: readonly string[], at: number): Pick<Container, 'id' | 'runtime'> | undefined {
  const name = names[at] as string;
  const parent = names[at - 1] as string;
  if (bareId.test(name)) return { id: name, runtime: runtimeByParent[parent] ?? null };

  const [, prefix = '', id] = prefixedId.exec(name) ?? [];
  if (id !== undefined && Object.hasOwn(runtimes, prefix)) return { id, runtime: runtimes[prefix] as string };

  const lxc = lxcPayload.exec(name)?.[1] ?? (lxcParents.includes(parent) && name !== '' ? name : undefined);
  if (lxc !== undefined) return { id: lxc, runtime: 'lxc' };

  const unit = name === 'payload' ? nspawnUnit.exec(parent) : null;
  const machine = unit?.[1] ?? unit?.[2];
  return machine === undefined ? undefined : { id: unescaped(machine), runtime: 'systemd-nspawn' };
}

function podAt(names: readonly string[], at: number): string | null {
  const name = names[at] as string;
  const slice = podSlice.exec(name)?.[1];
  const uid = slice?.replaceAll('_', '-') ?? (names.includes('kubepods') ? podDirectory.exec(name)?.[1] : undefined);
  return uid !== undefined && uidForm.test(uid) ? uid : null;
}

/** systemd writes what is not a letter, digit, `:`, `_` or `.` as `\xNN`, byte by byte. */
function unescaped(unitName: string): string {
  if (!/\\x[0-9a-f]{2}/.test(unitName)) return unitName;
  const bytes = unitName.replace(/\\x([0-9a-f]{2})|[^\\]+|\\/g, (part, hex: string | undefined) =>
    hex === undefined ? Buffer.from(part).toString('latin1') : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString();
}
