import { systemClock } from '../clock.ts';
import type { DetachConfig } from '../config.ts';
import { detachPinned } from '../kernel/addon.ts';
import { readBootId } from '../kernel/boot-id.ts';
import { detachedEntry, LastEntry } from '../ledger/last-entry.ts';
import { type CommandIo, writeLine } from '../terminal.ts';

/**
 * Removes the pinned programs and maps that no `run` owns. The final entry of their account is kept in the state
 * directory, for the next start to publish: this command talks to no broker.
 */
export async function detachCommand(config: DetachConfig, io: CommandIo): Promise<number> {
  const lastEntry = new LastEntry(config.stateDir);
  const last = (await lastEntry.read())?.entry;
  const totals = detachPinned(config.pinPath, config.discard);
  if (totals !== undefined && totals.attachId > 0) {
    const entry = detachedEntry(last, totals, { bootId: readBootId(), nowMillis: systemClock.nowMillis() });
    if (entry !== undefined) await lastEntry.write({ entry, published: false });
  }
  await writeLine(io.stdout, detachLine(config.pinPath, totals?.discarded));
  return 0;
}

function detachLine(pinPath: string, discarded: number | undefined): string {
  if (discarded === undefined) return `nothing is pinned in ${pinPath}`;
  if (discarded === 0) return `detached ${pinPath}`;
  return `detached ${pinPath}; lost: ${discarded} records that no broker had acknowledged`;
}
