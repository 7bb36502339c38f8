import type { DetachConfig } from '../config.ts';
import { detachPinned } from '../kernel/addon.ts';
import { type CommandIo, writeLine } from '../terminal.ts';

/** Removes the pinned programs and maps that no `run` owns. */
export async function detachCommand(config: DetachConfig, io: CommandIo): Promise<number> {
  const totals = detachPinned(config.pinPath, config.discard);
  await writeLine(io.stdout, detachLine(config.pinPath, totals?.discarded));
  return 0;
}

function detachLine(pinPath: string, discarded: number | undefined): string {
  if (discarded === undefined) return `nothing is pinned in ${pinPath}`;
  return discarded === 0
    ? `detached ${pinPath}`
    : `detached ${pinPath}; lost: ${discarded} records that no broker had acknowledged`;
}
