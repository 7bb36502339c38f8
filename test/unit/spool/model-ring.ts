import type { RingSpan } from '../../../src/batch.ts';
import type { Committed, EventStream, SpoolTotals, StreamStatus } from '../../../src/kernel/event-ring.ts';
import type { Entering } from '../../../src/spool/spool.ts';
import type { RingIdentity } from '../../../src/spool/tallies.ts';

export const identity: RingIdentity = { ring: 'exec', bootId: 'boot-1', attachId: 1_000 };

/** A pinned ring as far as the spool sees it: it outlives the processes that read it. A record takes 100 bytes. */
export class ModelRing implements Pick<EventStream, 'status' | 'rollForward' | 'noteSpool'> {
  /** Those that earlier versions wrote to; their positions are below those of this one. */
  earlier: readonly ModelRing[] = [];
  consumerPosition = 0;
  /** Behind the newest record. */
  producerPosition = 1e9;
  ringBytes = 10_000;
  waitingBytes = 0;
  spooled = 0;
  spoolId = 0;
  acknowledged = 0;
  undecodable = 0;
  totals: SpoolTotals = { spoolId: 0, acknowledged: 0, evicted: 0, missing: 0, firstOffset: -1, lastOffset: -1 };

  status(): StreamStatus {
    const { consumerPosition, producerPosition, ringBytes, waitingBytes, spoolId, acknowledged, undecodable, totals } =
      this;
    const spooled = this.earlier.reduce((sum, ring) => sum + ring.spooled, this.spooled);
    return {
      consumerPosition,
      producerPosition,
      ringBytes,
      waitingBytes,
      spooled,
      spoolId,
      acknowledged,
      undecodable,
      spoolAcknowledged: totals.acknowledged,
      spoolEvicted: totals.evicted,
      spoolMissing: totals.missing,
      firstOffset: totals.firstOffset,
      lastOffset: totals.lastOffset,
    } as StreamStatus;
  }

  commit(position: number, committed: Committed): void {
    this.consumerPosition = position;
    this.spooled += committed.spooled;
    this.acknowledged += committed.acknowledged;
    this.undecodable += committed.undecodable;
    if (committed.spooled > 0) this.spoolId = committed.spoolId;
  }

  rollForward(position: number, committed: Committed): boolean {
    if (position > this.producerPosition || position < this.consumerPosition) return false;
    this.commit(position, committed);
    return true;
  }

  noteSpool(totals: SpoolTotals): void {
    this.totals = totals;
    if (totals.spoolId > 0) this.spoolId = totals.spoolId;
  }

  /** Of a later version, as the kernel side makes it beside this one. */
  next(): ModelRing {
    const next = new ModelRing();
    next.earlier = [...this.earlier, this];
    next.consumerPosition = this.producerPosition + 1e9;
    next.producerPosition = next.consumerPosition + 1e9;
    next.noteSpool({ ...this.totals, spoolId: this.spoolId });
    return next;
  }

  /** Records that are in the spool, as the ring knows it. */
  get held(): number {
    const { acknowledged, evicted, missing } = this.totals;
    return this.status().spooled - acknowledged - evicted - missing;
  }
}

/** A batch of `records` records whose value is `bytes` long and begins with its number. */
export function entering(number: number, records: number, start: number, bytes = 100, epoch = 1): Entering {
  const value = Buffer.alloc(bytes, number & 0xff);
  value.writeUInt32LE(number, 0);
  const span: RingSpan = {
    start,
    end: start + records * 100,
    undecodable: 0,
    epochs: () => [[epoch, records]],
  };
  return { value, span, schema: { fingerprint: '00', text: '"bytes"' }, tried: false };
}

export const acknowledgementOf = (records: number, firstOffset = 0) => ({
  topic: 'exec-events',
  partition: 0,
  firstOffset,
  lastOffset: firstOffset + records - 1,
  records,
});
