import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { RunConfig } from '../config/types.ts';
import { reasonOf } from '../errors.ts';
import { type Finding, fail, pass } from './finding.ts';

/** What an earlier run has left below the pin path (native/pins.h). */
export interface Pins {
  readonly pinPath: string;
  /** Names in the directory: one a layout of pins. */
  readonly layouts: readonly string[];
  readonly execs: boolean;
  readonly exits: boolean;
  readonly packets: boolean;
  /** Indices of the interfaces that have the packet program. */
  readonly interfaces: readonly number[];
  /** Process that owns them; undefined when nobody does. */
  readonly owner: number | undefined;
}

const layout = 'v1';
const packetLink = 'packet_link_';

/** Undefined when nothing is pinned. @throws Error when the directory may not be read */
export function readPins(pinPath: string): Pins | undefined {
  if (!existsSync(pinPath)) return undefined;
  const layouts = readdirSync(pinPath);
  const pins = layouts.includes(layout) ? readdirSync(join(pinPath, layout)) : [];
  return {
    pinPath,
    layouts,
    execs: pins.includes('exec_link'),
    exits: pins.includes('exit_link'),
    packets: pins.includes('packet_control'),
    interfaces: pins.filter((pin) => pin.startsWith(packetLink)).map((pin) => Number(pin.slice(packetLink.length))),
    owner: ownerOf(readFileSync('/proc/locks', 'utf8'), statSync(pinPath)),
  };
}

/**
 * The process that holds the lock on a file. To take the lock for an answer could get in the way of a `run` that starts.
 * @param locks content of /proc/locks, in which devices are hexadecimal and numbers of inodes are not
 */
export function ownerOf(
  locks: string,
  { dev, ino }: { readonly dev: number; readonly ino: number },
): number | undefined {
  // gnu_dev_major and gnu_dev_minor.
  const major = (dev >>> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00);
  const hex = (value: number) => value.toString(16).padStart(2, '0');
  const place = `${hex(major)}:${hex(minor)}:${ino}`;
  for (const line of locks.split('\n')) {
    const [, kind, , mode, pid, file] = line.trim().split(/\s+/);
    if (kind === 'FLOCK' && mode === 'WRITE' && file === place) return Number(pid);
  }
  return undefined;
}

export function pinsFinding(
  pins: Pins | undefined,
  { execRingBytes, exitRingBytes, packets }: Pick<RunConfig, 'execRingBytes' | 'exitRingBytes' | 'packets'>,
): Finding {
  if (pins === undefined) return pass('pins', 'none of an earlier run');
  const { pinPath, layouts, owner } = pins;
  if (owner !== undefined)
    return fail(
      'pins',
      `process ${owner} owns ${pinPath}`,
      'stop that one first; one process reads the records of a host',
    );
  const other = layouts.find((name) => name !== layout);
  if (other !== undefined)
    return fail(
      'pins',
      `${pinPath} holds ${other}, which this version (${layout}) does not know`,
      'stop that capture with `bpf2kafka detach` of the version that began it',
    );
  for (const [flag, what, pinned, wanted] of [
    ['--no-exec', 'captures execs', pins.execs, execRingBytes !== undefined],
    ['--no-exit', 'captures exits', pins.exits, exitRingBytes !== undefined],
    ['--no-packets', 'counts packets', pins.packets, packets !== undefined],
  ] as const) {
    if (pinned && !wanted)
      return fail('pins', `the capture in ${pinPath} ${what}`, `leave ${flag} out, or end that capture first`);
  }
  if (!layouts.includes(layout)) return pass('pins', `${pinPath} is empty`);
  return pass('pins', `of an earlier run in ${pinPath}, which nobody owns: run takes them over with what they hold`);
}

/** As a finding, when the directory may not be read. */
export function unreadablePins(pinPath: string, error: unknown): Finding {
  return fail('pins', `cannot look into ${pinPath}: ${reasonOf(error)}`, 'run it as root');
}
