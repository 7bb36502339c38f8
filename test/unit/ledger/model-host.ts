import type { EpochCut, PacketTotals } from '../../../src/kernel/counts.ts';
import type { RingStatus, StreamStatus } from '../../../src/kernel/event-ring.ts';
import { WallClock } from '../../../src/kernel/wall-clock.ts';
import type { Epochs } from '../../../src/ledger/epochs.ts';
import { EventStreamAccount, type EventStreamAccountOptions } from '../../../src/ledger/event-stream.ts';
import { Ledger } from '../../../src/ledger/ledger.ts';
import { type PacketReader, PacketStreams } from '../../../src/ledger/packet-streams.ts';
import type { LedgerEntry, LedgerState } from '../../../src/schemas/ledger-entry.ts';
import { CommittedByEpoch } from '../../../src/sources/committed-by-epoch.ts';
import { FakeClock, fakeLog } from '../producers/fakes.ts';

interface Slot {
  readonly name: string;
  seen: number;
  overflow: number;
  filtered: number;
  /** In the active map, in the frozen one, in acknowledged records; without those that are filtered. */
  active: number;
  frozen: number;
  acknowledged: number;
}

/** A ring of execs, each known by its epoch. */
class ModelRing {
  /** In the order of the ring; those before `#consumed` are committed. */
  readonly #records: number[] = [];
  #consumed = 0;
  #acknowledged = 0;
  #undecodable = 0;
  readonly #committed = new CommittedByEpoch();
  /** Epochs of the records that were moved to the spool, oldest first, and how many left it how. */
  readonly #spool: number[] = [];
  readonly #leftSpool = { acknowledged: 0, evicted: 0, missing: 0 };

  get end(): number {
    return this.#records.length;
  }

  get backlog(): number {
    return this.#records.length - this.#consumed;
  }

  add(epoch: number): void {
    this.#records.push(epoch);
  }

  through(epoch: number): number {
    return this.#records.filter((of) => of <= epoch).length;
  }

  commit(count: number, undecodable: number): void {
    const epochs = this.#records.slice(this.#consumed, this.#consumed + count);
    this.#consumed += epochs.length;
    for (const [index, epoch] of epochs.entries()) {
      if (index < undecodable) {
        this.#undecodable += 1;
        this.#committed.of(epoch).undecodable += 1;
      } else {
        this.#acknowledged += 1;
        this.#committed.of(epoch).acknowledged += 1;
      }
    }
  }

  committedAfter(epoch: number) {
    return this.#committed.after(epoch);
  }

  moveToSpool(count: number): void {
    const epochs = this.#records.slice(this.#consumed, this.#consumed + count);
    this.#consumed += epochs.length;
    this.#spool.push(...epochs);
  }

  leaveSpool(count: number, kind: 'acknowledged' | 'evicted' | 'missing'): void {
    for (const epoch of this.#spool.splice(0, count)) {
      this.#leftSpool[kind] += 1;
      this.#committed.of(epoch)[kind] += 1;
    }
  }

  get spooled(): number {
    return this.#spool.length;
  }

  recordsThrough(epoch: number): number {
    return this.#spool.filter((of) => of <= epoch).length;
  }

  pending(epoch: number, end: number): number {
    return this.#records.filter((of, index) => index >= this.#consumed && index < end && of <= epoch).length;
  }

  readonly firstOffset = -1;

  get lastOffset(): number {
    return this.#acknowledged - 1;
  }

  get status() {
    return {
      acknowledged: this.#acknowledged,
      undecodable: this.#undecodable,
      spoolAcknowledged: this.#leftSpool.acknowledged,
      spoolEvicted: this.#leftSpool.evicted,
      spoolMissing: this.#leftSpool.missing,
    };
  }
}

/** A host with rings of execs and two maps of packets, every step of which a test takes by itself. */
export class ModelHost implements Epochs, PacketReader {
  readonly attachId = 1_000;
  epoch = this.attachId;
  newest: EpochCut | undefined;
  readonly firstOffset = -1;
  readonly lastOffset = -1;
  readonly slots: Slot[] = [];
  execState: LedgerState = 'capturing';
  packetState: LedgerState = 'capturing';

  /** Epochs of all execs, of those that found no room, and of those that a rule kept out. */
  readonly #execs: number[] = [];
  readonly #ringFull: number[] = [];
  readonly #filtered: number[] = [];
  readonly whole = new ModelRing();
  readonly bare = new ModelRing();
  /** What is with the frozen map. */
  #map: 'cleared' | 'reading' | 'waiting' = 'cleared';
  /** An epoch has ended, and its cut is not known yet. */
  #ending = false;
  /** Somebody asked for a cut while none could be made. */
  #wanted = false;
  #next = Promise.withResolvers<EpochCut>();
  #afterNext = Promise.withResolvers<EpochCut>();

  /** @param late it began before the epoch that is ending had ended */
  exec({ count = 1, late = false, lost = false, filtered = false, bare = false } = {}): void {
    const epoch = late && this.#ending ? this.epoch - 1 : this.epoch;
    for (let i = 0; i < count; i += 1) {
      this.#execs.push(epoch);
      if (filtered) this.#filtered.push(epoch);
      else if (lost) this.#ringFull.push(epoch);
      else (bare ? this.bare : this.whole).add(epoch);
    }
  }

  /** Acknowledges the oldest records of a ring; the first ones make no sense. */
  commit(count: number, undecodable = 0, ring = this.whole): void {
    ring.commit(count, undecodable);
  }

  /** Moves the oldest whole records to the spool. */
  moveToSpool(count: number): void {
    this.whole.moveToSpool(count);
  }

  /** The oldest records of the spool leave it. */
  leaveSpool(count: number, kind: 'acknowledged' | 'evicted' | 'missing'): void {
    this.whole.leaveSpool(count, kind);
  }

  get spooled(): number {
    return this.whole.spooled;
  }

  get backlog(): number {
    return this.whole.backlog + this.bare.backlog;
  }

  addInterface(name: string): void {
    this.slots.push({ name, seen: 0, overflow: 0, filtered: 0, active: 0, frozen: 0, acknowledged: 0 });
  }

  packets(index: number, count: number, kind: 'keyed' | 'overflow' | 'filtered' = 'keyed'): void {
    const slot = this.slots[index];
    if (slot === undefined || this.#ending) return; // which epoch they are of is the business of the barrier
    slot.seen += count;
    if (kind === 'filtered') slot.filtered += count;
    else slot.active += count;
    if (kind === 'overflow') slot.overflow += count;
  }

  /** Ends the epoch, if the packets before are acknowledged; its cut is there with `endFlip`. */
  beginFlip(): void {
    if (this.#ending || this.#map !== 'cleared') return;
    this.#ending = true;
    this.#wanted = false;
    this.epoch += 1;
  }

  endFlip(): void {
    if (!this.#ending) return;
    this.#ending = false;
    this.#map = 'reading';
    for (const slot of this.slots) [slot.frozen, slot.active] = [slot.active, 0];
    this.newest = this.#cut(this.epoch - 1);
    this.#next.resolve(this.newest);
    [this.#next, this.#afterNext] = [this.#afterNext, Promise.withResolvers<EpochCut>()];
  }

  readMap(): void {
    if (this.#map === 'reading') this.#map = 'waiting';
  }

  acknowledgePackets(): void {
    if (this.#map !== 'waiting') return;
    for (const slot of this.slots) [slot.acknowledged, slot.frozen] = [slot.acknowledged + slot.frozen, 0];
    this.#map = 'cleared';
    if (this.#wanted) this.beginFlip();
  }

  /** A whole epoch, acknowledged. */
  async flip(): Promise<void> {
    this.beginFlip();
    this.endFlip();
    await Promise.resolve(); // whoever waited for the cut has it
    this.readMap();
    this.acknowledgePackets();
  }

  advance(): Promise<EpochCut> {
    const promise = this.#ending ? this.#afterNext.promise : this.#next.promise;
    this.#wanted = true;
    this.beginFlip();
    return promise;
  }

  next(): Promise<EpochCut> {
    return this.#next.promise;
  }

  acknowledged(slot: number): number {
    return this.slots[slot]?.acknowledged ?? 0;
  }

  pending(slot: number, epoch: number): number | undefined {
    if (epoch !== this.newest?.epoch) throw new Error('only the newest epoch can be told');
    return this.#map === 'reading' ? undefined : (this.slots[slot]?.frozen ?? 0);
  }

  get settled(): boolean {
    return this.#map === 'cleared';
  }

  /** What the kernel knows of the rings. */
  readonly stream: EventStreamAccountOptions['stream'] = {
    status: () =>
      ({
        ...this.whole.status,
        fellThrough: 0,
        ringFull: this.#ringFull.length,
        ringBusy: 0,
        bare: this.bare.end,
        unobservedMicros: 0,
        programHash: '',
      }) as StreamStatus,
    pending: (epoch, end) => this.whole.pending(epoch, end),
  };
  readonly bareRing = {
    status: () => this.bare.status as RingStatus,
    pending: (epoch: number, end: number) => this.bare.pending(epoch, end),
  };

  /** Events of a stream through the end of an epoch that has ended, as a check of the entries. */
  execsThrough(epoch: number): number {
    return this.#execs.filter((of) => of <= epoch).length;
  }

  #cut(epoch: number): EpochCut {
    const filtered = this.#filtered.filter((of) => of <= epoch).length;
    return {
      epoch,
      beginBootMicros: epoch * 1_000_000,
      endBootMicros: (epoch + 1) * 1_000_000,
      exec: {
        entered: this.execsThrough(epoch),
        fellThrough: 0,
        ringFull: this.#ringFull.filter((of) => of <= epoch).length,
        ringBusy: 0,
        filtered: filtered > 0 ? { 'exclude_exe:/x': filtered } : {},
        skipped: 0,
        seq: this.attachId + this.execsThrough(epoch) - filtered,
        bare: this.bare.through(epoch),
        producerPosition: this.whole.end,
        bareProducerPosition: this.bare.end,
      },
      packets: this.slots.map(
        ({ name, seen, overflow, filtered }, slot): PacketTotals => ({
          slot,
          interfaceIndex: slot + 2,
          name,
          seen,
          seenBytes: seen * 60,
          fragment: 0,
          malformed: 0,
          nonIp: 0,
          overflow,
          filtered,
          unobservedMicros: 0,
        }),
      ),
    };
  }
}

/** A ledger over a model; `batches` is what it published, `broker` lets it wait for the acknowledgement. */
export function ledgerOf(host: ModelHost, { intervalMillis = 10_000, exec = true } = {}) {
  const clock = new FakeClock();
  const { log, lines } = fakeLog();
  const batches: (readonly LedgerEntry[])[] = [];
  const broker = { away: undefined as Promise<void> | undefined };
  const destination = { cluster_id: 'c', topic: 't', partition: 0, replication_factor: 1, min_insync_replicas: 1 };
  const execs = new EventStreamAccount({
    name: 'exec',
    stream: host.stream,
    reader: host.whole,
    bare: { ring: host.bareRing, reader: host.bare },
    spool: host.whole,
    deliveryState: () => host.execState,
    destination,
  });
  const packets = new PacketStreams({
    epochs: host,
    reader: host,
    deliveryState: () => host.packetState,
    destination,
    programTag: '',
  });
  const ledger = new Ledger({
    epochs: host,
    streamsOf: (cut) => [...(exec ? [execs] : []), ...packets.of(cut)],
    identity: { hostId: 'host', hostName: null, bootId: 'boot', attachId: host.attachId },
    wallClock: new WallClock([{ fromBootMicros: 0, realtimeMinusBootMicros: 0 }]),
    clock,
    log,
    intervalMillis,
    publish: async (entries) => {
      batches.push(entries);
      await broker.away;
    },
  });
  /** Of one stream, in the order in which they were published. */
  const entriesOf = (stream: string) => batches.flat().filter(({ stream_name }) => stream_name === stream);
  return { ledger, clock, batches, broker, entriesOf, lines };
}
