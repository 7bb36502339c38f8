/** Values as the formats want them. All answer undefined for what they cannot say: the field then stays with the rest. */

/** What is behind the last slash. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** What is before the last slash: `/` of a file in the root, undefined of a path without one. */
export function directoryOf(path: string): string | undefined {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? undefined : path.slice(0, slash) || '/';
}

/** Arguments with a space between, unquoted: that is what rules are written for. */
export function commandLine(args: readonly string[] | null): string | undefined {
  return args?.join(' ');
}

/** A number that fits a signed integer of 32 bits. */
export function int32(value: number | null): number | undefined {
  return value !== null && value >= -(2 ** 31) && value < 2 ** 31 ? value : undefined;
}

/** Of a mode as in st_mode. */
export function isRegular(mode: number): boolean {
  return (mode & 0o170000) === 0o100000;
}

export function port(value: number | null): number | undefined {
  return value !== null && value >= 0 && value <= 65_535 ? value : undefined;
}

/** As in `2026-11-29T16:20:08.123Z`, for years of four digits: what indexers read as a date. */
export function isoTime(millis: number): string | undefined {
  return millis >= oldest && millis <= newest ? new Date(millis).toISOString() : undefined;
}

/** A time that a document cannot do without: one that is out of range is the nearest that is not. */
export function nearestIsoTime(millis: number): string {
  return isoTime(Math.min(newest, Math.max(oldest, millis))) as string;
}

const oldest = Date.parse('0000-01-01T00:00:00Z');
const newest = Date.parse('9999-12-31T23:59:59.999Z');

/** Linux's, by number (include/uapi/linux/capability.h). */
const capabilities =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
    .split(' ')
    .map((name) => `CAP_${name}`);

/** Names of the capabilities in a bit mask, the number of one that has no name yet. */
export function capabilityNames(mask: number | null): string[] | undefined {
  if (mask === null || mask < 0) return undefined;
  const names: string[] = [];
  // Not with bitwise operators: they see 32 bits.
  for (let bit = 0, rest = mask; rest > 0; bit += 1, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) names.push(capabilities[bit] ?? String(bit));
  }
  return names;
}

/** Device numbers of a terminal by its name; of the common ones, whose numbers are fixed (admin-guide/devices.txt). */
export function terminalDevice(tty: string | null): { readonly major: number; readonly minor: number } | undefined {
  const [, kind, number] = /^(pts|tty|ttyS)(\d{1,6})$/.exec(tty ?? '') ?? [];
  const minor = Number(number);
  if (kind === 'pts') return { major: 136, minor };
  if (kind === 'tty' && minor < 64) return { major: 4, minor };
  if (kind === 'ttyS' && minor < 192) return { major: 4, minor: 64 + minor };
  return undefined;
}
