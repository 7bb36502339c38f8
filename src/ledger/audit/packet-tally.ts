import type { PacketCount } from '../../schemas/packet-count.ts';
import { laneA, laneB } from './field-hash.ts';
import { IdentityTable } from './identity-table.ts';
import { hashPacketFields, hashPacketIdentity } from './packet-fields.ts';
import { SparseCounters } from './sparse-counters.ts';

/** Two records of one identity whose kernel fields differ. */
export interface PacketConflict {
  readonly epoch: number;
  readonly partition: number;
  readonly offset: number;
}

const conflictsKept = 20;

/** What the topic has of the packets of one boot. Identities are unique within it, whatever attach they name. */
export class PacketTally {
  /** By attach and name of the interface. */
  readonly #interfaces = new Map<number, Map<string, InterfaceTally>>();
  readonly #identities = new IdentityTable();

  /** @returns what the topic has of the interface */
  add(count: PacketCount, partition: number, offset: number): InterfaceTally {
    const tally = this.#interfaceOf(count);
    const hash = hashPacketFields(count);
    const known = this.#identities.add(
      count.epoch,
      hashPacketIdentity(count, laneA),
      hashPacketIdentity(count, laneB),
      hash,
    );
    tally.add(count);
    if (known === 0) tally.addContent(count);
    else tally.addRepeat(known === hash ? undefined : { epoch: count.epoch, partition, offset });
    return tally;
  }

  find(attachId: number, interfaceName: string): InterfaceTally | undefined {
    return this.#interfaces.get(attachId)?.get(interfaceName);
  }

  *interfaces(): Generator<InterfaceTally> {
    for (const byName of this.#interfaces.values()) yield* byName.values();
  }

  #interfaceOf({ attach_id: attachId, interface_name: name, host_name: hostName }: PacketCount): InterfaceTally {
    let byName = this.#interfaces.get(attachId);
    if (byName === undefined) {
      byName = new Map();
      this.#interfaces.set(attachId, byName);
    }
    let tally = byName.get(name);
    if (tally === undefined) {
      tally = new InterfaceTally(attachId, name);
      byName.set(name, tally);
    }
    tally.hostName = hostName ?? tally.hostName;
    return tally;
  }
}

/** What the topic has of one interface of one attach: up to 20 bytes an epoch. */
export class InterfaceTally {
  readonly attachId: number;
  readonly interfaceName: string;
  hostName: string | null = null;
  /** Repeats included. */
  records = 0;
  repeats = 0;
  /** How many of the records are dead letters. */
  deadLetters = 0;
  /** Records that count no packet, or fewer. */
  impossible = 0;
  conflicts = 0;
  readonly firstConflicts: PacketConflict[] = [];
  minEpoch = Number.POSITIVE_INFINITY;
  maxEpoch = Number.NEGATIVE_INFINITY;
  /** When the first and the last of their epochs ended, milliseconds since 1970. */
  minIntervalEnd = Number.POSITIVE_INFINITY;
  maxIntervalEnd = Number.NEGATIVE_INFINITY;
  /** By epoch, relative to attach_id: identities, their packets, and the packets of those that were filtered. */
  readonly #distinct = new SparseCounters();
  readonly #published = new SparseCounters(Float64Array);
  readonly #filtered = new SparseCounters(Float64Array);

  constructor(attachId: number, interfaceName: string) {
    this.attachId = attachId;
    this.interfaceName = interfaceName;
  }

  /** What every record counts for, and besides it either its content or that it is a repeat. */
  add({ epoch, interval_end }: PacketCount): void {
    this.records += 1;
    if (epoch < this.minEpoch) this.minEpoch = epoch;
    if (epoch > this.maxEpoch) this.maxEpoch = epoch;
    if (interval_end < this.minIntervalEnd) this.minIntervalEnd = interval_end;
    if (interval_end > this.maxIntervalEnd) this.maxIntervalEnd = interval_end;
  }

  /** Of the first record of an identity. */
  addContent({ epoch, traffic_class, packets }: PacketCount): void {
    if (packets < 1) this.impossible += 1;
    const index = epoch - this.attachId;
    this.#distinct.add(index, 1);
    (traffic_class === 'filtered' ? this.#filtered : this.#published).add(index, packets);
  }

  /** @param conflict when its kernel fields are others than before */
  addRepeat(conflict: PacketConflict | undefined): void {
    this.repeats += 1;
    if (conflict === undefined) return;
    this.conflicts += 1;
    if (this.firstConflicts.length < conflictsKept) this.firstConflicts.push(conflict);
  }

  /** Identities with `after` < epoch <= `through`. */
  distinct(after: number, through: number): number {
    return this.#sum(this.#distinct, after, through);
  }

  /** Their packets, without those that were filtered. */
  published(after: number, through: number): number {
    return this.#sum(this.#published, after, through);
  }

  filtered(after: number, through: number): number {
    return this.#sum(this.#filtered, after, through);
  }

  /** The first epochs with `after` < epoch <= `through` that have no record at all. */
  firstEmpty(after: number, through: number, limit: number): number[] {
    const empty = this.#distinct.firstEmpty(after + 1 - this.attachId, through + 1 - this.attachId, limit);
    return empty.map((index) => index + this.attachId);
  }

  #sum(counters: SparseCounters, after: number, through: number): number {
    return counters.sum(after + 1 - this.attachId, through + 1 - this.attachId);
  }
}
