import { accessSync, constants, readlinkSync, statSync } from 'node:fs';
import { hostNamespaces, isOnBpffs, nearestDirectory } from './files.ts';
import { degraded, type Finding, fail, pass } from './finding.ts';

const mountPoint = '/sys/fs/bpf';

/** What is to be known of the place for the pins. */
export interface BpffsFacts {
  readonly pinPath: string;
  /** The nearest directory of the path that is there is on a bpffs. */
  readonly mounted: boolean;
  /** And this process may write to it. */
  readonly writable: boolean;
  /** This process may mount one (CAP_SYS_ADMIN). */
  readonly mayMount: boolean;
  /**
   * Whether that is the one that the first process of the host sees: pins in another one go with their container. `hidden`
   * when that process may not be looked at.
   */
  readonly ofHost: 'yes' | 'no' | 'hidden';
}

export function readBpffs(pinPath: string, mayMount: boolean): BpffsFacts {
  const directory = nearestDirectory(pinPath);
  return { pinPath, mounted: isOnBpffs(directory), writable: isWritable(directory), mayMount, ofHost: ofHost() };
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Each bpffs is a device of its own. */
function ofHost(): BpffsFacts['ofHost'] {
  try {
    if (readlinkSync('/proc/self/ns/mnt') === hostNamespaces.mount) return 'yes';
    if (readlinkSync('/proc/self/ns/pid') !== hostNamespaces.pid) return 'hidden';
    return statSync(`/proc/1/root${mountPoint}`).dev === statSync(mountPoint).dev ? 'yes' : 'no';
  } catch {
    return 'hidden';
  }
}

export function bpffsFinding({ pinPath, mounted, writable, mayMount, ofHost }: BpffsFacts): Finding {
  const below = pinPath.startsWith(`${mountPoint}/`);
  if (!mounted && below && mayMount) return pass('bpffs', `not mounted on ${mountPoint}; run mounts it`);
  if (!mounted && below)
    return fail('bpffs', `not mounted on ${mountPoint}`, `mount it: mount -t bpf bpf ${mountPoint}`);
  if (!mounted) return fail('bpffs', `${pinPath} is not on a bpffs`, `give a --pin-path below ${mountPoint}`);
  if (!writable) return fail('bpffs', `no right to write where ${pinPath} is to be`, 'run it as root');
  if (!below) return pass('bpffs', `${pinPath} is on a bpffs`);
  const mount = `mount the host's ${mountPoint} into the container, and give it the host's pid namespace`;
  if (ofHost === 'no')
    return degraded('bpffs', `${mountPoint} is not the host's: pins, and what they hold, go with the container`, mount);
  if (ofHost === 'hidden')
    return degraded('bpffs', `cannot see whether ${mountPoint} is the host's, as its first process is hidden`, mount);
  return pass('bpffs', `${mountPoint} is the host's`);
}
