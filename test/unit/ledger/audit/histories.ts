import fc from 'fast-check';
import type { AuditFacts } from '../../../../src/ledger/audit/audit-facts.ts';
import type { ExecEvent } from '../../../../src/schemas/exec-event.ts';
import type { LedgerEntry } from '../../../../src/schemas/ledger-entry.ts';
import { fullEvent } from '../../schemas/events.ts';

/**
 * A model of the kernel, the sidecar and the broker that counts everything where it happens, as the real ones do: what
 * it tells closes by construction, and a test changes one thing of it.
 */

export type EventKind = 'record' | 'ring_full' | 'ring_busy' | 'undecodable' | 'fell_through' | 'skipped' | 'filtered';

export interface EpochPlan {
  readonly events: readonly EventKind[];
  /** How many of the last events latched this epoch but were numbered after its cut had noted the next number. */
  readonly late: number;
  /** closed: one entry. opened: an entry with some pending, then a closed one. open: the closed one never came. */
  readonly entry: 'closed' | 'opened' | 'open' | 'none';
  /** Records that stay pending at the first entry of `opened` and `open`. */
  readonly pending: number;
  /** Records of the next epoch that were acknowledged before this epoch's entry was written. */
  readonly early: number;
  /** Records that were written, and written again by the next process because it had not committed them. */
  readonly again: number;
}

export interface AttachPlan {
  readonly epochs: readonly EpochPlan[];
  /** How it ended, unless it is the last one of its host. */
  readonly end: 'stopped' | 'crashed';
  /** Records that a crash still let through after the last entry. */
  readonly through: number;
  /** The entry that closes it later has the epoch of the last one, or the next. */
  readonly nextEpoch: boolean;
}

export interface HostPlan {
  readonly attaches: readonly AttachPlan[];
  /** The last attach goes on. */
  readonly live: boolean;
}

export interface StoredRecord {
  readonly event: ExecEvent;
  readonly partition: number;
  readonly offset: number;
}

export interface World {
  readonly entries: readonly LedgerEntry[];
  readonly records: readonly StoredRecord[];
  readonly facts: AuditFacts;
}

const wallAtBoot = 1_790_000_000_000;
const epochMillis = 10_000;
export const clusterId = 'cluster-1';
export const topic = 'p.exec-events';

interface Waiting {
  readonly event: ExecEvent;
  readonly decodable: boolean;
}

interface Counts {
  seen: number;
  readonly lost: Record<string, number>;
  readonly filtered: Record<string, number>;
}

class Partition {
  readonly records: StoredRecord[] = [];
  readonly #alone: boolean;
  next = 0;

  constructor(alone: boolean) {
    this.#alone = alone;
  }

  append(event: ExecEvent): number {
    const offset = this.next;
    this.records.push({ event, partition: 0, offset });
    // Records of other hosts stand between them.
    this.next += this.#alone ? 1 : 1 + (offset % 3);
    return offset;
  }
}

class AttachModel {
  readonly entries: LedgerEntry[] = [];
  readonly #plan: AttachPlan;
  readonly #partition: Partition;
  readonly #host: number;
  readonly #bootId: string;
  readonly #attachId: number;
  /** In the order of the ring. */
  readonly #ring: Waiting[] = [];
  #taken = 0;
  #seq: number;
  #seen = 0;
  #lowWatermark = 0;
  #firstOffset = -1;
  #lastOffset = -1;
  readonly #lost: Record<string, number> = {};
  readonly #filtered: Record<string, number> = {};
  /** By epoch: the number that the cut noted, and the counts through the epoch. */
  readonly #cuts: number[] = [];
  readonly #counts: Counts[] = [];
  endMicros = 0;

  constructor(plan: AttachPlan, partition: Partition, host: number, bootId: string, attachId: number) {
    this.#plan = plan;
    this.#partition = partition;
    this.#host = host;
    this.#bootId = bootId;
    this.#attachId = attachId;
    this.#seq = attachId;
  }

  run(end: 'stopped' | 'crashed' | 'live'): void {
    const { epochs } = this.#plan;
    let lateBefore: EventKind[] = [];
    for (const [index, plan] of epochs.entries()) {
      const epoch = this.#attachId + index;
      const isLast = index === epochs.length - 1;
      const late = isLast ? 0 : Math.min(plan.late, plan.events.length);
      const onTime = plan.events.slice(0, plan.events.length - late);
      // Those of the epoch before that were late mix with the first of this one.
      const mixed = Math.max(lateBefore.length, onTime.length, 1);
      for (let i = 0; i < mixed; i += 1) {
        if (i < onTime.length) this.#happen(onTime[i] as EventKind, epoch);
        if (i < lateBefore.length) this.#happen(lateBefore[i] as EventKind, epoch - 1);
        // The barrier has waited for the late ones.
        if (i === Math.max(lateBefore.length - 1, 0) && index > 0) this.#entry(index - 1, false);
      }
      lateBefore = plan.events.slice(plan.events.length - late);
      this.#cuts.push(this.#seq);
      this.#counts.push({ seen: this.#seen, lost: { ...this.#lost }, filtered: { ...this.#filtered } });
      this.#countLate(lateBefore);
    }
    if (end === 'stopped') this.#entry(epochs.length - 1, true);
    else this.#entry(epochs.length - 1, false);
    this.endMicros = this.#attachId + epochs.length * epochMillis * 1000;
    if (end === 'crashed') this.#crash();
  }

  /** The cut's counters are by latched epoch: the late ones belong to it although they are numbered later. */
  #countLate(late: readonly EventKind[]): void {
    const counts = this.#counts.at(-1);
    if (counts === undefined) return;
    for (const kind of late) count(kind, counts);
  }

  #happen(kind: EventKind, epoch: number): void {
    const totals = { seen: this.#seen, lost: this.#lost, filtered: this.#filtered };
    count(kind, totals);
    this.#seen = totals.seen;
    if (kind === 'fell_through' || kind === 'skipped' || kind === 'filtered') return;
    const seq = this.#seq;
    this.#seq += 1;
    if (kind === 'ring_full' || kind === 'ring_busy') return;
    const bootMicros = this.#attachId + (epoch - this.#attachId) * epochMillis * 1000 + 1;
    this.#ring.push({
      decodable: kind === 'record',
      event: {
        ...fullEvent,
        host_id: `host-${this.#host}`,
        boot_id: this.#bootId,
        attach_id: this.#attachId,
        epoch,
        seq,
        boot_micros: bootMicros,
        event_time: wallAtBoot + Math.floor(bootMicros / 1000),
        pid: 1 + (seq % 30_000),
      },
    });
  }

  #take(): void {
    const { event, decodable } = this.#ring[this.#taken] as Waiting;
    this.#taken += 1;
    if (!decodable) return;
    this.#lastOffset = this.#partition.append(event);
    if (this.#firstOffset < 0) this.#firstOffset = this.#lastOffset;
  }

  #pendingOf(epoch: number): number {
    return this.#ring.slice(this.#taken).filter(({ event }) => event.epoch <= epoch).length;
  }

  #entry(index: number, stopped: boolean): void {
    const plan = this.#plan.epochs[index] as EpochPlan;
    const epoch = this.#attachId + index;
    // A process that is killed before the commit leaves its records to the next one, which writes them again.
    for (const { event, decodable } of this.#ring.slice(this.#taken, this.#taken + plan.again)) {
      if (decodable) this.#partition.append(event);
    }
    const kind = stopped ? 'closed' : plan.entry;
    if (kind === 'none') return;
    if (kind !== 'closed') {
      while (this.#pendingOf(epoch) > plan.pending) this.#take();
      if (this.#pendingOf(epoch) > 0) this.entries.push(this.#compose(index, 'capturing'));
      if (kind === 'open' && this.#pendingOf(epoch) > 0) return;
    }
    while (this.#pendingOf(epoch) > 0) this.#take();
    for (let i = 0; i < plan.early && this.#taken < this.#ring.length; i += 1) this.#take();
    this.#lowWatermark = this.#cuts[index] as number;
    this.entries.push(this.#compose(index, stopped ? 'stopped' : 'capturing'));
  }

  #compose(index: number, state: LedgerEntry['state']): LedgerEntry {
    const epoch = this.#attachId + index;
    const { seen, lost, filtered } = this.#counts[index] as Counts;
    const done = this.#ring.slice(0, this.#taken).filter(({ event }) => event.epoch <= epoch);
    const undecodable = done.filter(({ decodable }) => !decodable).length;
    const begin = wallAtBoot + Math.floor(this.#attachId / 1000) + index * epochMillis;
    const pending = this.#pendingOf(epoch);
    return {
      host_id: `host-${this.#host}`,
      host_name: `host ${this.#host}`,
      boot_id: this.#bootId,
      attach_id: this.#attachId,
      epoch,
      stream_name: 'exec',
      state,
      interval_start: begin,
      interval_end: begin + epochMillis,
      low_watermark: this.#lowWatermark,
      closed: pending === 0,
      seen,
      published: done.length - undecodable,
      pending,
      filtered: { ...filtered },
      lost: { ...lost, ...(undecodable > 0 ? { undecodable } : {}) },
      unexplained: 0,
      unobserved_micros: 0,
      destination: {
        cluster_id: clusterId,
        topic,
        partition: 0,
        first_offset: this.#firstOffset,
        last_offset: this.#lastOffset,
        replication_factor: 3,
        min_insync_replicas: 2,
      },
      sidecar_version: '0.1.0',
      program_tag: '0123456789abcdef',
    };
  }

  /** The last entry, kept on disk, is closed by the next boot; what was pending may or may not have come through. */
  #crash(): void {
    const last = this.entries.at(-1);
    if (last === undefined) return;
    for (let i = 0; i < this.#plan.through && this.#taken < this.#ring.length; i += 1) this.#take();
    const reason = this.#plan.through % 2 === 0 ? 'host_crash' : 'pins_removed';
    const lost = last.pending > 0 ? { ...last.lost, [reason]: last.pending } : last.lost;
    const epoch = last.epoch + (this.#plan.nextEpoch ? 1 : 0);
    const end = {
      interval_start: last.interval_end,
      interval_end: last.interval_end + 1_000,
      unobserved_micros: 1_000_000,
    };
    this.entries.push({ ...last, ...end, epoch, state: 'closing', lost, pending: 0, closed: true });
  }
}

function count(kind: EventKind, into: Counts): void {
  into.seen += 1;
  if (kind === 'filtered') into.filtered.exe = (into.filtered.exe ?? 0) + 1;
  else if (kind !== 'record' && kind !== 'undecodable') into.lost[kind] = (into.lost[kind] ?? 0) + 1;
}

/**
 * @param begin the first attach_id of every host; microseconds since boot
 * @param options alone: no record of another host stands between these, so that offsets have no gaps
 */
export function simulate(hosts: readonly HostPlan[], begin: number, options: { alone?: boolean } = {}): World {
  const partition = new Partition(options.alone === true);
  const entries: LedgerEntry[] = [];
  let now = 0;
  for (const [host, { attaches, live }] of hosts.entries()) {
    let boot = 0;
    let attachId = begin;
    for (const [index, plan] of attaches.entries()) {
      const isLast = index === attaches.length - 1;
      const bootId = `${host}0000000-0000-4000-8000-00000000000${boot}`;
      const model = new AttachModel(plan, partition, host, bootId, attachId);
      model.run(isLast && live ? 'live' : plan.end);
      entries.push(...model.entries);
      attachId = model.endMicros + 5_000_000;
      if (plan.end === 'crashed') boot += 1;
      now = Math.max(now, wallAtBoot + Math.floor(attachId / 1000));
    }
  }
  return {
    entries,
    records: partition.records,
    facts: { now, clusterId, topic, partitions: [{ partition: 0, logStart: 0, end: partition.next }] },
  };
}

const kinds: fc.Arbitrary<EventKind> = fc.oneof(
  { weight: 8, arbitrary: fc.constant<EventKind>('record') },
  {
    weight: 2,
    arbitrary: fc.constantFrom<EventKind>(
      'ring_full',
      'ring_busy',
      'undecodable',
      'fell_through',
      'skipped',
      'filtered',
    ),
  },
);
const few = fc.nat({ max: 4 });

function epochPlan(events: fc.Arbitrary<EventKind>): fc.Arbitrary<EpochPlan> {
  return fc.record({
    events: fc.array(events, { maxLength: 12 }),
    late: few,
    entry: fc.constantFrom('closed', 'closed', 'closed', 'opened', 'open', 'none'),
    pending: fc.integer({ min: 1, max: 3 }),
    early: few,
    again: few,
  });
}

export function hostPlan(options: { events?: fc.Arbitrary<EventKind>; live?: boolean } = {}): fc.Arbitrary<HostPlan> {
  return (
    fc
      .record({
        attaches: fc.array(
          fc.record({
            epochs: fc.array(epochPlan(options.events ?? kinds), { minLength: 1, maxLength: 6 }),
            end: fc.constantFrom('stopped', 'stopped', 'crashed'),
            through: few,
            nextEpoch: fc.boolean(),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        live: options.live === undefined ? fc.boolean() : fc.constant(options.live),
      })
      // An attach says something when it begins; without any entry its records belong to nothing.
      .map((plan) => ({ ...plan, attaches: plan.attaches.map(speaking) }))
  );
}

function speaking(attach: AttachPlan): AttachPlan {
  const [first, ...rest] = attach.epochs as [EpochPlan, ...EpochPlan[]];
  return { ...attach, epochs: [{ ...first, entry: first.entry === 'none' ? 'closed' : first.entry }, ...rest] };
}

export const honestWorld: fc.Arbitrary<World> = worldOf(hostPlan());

export function worldOf(host: fc.Arbitrary<HostPlan>): fc.Arbitrary<World> {
  const hosts = fc.array(host, { minLength: 1, maxLength: 3 });
  return fc.tuple(hosts, fc.integer({ min: 1, max: 2 ** 40 })).map(([plans, begin]) => simulate(plans, begin));
}
