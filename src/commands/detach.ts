import { systemClock } from '../clock.ts';
import type { DetachConfig } from '../config.ts';
import { detachPinned } from '../kernel/addon.ts';
import { readBootId } from '../kernel/boot-id.ts';
import { detachedEntries } from '../ledger/closing-entries.ts';
import { LastEntries } from '../ledger/last-entries.ts';
import { type CommandIo, writeLine } from '../terminal.ts';

/**
 * Removes the pinned programs and maps that no `run` owns. The final entries of their account are kept in the state
 * directory, for the next start to publish: this command talks to no broker.
 */
export async function detachCommand(config: DetachConfig, io: CommandIo): Promise<number> {
  const lastEntries = await LastEntries.read(config.stateDir);
  const totals = detachPinned(config.pinPath, config.discard);
  if (totals !== undefined && totals.attachId > 0) {
    const last = lastEntries.kept.map(({ entry }) => entry);
    const entries = detachedEntries(last, totals, { bootId: readBootId(), nowMillis: systemClock.nowMillis() });
    await lastEntries.write(entries, { published: false });
  }
  await writeLine(io.stdout, detachLine(config.pinPath, totals));
  return 0;
}

/** What is shown of the totals. */
interface Discarded {
  readonly exec: { readonly discarded: number };
  readonly exit?: { readonly discarded: number };
  readonly packets: readonly { readonly discarded: number }[];
}

/** @param totals undefined when nothing was pinned */
export function detachLine(pinPath: string, totals: Discarded | undefined): string {
  if (totals === undefined) return `nothing is pinned in ${pinPath}`;
  const { exec, exit, packets } = totals;
  const records = exec.discarded + (exit?.discarded ?? 0);
  const counted = packets.reduce((total, { discarded }) => total + discarded, 0);
  if (records === 0 && counted === 0) return `detached ${pinPath}`;
  const lost = [
    ...(records > 0 ? [`${records} records that no broker had acknowledged`] : []),
    ...(counted > 0 ? [`the counts of ${counted} packets`] : []),
  ];
  return `detached ${pinPath}; lost: ${lost.join(', ')}`;
}
