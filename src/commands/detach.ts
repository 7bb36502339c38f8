import { systemClock } from '../clock.ts';
import type { DetachConfig } from '../config/types.ts';
import { detachPinned } from '../kernel/addon.ts';
import { readBootId } from '../kernel/boot-id.ts';
import type { FinalTotals } from '../kernel/counts.ts';
import { detachedEntries, discardedRecords } from '../ledger/closing-entries.ts';
import { LastEntries } from '../ledger/last-entries.ts';
import { createLog } from '../log.ts';
import { spoolDirectory } from '../spool/open-spool.ts';
import { Spool } from '../spool/spool.ts';
import { type CommandIo, writeLine } from '../terminal.ts';

/**
 * Removes the pinned programs and maps that no `run` owns. The final entries of their account are kept in the state
 * directory, for the next start to publish: this command talks to no broker.
 */
export async function detachCommand(config: DetachConfig, io: CommandIo): Promise<number> {
  const lastEntries = await LastEntries.read(config.stateDir);
  const pinned = detachPinned(config.pinPath, config.discard);
  const totals = pinned && (await withSpool(pinned, config));
  if (totals !== undefined && totals.attachId > 0) {
    const last = lastEntries.kept.map(({ entry }) => entry);
    const entries = detachedEntries(last, totals, { bootId: readBootId(), nowMillis: systemClock.nowMillis() });
    await lastEntries.write(entries, { published: false });
  }
  await writeLine(
    io.stdout,
    detachLine(config.pinPath, totals && { ...totals, exec: { discarded: discardedRecords(totals.exec) } }),
  );
  return 0;
}

/** The totals as the spool knows them; what it has of the attach is thrown away with the rest. */
async function withSpool(totals: FinalTotals, { stateDir, logLevel }: DetachConfig): Promise<FinalTotals> {
  if (totals.exec.spooled === 0) return totals;
  const identity = { ring: 'exec', bootId: readBootId(), attachId: totals.attachId };
  const settings = { directory: spoolDirectory(stateDir), bytes: 0, full: 'keep' } as const;
  await using spool = await Spool.open({ settings, identity, clock: systemClock, log: createLog(logLevel) });
  if (!spool.hasTally(identity)) return totals;
  const { acknowledged, evicted } = spool.tallyOf(identity);
  await spool.discard(identity);
  return { ...totals, exec: { ...totals.exec, spoolAcknowledged: acknowledged, spoolEvicted: evicted } };
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
