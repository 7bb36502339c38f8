import fc from 'fast-check';
import type { AuditFacts } from '../../../../src/ledger/audit/audit-facts.ts';
import type { LedgerEntry } from '../../../../src/schemas/ledger-entry.ts';
import type { PacketCount, TrafficClass } from '../../../../src/schemas/packet-count.ts';

/**
 * A model of the packets of a host: epochs that are read, published and acknowledged one after the other, and a ledger
 * that takes some of their cuts. It counts everything where it happens, so what it tells closes by construction.
 */

/** Packets of one key on one slot of the interface table. */
export interface Traffic {
  readonly slot: number;
  readonly key: number;
  readonly trafficClass: TrafficClass;
  readonly packets: number;
}

export interface PacketEpoch {
  readonly traffic: readonly Traffic[];
  /** closed: one entry. opened: one with everything of the epoch pending, then a closed one. open: only the first. */
  readonly entry: 'closed' | 'opened' | 'open' | 'none';
  /** The closed entry is written when the next epoch has been acknowledged already. */
  readonly late: boolean;
  /** Records that were written before a process died, and written again by the next one. */
  readonly again: number;
}

export interface PacketAttach {
  /** Name of the interface in each slot; two can have the same. */
  readonly slots: readonly string[];
  readonly epochs: readonly PacketEpoch[];
  readonly end: 'stopped' | 'crashed';
  /** How many records of an epoch that was pending at the last entry still came through before a crash. */
  readonly through: number;
}

export interface PacketHost {
  readonly attaches: readonly PacketAttach[];
  /** The last attach goes on. */
  readonly live: boolean;
}

export interface StoredCount {
  readonly count: PacketCount;
  readonly partition: number;
  readonly offset: number;
}

export interface PacketWorld {
  readonly entries: readonly LedgerEntry[];
  readonly records: readonly StoredCount[];
  readonly facts: AuditFacts & { readonly packetCounts: NonNullable<AuditFacts['packetCounts']> };
}

const wallAtBoot = 1_790_000_000_000;
const epochMillis = 1_000;
export const clusterId = 'cluster-1';
export const packetTopic = 'p.packet-counts';

class Partition {
  readonly records: StoredCount[] = [];
  readonly #alone: boolean;
  next = 0;

  constructor(alone: boolean) {
    this.#alone = alone;
  }

  append(count: PacketCount): number {
    const offset = this.next;
    this.records.push({ count, partition: 0, offset });
    this.next += this.#alone ? 1 : 1 + (offset % 3);
    return offset;
  }
}

interface Totals {
  seen: number;
  published: number;
  filtered: number;
  /** Records of the newest epoch that are not acknowledged; those of filtered packets are no pending packets. */
  waiting: number;
  lowWatermark: number;
}

class PacketAttachModel {
  readonly entries: LedgerEntry[] = [];
  readonly #plan: PacketAttach;
  readonly #partition: Partition;
  readonly #host: number;
  readonly #bootId: string;
  readonly #attachId: number;
  readonly #totals = new Map<string, Totals>();
  #firstOffset = -1;
  #lastOffset = -1;

  constructor(plan: PacketAttach, partition: Partition, host: number, bootId: string, attachId: number) {
    this.#plan = plan;
    this.#partition = partition;
    this.#host = host;
    this.#bootId = bootId;
    this.#attachId = attachId;
    for (const name of plan.slots)
      this.#totals.set(name, { seen: 0, published: 0, filtered: 0, waiting: 0, lowWatermark: 0 });
  }

  get endMicros(): number {
    return this.#attachId + this.#plan.epochs.length * epochMillis * 1000;
  }

  run(end: 'stopped' | 'crashed' | 'live'): void {
    const { epochs, through } = this.#plan;
    let waiting: (() => void) | undefined;
    for (const [index, plan] of epochs.entries()) {
      const isLast = index === epochs.length - 1;
      const kind = isLast && end === 'stopped' && plan.entry !== 'opened' ? 'closed' : plan.entry;
      const epoch = this.#attachId + index;
      // One entry is written before the cut of the next one is taken.
      if (kind !== 'none') {
        waiting?.();
        waiting = undefined;
      }
      const records = this.#recordsOf(plan, index);
      for (const { interface_name, packets, traffic_class } of records) {
        const totals = this.#totals.get(interface_name) as Totals;
        totals.seen += packets;
        totals.waiting += 1;
        if (traffic_class === 'filtered') totals.filtered += packets;
      }
      const cut = new Map([...this.#totals].map(([name, totals]) => [name, { ...totals }]));
      if (kind === 'opened' || kind === 'open') this.#write(cut, epoch, 'capturing');
      if (end === 'crashed' && isLast) {
        for (const count of records.slice(0, through)) this.#publish(count);
        break;
      }
      for (const count of records.slice(0, plan.again)) this.#publish(count);
      for (const count of records) this.#publish(count);
      for (const { interface_name, packets, traffic_class } of records) {
        for (const totals of [this.#totals.get(interface_name), cut.get(interface_name)] as Totals[]) {
          totals.waiting -= 1;
          if (traffic_class !== 'filtered') totals.published += packets;
        }
      }
      waiting?.();
      waiting = undefined;
      if (kind === 'none' || kind === 'open') continue;
      const write = () => this.#write(cut, epoch, isLast && end === 'stopped' ? 'stopped' : 'capturing');
      if (plan.late && !isLast) waiting = write;
      else write();
    }
    waiting?.();
    if (end === 'crashed') this.#crash();
  }

  #publish(count: PacketCount): void {
    this.#lastOffset = this.#partition.append(count);
    if (this.#firstOffset < 0) this.#firstOffset = this.#lastOffset;
  }

  #recordsOf({ traffic }: PacketEpoch, index: number): PacketCount[] {
    const { slots } = this.#plan;
    const begin = wallAtBoot + Math.floor(this.#attachId / 1000) + index * epochMillis;
    const byIdentity = new Map<string, PacketCount>();
    for (const { slot, key, trafficClass, packets } of traffic) {
      const keyed = trafficClass === 'keyed';
      const place = slot % slots.length;
      byIdentity.set(`${place} ${trafficClass} ${keyed ? key : ''}`, {
        host_id: `host-${this.#host}`,
        host_name: `host ${this.#host}`,
        boot_id: this.#bootId,
        attach_id: this.#attachId,
        epoch: this.#attachId + index,
        interval_start: begin,
        interval_end: begin + epochMillis,
        interface_name: slots[place] as string,
        interface_index: 2 + place,
        xdp_mode: 'native',
        interface_kind: 'physical',
        interface_parent: null,
        direction: 'ingress',
        key_kind: 'flow',
        address_family: keyed ? 'ipv4' : null,
        protocol: keyed ? 'tcp' : null,
        protocol_number: keyed ? 6 : null,
        source_address: keyed ? `192.0.2.${key}` : null,
        destination_address: keyed ? '198.51.100.7' : null,
        source_port: keyed ? 40_000 + key : null,
        destination_port: keyed ? 443 : null,
        icmp_type: null,
        icmp_code: null,
        vlan_id: null,
        traffic_class: trafficClass,
        packets,
        bytes: packets * 60,
      });
    }
    return [...byIdentity.values()];
  }

  /** The entries of one cut, a stream each. */
  #write(cut: ReadonlyMap<string, Totals>, epoch: number, state: LedgerEntry['state']): void {
    const begin = wallAtBoot + Math.floor(this.#attachId / 1000) + (epoch - this.#attachId) * epochMillis;
    for (const [name, { seen, published, filtered, waiting }] of cut) {
      const stream = this.#totals.get(name) as Totals;
      const closed = waiting === 0;
      if (closed) stream.lowWatermark = epoch + 1;
      const pending = seen - published - filtered;
      this.entries.push({
        host_id: `host-${this.#host}`,
        host_name: `host ${this.#host}`,
        boot_id: this.#bootId,
        attach_id: this.#attachId,
        epoch,
        stream_name: `packets:${name}`,
        state,
        interval_start: begin,
        interval_end: begin + epochMillis,
        low_watermark: stream.lowWatermark,
        closed,
        seen,
        published,
        pending,
        filtered: filtered > 0 ? { exclude_ip: filtered } : {},
        lost: {},
        unexplained: 0,
        unobserved_micros: 0,
        destination: {
          cluster_id: clusterId,
          topic: packetTopic,
          partition: 0,
          first_offset: this.#firstOffset,
          last_offset: this.#lastOffset,
          replication_factor: 3,
          min_insync_replicas: 2,
        },
        sidecar_version: '0.1.0',
        program_tag: '0123456789abcdef',
      });
    }
  }

  /** The last entry of each stream, kept on disk, is closed by the next boot. */
  #crash(): void {
    for (const name of this.#totals.keys()) {
      const last = this.entries.findLast(({ stream_name }) => stream_name === `packets:${name}`);
      if (last === undefined) continue;
      this.entries.push({
        ...last,
        state: 'closing',
        interval_start: last.interval_end,
        interval_end: last.interval_end + 1_000,
        unobserved_micros: 1_000_000,
        lost: last.pending > 0 ? { host_crash: last.pending } : {},
        pending: 0,
        closed: true,
      });
    }
  }
}

/**
 * @param begin the first attach_id of every host; microseconds since boot
 * @param options alone: no record of another host stands between these, so that offsets have no gaps
 */
export function simulatePackets(
  hosts: readonly PacketHost[],
  begin: number,
  options: { alone?: boolean } = {},
): PacketWorld {
  const partition = new Partition(options.alone === true);
  const entries: LedgerEntry[] = [];
  let now = 0;
  for (const [host, { attaches, live }] of hosts.entries()) {
    let boot = 0;
    let attachId = begin;
    for (const [index, plan] of attaches.entries()) {
      const isLast = index === attaches.length - 1;
      const bootId = `${host}0000000-0000-4000-8000-00000000000${boot}`;
      const model = new PacketAttachModel(plan, partition, host, bootId, attachId);
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
    facts: {
      now,
      clusterId,
      topic: 'p.exec-events',
      partitions: [{ partition: 0, logStart: 0, end: 0 }],
      packetCounts: { topic: packetTopic, partitions: [{ partition: 0, logStart: 0, end: partition.next }] },
    },
  };
}

const traffic: fc.Arbitrary<Traffic> = fc.record({
  slot: fc.nat({ max: 2 }),
  key: fc.nat({ max: 5 }),
  trafficClass: fc.constantFrom<TrafficClass>(
    'keyed',
    'keyed',
    'keyed',
    'fragment',
    'malformed',
    'non_ip',
    'overflow',
    'filtered',
  ),
  // An interval after an outage has more than 32 bits hold.
  packets: fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 2 ** 32, max: 2 ** 40 })),
});

const epochPlan: fc.Arbitrary<PacketEpoch> = fc.record({
  traffic: fc.array(traffic, { maxLength: 8 }),
  entry: fc.constantFrom('closed', 'closed', 'closed', 'opened', 'open', 'none'),
  late: fc.boolean(),
  again: fc.oneof(fc.constant(0), fc.nat({ max: 8 })),
});

export function packetHost(options: { end?: 'stopped'; live?: boolean } = {}): fc.Arbitrary<PacketHost> {
  return fc.record({
    attaches: fc.array(
      fc
        .record({
          slots: fc.constantFrom(['eth0'], ['eth0', 'eth1'], ['eth0', 'eth1', 'eth0']),
          epochs: fc.array(epochPlan, { minLength: 1, maxLength: 6 }),
          end: options.end === undefined ? fc.constantFrom('stopped', 'stopped', 'crashed') : fc.constant(options.end),
          through: fc.nat({ max: 8 }),
        })
        // An attach says something when it begins; without any entry its records belong to nothing.
        .map((attach) => ({ ...attach, epochs: speaking(attach.epochs) })),
      { minLength: 1, maxLength: 3 },
    ),
    live: options.live === undefined ? fc.boolean() : fc.constant(options.live),
  });
}

function speaking(epochs: readonly PacketEpoch[]): readonly PacketEpoch[] {
  const [first, ...rest] = epochs as [PacketEpoch, ...PacketEpoch[]];
  return [{ ...first, entry: first.entry === 'none' || rest.length === 0 ? 'opened' : first.entry }, ...rest];
}

export function packetWorldOf(host: fc.Arbitrary<PacketHost>): fc.Arbitrary<PacketWorld> {
  const hosts = fc.array(host, { minLength: 1, maxLength: 3 });
  return fc.tuple(hosts, fc.integer({ min: 1, max: 2 ** 40 })).map(([plans, begin]) => simulatePackets(plans, begin));
}
