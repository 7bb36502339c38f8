import type { EarlierRing, EventStream } from '../kernel/event-ring.ts';
import type { Log } from '../log.ts';
import type { Spool } from './spool.ts';
import type { RingIdentity } from './tallies.ts';

export interface ResumeOptions {
  readonly spool: Spool;
  readonly capture: Pick<EventStream, 'status' | 'rollForward' | 'noteSpool'> & {
    readonly earlier: readonly Pick<EarlierRing, 'status' | 'rollForward'>[];
  };
  readonly identity: RingIdentity;
  readonly log: Log;
}

/**
 * Makes ring and spool agree, before anything is read: a process can have died between putting a batch on disk and
 * committing it, and between taking one out and noting that. What the ring gave to a spool that is not there any more is
 * counted as missing.
 */
export async function resumeSpool({ spool, capture, identity, log }: ResumeOptions): Promise<void> {
  const disagreement = spool.hasTally(identity) ? agree(spool, capture, identity) : undefined;
  if (spool.hasTally(identity) && disagreement === undefined) return;
  const status = capture.status();
  const { spooled, spoolId, spoolAcknowledged, spoolEvicted, lastOffset } = status;
  const noted = notedOf(status);
  const lost = spooled - noted.acknowledged - noted.evicted - noted.missing;
  if (disagreement !== undefined) await spool.setAside(disagreement);
  else if (lost > 0 && spool.id !== undefined && spool.id !== spoolId)
    await spool.setAside('it is another one than the one that the ring gave its records to');
  if (lost > 0) {
    log.error(
      { records: lost },
      'spool_missing: records that were in a spool that is not there any more count as lost',
    );
    capture.noteSpool({ ...noted, spoolId: 0, missing: noted.missing + lost });
  }
  spool.adopt({ ...identity, entered: spooled, acknowledged: spoolAcknowledged, evicted: spoolEvicted, lastOffset });
}

const strayBatch = 'its newest batch does not begin where the ring does';

function notedOf({ spoolAcknowledged, spoolEvicted, spoolMissing }: ReturnType<EventStream['status']>) {
  return {
    acknowledged: spoolAcknowledged,
    evicted: spoolEvicted,
    missing: spoolMissing,
    firstOffset: -1,
    lastOffset: -1,
  };
}

/** @returns why they cannot be of one capture, in words */
function agree(spool: Spool, capture: ResumeOptions['capture'], identity: RingIdentity): string | undefined {
  const status = capture.status();
  const { spooled, spoolId, lastOffset } = status;
  const tally = spool.tallyOf(identity);
  const newest = spool.heldOf(identity).at(-1);
  // It may be of a ring that an earlier version wrote to.
  const ring =
    capture.earlier.find((earlier) => newest !== undefined && newest.key.end <= earlier.status().producerPosition) ??
    capture;
  const { consumerPosition } = ring.status();
  const ahead = newest !== undefined && newest.key.end > consumerPosition ? newest : undefined;
  const committed = tally.entered - (ahead?.index.records ?? 0);
  if (committed !== spooled) return `it tells of ${committed} records of this capture, and the ring gave it ${spooled}`;
  const id = spool.id as number;
  // The first batch of a new spool is not committed yet.
  if (spoolId !== id && (ahead === undefined || spool.heldOf(identity).length > 1))
    return 'it is another one than the one that the ring gave its records to';
  if (ahead !== undefined) {
    const { records, undecodable } = ahead.index;
    const committed = { acknowledged: 0, undecodable, spooled: records, spoolId: id, firstOffset: -1, lastOffset: -1 };
    if (ahead.key.start !== consumerPosition) return strayBatch;
    // First, so that whoever comes upon that finds the records where they are.
    capture.noteSpool({ ...notedOf(status), spoolId: id });
    if (!ring.rollForward(ahead.key.end, committed)) return strayBatch;
  }
  const held = spool.heldOf(identity).reduce((total, { index }) => total + index.records, 0);
  capture.noteSpool({
    spoolId: id,
    acknowledged: tally.acknowledged,
    evicted: tally.evicted,
    missing: tally.entered - tally.acknowledged - tally.evicted - held,
    firstOffset: -1,
    lastOffset: Math.max(lastOffset, tally.lastOffset),
  });
  return undefined;
}
