import type { Writable } from 'node:stream';
import type { Clock } from '../clock.ts';
import type { PacketCount } from '../schemas/packet-count.ts';
import { screenLines, writeLine } from '../terminal.ts';
import { PacketTable } from './packet-table.ts';

export interface PacketTablesOptions {
  readonly out: Writable;
  readonly clock: Clock;
  /** Ends after so many tables. */
  readonly limit?: number | undefined;
  /** How much of a screen a table may take, up to 1; the rest is for what others print there. */
  readonly screenShare?: number;
  readonly signal: AbortSignal;
}

/** Between two tables, and the longest that one waits for the rest of an interval; milliseconds. */
const pace = 1_000;
/** An interval counts as complete when nothing came for so long; milliseconds. */
const quiet = 100;

/**
 * Adds up packet counts and prints the table, at most once a second and only when it has changed; answers with how many
 * were printed. Each table is one write below the one before, so that what others print stands between two tables and
 * never inside one. On a terminal it is cut to what the screen shows.
 *
 * @param counts opens the counts; they end when the signal that they are given aborts
 */
export async function printPacketTables(
  counts: (signal: AbortSignal) => AsyncIterable<PacketCount>,
  { out, clock, limit = Number.POSITIVE_INFINITY, screenShare = 1, signal }: PacketTablesOptions,
): Promise<number> {
  const enough = new AbortController();
  const ended = AbortSignal.any([signal, enough.signal]);
  const table = new PacketTable();
  let wake = (): void => {};
  const reading = (async () => {
    for await (const count of counts(ended)) {
      table.add(count);
      wake();
    }
  })().finally(() => {
    enough.abort();
    wake();
  });
  // Awaited at the end.
  reading.catch(() => {});

  let printed = 0;
  let printedAt = Number.NEGATIVE_INFINITY;
  let shown = 0;
  while (printed < limit && !ended.aborted) {
    if (table.changes === shown) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      continue;
    }
    await intervalEnds(table, { clock, earliest: printedAt + pace, signal: ended });
    if (ended.aborted) break;
    shown = table.changes;
    printedAt = clock.elapsedMillis();
    const screen = screenLines(out);
    // The last line of a screen is the cursor's.
    const lines = screen === undefined ? undefined : Math.floor((screen - 1) * screenShare);
    await writeLine(out, table.text(lines), ended);
    printed += 1;
  }
  enough.abort();
  await reading;
  return printed;
}

/** Adds up packet counts that have an end, and prints one table; answers with how many were printed. */
export async function printPacketTotals(
  counts: AsyncIterable<PacketCount>,
  { out, signal }: Pick<PacketTablesOptions, 'out' | 'signal'>,
): Promise<number> {
  const table = new PacketTable();
  for await (const count of counts) table.add(count);
  if (table.changes === 0 || signal.aborted) return 0;
  await writeLine(out, table.text(), signal);
  return 1;
}

/** Waits until nothing has come for a moment, or for as long as a table may wait, but to `earliest` anyway. */
async function intervalEnds(
  table: PacketTable,
  { clock, earliest, signal }: { clock: Clock; earliest: number; signal: AbortSignal },
): Promise<void> {
  const latest = clock.elapsedMillis() + pace;
  let before: number;
  do {
    before = table.changes;
    await clock.sleep(quiet, signal);
  } while (
    !signal.aborted &&
    (clock.elapsedMillis() < earliest || (table.changes !== before && clock.elapsedMillis() < latest))
  );
}
