import { realpathSync } from 'node:fs';

/** Execs that the kernel counts and does not record. Each list is without repeats. */
export interface ExecFilters {
  /** Absolute paths of the file that runs; one with a `*` at its end stands for all that begin like it. */
  readonly exes: readonly string[];
  /** Real user ids, of the host. */
  readonly uids: readonly number[];
  /** Absolute paths of cgroups, each with all that are below it. */
  readonly cgroups: readonly string[];
}

export const noFilters: ExecFilters = { exes: [], uids: [], cgroups: [] };

/** What the kernel's table of paths holds of one, with the byte that ends it (EXEC_RULE_PATH_BYTES in bpf/abi.h). */
const pathBytes = 256;

export const exeAllowed =
  'an absolute path of at most 255 bytes without empty, . or .. parts and without control characters; a * at its end, and only there, stands for anything';

/** @returns undefined for what no path of a file can be */
export function parseExe(text: string): string | undefined {
  return isPath(text.replace(/\*$/, 'x')) && Buffer.byteLength(text) < pathBytes ? text : undefined;
}

export const uidAllowed = 'the number of a user, 0 to 4294967294';

export function parseUid(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) < 2 ** 32 - 1 ? Number(text) : undefined;
}

const cgroupAllowed =
  'the absolute path of a cgroup, as in /proc/PID/cgroup, of at most 254 bytes, without empty, . or .. parts, and not / itself';

/**
 * A path a line; empty lines, and lines that begin with #, say nothing.
 * @returns the paths without repeats, or which line is wrong and what it must be
 */
export function parseCgroups(
  content: string,
): { readonly cgroups: readonly string[] } | { readonly line: number; readonly allowed: string } {
  const cgroups = new Set<string>();
  for (const [index, raw] of content.split('\n').entries()) {
    const text = raw.trim();
    if (text === '' || text.startsWith('#')) continue;
    if (/^\/sys\/fs\/cgroup(\/|$)/.test(text))
      return { line: index + 1, allowed: `${cgroupAllowed}: no /sys/fs/cgroup` };
    const path = text.replace(/\/$/, '');
    if (!isPath(path) || Buffer.byteLength(path) > pathBytes - 2) return { line: index + 1, allowed: cgroupAllowed };
    cgroups.add(path);
  }
  return { cgroups: [...cgroups] };
}

/** Like those that the kernel puts together from names. A * is legal in one, but never meant. */
function isPath(text: string): boolean {
  if (!text.startsWith('/') || /[\p{Cc}*]/u.test(text)) return false;
  return text
    .slice(1)
    .split('/')
    .every((name) => name !== '' && name !== '.' && name !== '..');
}

/** As in the ledger. */
export function ruleNames({ exes, uids, cgroups }: ExecFilters): readonly string[] {
  return [
    ...exes.map((path) => `exclude_exe:${path}`),
    ...uids.map((uid) => `exclude_uid:${uid}`),
    ...cgroups.map((path) => `exclude_cgroup:${path}`),
  ];
}

/** Paths that on this host are links: the file that runs has another name, so that their rule keeps nothing out. */
export function linksAmong({ exes }: ExecFilters): readonly { readonly exe: string; readonly leadsTo: string }[] {
  return exes.flatMap((exe) => {
    try {
      const leadsTo = realpathSync(exe);
      return leadsTo === exe ? [] : [{ exe, leadsTo }];
    } catch {
      // Not here, or not yet; it can also be a path in containers only.
      return [];
    }
  });
}
