import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { AttachConfig, UserIds } from '../config/types.ts';
import { closeInlets, openCaptureInlets } from '../inlets.ts';
import { packetStreamName } from '../ledger/packet-streams.ts';
import { createLog, type Log } from '../log.ts';
import { type CommandIo, writeLine } from '../terminal.ts';
import { warnOfLinks } from './reload.ts';

/**
 * `attach`: the part of `run` that takes capabilities. It attaches, or brings what is attached up to date, gives the pins to
 * the user who is to run `run --attached`, and ends; the kernel goes on capturing, into its own buffers.
 */
export async function attachCommand(config: AttachConfig, io: CommandIo): Promise<number> {
  const log = createLog(config.logLevel);
  const { capture, packets } = openCaptureInlets({ config, log });
  try {
    const { uid, gid } = config.user;
    capture.giveTo(uid, gid);
    const exec = config.execRingBytes === undefined ? [] : ['exec'];
    const exit = capture.exit === undefined ? [] : ['exit'];
    const streams = [...exec, ...exit, ...(packets?.watch.attached ?? []).map(packetStreamName)];
    await writeLine(io.stdout, `attached ${streams.join(' ')} in ${config.pinPath} for user ${uid}, group ${gid}`);
  } catch (error) {
    closeInlets(capture, config.onExit);
    throw error;
  }
  capture.close();
  warnOfLinks(config.execFilters, log);
  warnOfWay(config.pinPath, config.user, log);
  return 0;
}

/** The pins are of no use to a user that may not pass a directory above them. */
function warnOfWay(pinPath: string, user: UserIds, log: Log): void {
  const directory = firstClosed(dirname(pinPath), user);
  if (directory === undefined) return;
  const remedy = `bind ${pinPath} to where the user runs, as unit files and containers can, or let others pass: chmod o+x ${directory}`;
  log.warn({ directory, ...user, remedy }, 'this user cannot reach the pins');
}

/** Of the path and the directories above it the uppermost that the user may not pass; supplementary groups do not count. */
export function firstClosed(path: string, { uid, gid }: UserIds): string | undefined {
  const above = path === '/' ? undefined : firstClosed(dirname(path), { uid, gid });
  if (above !== undefined || uid === 0) return above;
  const found = statSync(path);
  const shift = found.uid === uid ? 6 : found.gid === gid ? 3 : 0;
  return (found.mode >> shift) & 1 ? undefined : path;
}
