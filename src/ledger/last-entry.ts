import { join } from 'node:path';
import { Bpf2KafkaError } from '../errors.ts';
import type { FinalTotals } from '../kernel/addon.ts';
import type { LedgerEntry } from '../schemas/ledger-entry.ts';
import { readState, writeState } from '../state-file.ts';
import { execAccount, unexplained } from './account.ts';

/**
 * The newest entry of the exec stream, kept in the state directory: when an attach ends without its final entry,
 * because the host crashed or its pins were removed, the next start writes that entry under the old ids.
 */
interface Kept {
  readonly entry: LedgerEntry;
  /** The broker has acknowledged it. */
  readonly published: boolean;
}

export class LastEntry {
  readonly #path: string;

  constructor(stateDir: string) {
    this.#path = join(stateDir, 'ledger-exec.json');
  }

  async read(): Promise<Kept | undefined> {
    return (await readState(this.#path)) as Kept | undefined;
  }

  async write(kept: Kept): Promise<void> {
    await writeState(this.#path, kept);
  }
}

/**
 * A capture that goes on keeps its host id: its records and its account are under it.
 *
 * @throws Bpf2KafkaError ERR_CONFIG
 */
export function refuseOtherHostId(kept: Kept | undefined, current: Omit<Start, 'nowMillis' | 'moved'>): void {
  if (kept === undefined) return;
  const { host_id: hostId, boot_id: bootId, attach_id: attachId } = kept.entry;
  if (bootId !== current.bootId || attachId !== current.attachId || hostId === current.hostId) return;
  throw new Bpf2KafkaError('ERR_CONFIG', {
    operation: 'use --host-id',
    subject: current.hostId,
    reason: `the capture that goes on was begun as ${hostId}, and its records and its account are under that id`,
    remedy: 'end it first: run it once more as it was, with `--on-exit detach`',
  });
}

/** What a start is: a new attach, or one that goes on. */
interface Start {
  readonly hostId: string;
  readonly bootId: string;
  readonly attachId: number;
  readonly nowMillis: number;
  /** The attach goes on, with another topic, partition or cluster to write to. */
  readonly moved: boolean;
}

/**
 * What a start has to publish before its own first entry; undefined when there is nothing to tell: the end of an attach
 * that has none yet, or, in a ledger that does not know this attach, what it had published elsewhere.
 */
export function entryBefore(kept: Kept | undefined, current: Start): LedgerEntry | undefined {
  if (kept === undefined) return undefined;
  const { entry, published } = kept;
  const sameBoot = entry.boot_id === current.bootId;
  if (sameBoot && entry.attach_id === current.attachId) {
    return current.moved ? entry : undefined;
  }
  if (isFinal(entry)) return published ? undefined : entry;
  return crashEntry(entry, sameBoot ? 'pins_removed' : 'host_crash', current.nowMillis);
}

function isFinal({ state, closed }: LedgerEntry): boolean {
  return closed && (state === 'stopped' || state === 'closing');
}

/**
 * The end of an attach of which nothing is left but its newest entry. What was pending then is lost, at most: some of
 * it may have been published. What happened since is not known, and a number for it would be a lie.
 */
function crashEntry(last: LedgerEntry, reason: string, nowMillis: number): LedgerEntry {
  return {
    ...last,
    state: 'closing',
    interval_start: last.interval_end,
    interval_end: nowMillis,
    closed: true,
    pending: 0,
    lost: last.pending > 0 ? { ...last.lost, [reason]: last.pending } : last.lost,
    unobserved_micros: last.unobserved_micros + Math.max(0, nowMillis - last.interval_end) * 1000,
  };
}

/**
 * The end of an attach that `detach` has removed, exact: the kernel had stopped when it was counted.
 * @returns undefined when the last entry is of another attach, so that nothing is known of this one's identity
 */
export function detachedEntry(
  last: LedgerEntry | undefined,
  totals: FinalTotals,
  { bootId, nowMillis }: { readonly bootId: string; readonly nowMillis: number },
): LedgerEntry | undefined {
  if (last === undefined || last.attach_id !== totals.attachId || last.boot_id !== bootId) return undefined;
  const account = execAccount(totals, { published: totals.acknowledged, undecodable: totals.undecodable, pending: 0 });
  const lost = totals.discarded > 0 ? { ...account.lost, discarded: totals.discarded } : account.lost;
  return {
    ...last,
    epoch: totals.epoch,
    state: 'closing',
    interval_start: last.interval_end,
    interval_end: nowMillis,
    low_watermark: totals.attachId + totals.entered - (account.lost.fell_through ?? 0),
    closed: true,
    seen: account.seen,
    published: account.published,
    pending: 0,
    lost: { ...lost },
    unexplained: unexplained({ ...account, lost }),
    destination:
      last.destination === null
        ? null
        : { ...last.destination, first_offset: totals.firstOffset, last_offset: totals.lastOffset },
  };
}
