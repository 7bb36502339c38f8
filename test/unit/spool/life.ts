import { join } from 'node:path';
import { expect } from 'vitest';
import { openSpool } from '../../../src/spool/open-spool.ts';
import type { Leave, Spool } from '../../../src/spool/spool.ts';
import { storedBytes } from '../../../src/spool/spool-store.ts';
import { FakeClock, fakeLog } from '../producers/fakes.ts';
import { acknowledgementOf, entering, identity, ModelRing } from './model-ring.ts';

export const never = new AbortController().signal;
export const mebibyte = 1024 * 1024;

/** Of a batch that takes some room, and what four of them take. */
export const value = 40_000;
export const room = 4 * storedBytes(Buffer.alloc(value));

/** A ring, a state directory, and one process after the other that has both. */
export class Life {
  ring = new ModelRing();
  readonly stateDir: string;
  readonly clock = new FakeClock();
  readonly leaves: Leave[] = [];
  lines: ReturnType<typeof fakeLog>['lines'] = [];
  spool!: Spool;
  /** Numbers of the batches that were entered, and in which order they left. */
  entered = 0;
  readonly acknowledged: number[] = [];
  #end = 0;

  constructor(stateDir: string) {
    this.stateDir = stateDir;
  }

  get directory(): string {
    return join(this.stateDir, 'spool');
  }

  async start({ bytes = 64 * mebibyte, full = 'keep' as 'keep' | 'drop-oldest' } = {}): Promise<void> {
    const { log, lines } = fakeLog();
    this.lines = lines;
    const { stateDir, ring: capture, clock } = this;
    this.spool = await openSpool({ settings: { stateDir, bytes, full }, identity, capture, clock, log });
    this.#end = capture.consumerPosition;
    this.spool.onLeave((leave) => {
      this.leaves.push(leave);
      const records = leave.epochs.reduce((total, [, count]) => total + count, 0);
      const { missing } = this.ring.totals;
      this.ring.noteSpool({
        spoolId: 0,
        acknowledged: leave.tally.acknowledged,
        evicted: leave.tally.evicted,
        missing: missing + (leave.kind === 'missing' ? records : 0),
        firstOffset: -1,
        lastOffset: -1,
      });
    });
  }

  /** @param commit false: the process dies before it tells the ring */
  async enter({ records = 3, bytes = 100, commit = true, epoch = 1, tried = false } = {}): Promise<boolean> {
    const batch = { ...entering(this.entered, records, this.#end, bytes, epoch), tried };
    const kept = await this.spool.enter(batch);
    if (kept === undefined) return false;
    this.entered += 1;
    this.#end = batch.span.end;
    if (!commit) return true;
    const counts = { acknowledged: 0, undecodable: 0, firstOffset: -1, lastOffset: -1 };
    this.ring.commit(batch.span.end, { ...counts, spooled: records, spoolId: kept.spoolId });
    kept.committed();
    return true;
  }

  /** The oldest one is sent; it leaves when the answer is there. */
  async send(): Promise<void> {
    if (this.spool.isEmpty) return;
    const entry = await this.spool.next(never);
    if (entry === undefined) return;
    this.acknowledged.push(this.spool.read(entry).readUInt32LE(0));
    await this.spool.leave(entry, acknowledgementOf(entry.index.records), never);
  }

  /** Ends as by kill -9: what the process has in memory is gone. */
  async die(): Promise<void> {
    await this.spool.close();
  }

  /** After the end of a process: another version comes, which gets a ring of its own. */
  upgrade(): void {
    this.ring = this.ring.next();
  }

  /** What is in the spool is what the ring knows of, and not more than it may be. */
  check(bytes: number): void {
    const { records, bytes: held } = this.spool.state;
    expect(records).toBe(this.ring.held);
    expect(held).toBeLessThanOrEqual(bytes);
  }
}
