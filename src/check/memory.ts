import { posix } from 'node:path';
import type { RunConfig } from '../config/types.ts';
import { minimumRingBytes } from '../kernel/addon.ts';
import type { ReadText } from './files.ts';
import { degraded, type Finding, fail, pass } from './finding.ts';

/** Where memory ends, and how much there is before. */
export interface HeadRoom {
  /** `the cgroup /system.slice/bpf2kafka.service`, `the host`. */
  readonly of: string;
  readonly bytes: number;
}

/** An element of the kernel's hash of packet keys with its bucket: 112 bytes of key and value, 28 around them. */
const bytesOfFlow = 140;
/** The process at its largest, without what is in the kernel (docs/deploy.md). */
const processBytes = 256 * 2 ** 20;
/** Larger numbers of cgroup v1 stand for no limit. */
const unlimited = 2 ** 60;

/** What rings and maps take, which the kernel charges to the cgroup that makes them. */
export function kernelBytes({
  execRingBytes = minimumRingBytes,
  exitRingBytes = 0,
  packets,
}: Pick<RunConfig, 'execRingBytes' | 'exitRingBytes' | 'packets'>): number {
  // The ring of bare records beside that of execs is an eighth of it.
  return Math.ceil(execRingBytes * 1.125) + exitRingBytes + 2 * bytesOfFlow * (packets?.flows ?? 0);
}

/** The least of what is left below each limit that this process is under. */
export function headRoom(read: ReadText): HeadRoom | undefined {
  const rooms = [...cgroupRooms(read)];
  const available = /^MemAvailable:\s*(\d+) kB$/m.exec(read('/proc/meminfo') ?? '')?.[1];
  if (available !== undefined) rooms.push({ of: 'the host', bytes: Number(available) * 1024 });
  return rooms.toSorted((a, b) => a.bytes - b.bytes)[0];
}

interface Files {
  readonly root: string;
  readonly limit: string;
  readonly used: string;
  /** In memory.stat: page cache that is given back under pressure. */
  readonly reclaimable: RegExp;
}

const version1: Files = {
  root: '/sys/fs/cgroup/memory',
  limit: 'memory.limit_in_bytes',
  used: 'memory.usage_in_bytes',
  reclaimable: /^total_inactive_file (\d+)$/m,
};
const version2: Files = {
  root: '/sys/fs/cgroup',
  limit: 'memory.max',
  used: 'memory.current',
  reclaimable: /^inactive_file (\d+)$/m,
};

/** Of the cgroup of this process and of all above it, as far as they are to be seen. */
function* cgroupRooms(read: ReadText): Generator<HeadRoom> {
  const cgroups = read('/proc/self/cgroup') ?? '';
  const first = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(cgroups)?.[1];
  const second = /^0::(.*)$/m.exec(cgroups)?.[1];
  const [files, path] = first === undefined ? [version2, second ?? '/'] : [version1, first];
  for (let cgroup = path; ; cgroup = posix.dirname(cgroup)) {
    const textOf = (file: string) => read(posix.join(files.root, cgroup, file));
    const limit = Number(textOf(files.limit)?.trim());
    const used = Number(textOf(files.used)?.trim());
    const reclaimable = Number(files.reclaimable.exec(textOf('memory.stat') ?? '')?.[1] ?? 0);
    // `max` is no number, and the root has no files.
    if (limit < unlimited && !Number.isNaN(used))
      yield { of: `the cgroup ${cgroup}`, bytes: Math.max(0, limit - used + reclaimable) };
    if (cgroup === '/') return;
  }
}

/** @param needed bytes of rings and maps that are to be made; 0 when they are pinned already */
export function memoryFinding(needed: number, room: HeadRoom | undefined): Finding {
  const kernel = `rings and maps ${needed > 0 ? `take ${mebibytes(needed)}` : 'are there already'}`;
  const wanted = `${kernel}, the process up to ${mebibytes(processBytes)}`;
  if (room === undefined) return degraded('memory', `how much is left cannot be read; ${wanted}`, 'mount /proc');
  const found = `${mebibytes(room.bytes)} left in ${room.of}; ${wanted}`;
  const remedy = 'raise the memory limit, or lower --exec-ring-bytes, --exit-ring-bytes and --packet-flows';
  if (room.bytes < needed) return fail('memory', found, remedy);
  if (room.bytes < needed + processBytes) return degraded('memory', found, remedy);
  return pass('memory', found);
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
