import { sourceText, targetText } from '../packet-text.ts';
import type { PacketCount, TrafficClass } from '../schemas/packet-count.ts';

/** One line of the leaderboard; the fields that are the record's have its names. */
export interface Leader
  extends Pick<
    PacketCount,
    'interface_name' | 'protocol' | 'source_address' | 'source_port' | 'destination_port' | 'icmp_type' | 'icmp_code'
  > {
  /** `ADDRESS:PORT => :PORT`, as `tail packets` prints it. */
  readonly text: string;
  readonly packets: number;
  readonly bytes: number;
  /** In the newest interval. */
  readonly packets_per_second: number;
  /** False when packets of an earlier time may be missing: the row was left out for busier ones once. */
  readonly complete: boolean;
}

/** What came in on one interface. */
export interface InterfaceCount {
  readonly interface_name: string;
  readonly interface_kind: string;
  readonly packets: number;
  readonly bytes: number;
  readonly packets_per_second: number;
  /** Packets by `traffic_class`. */
  readonly traffic_classes: Readonly<Partial<Record<TrafficClass, number>>>;
}

export interface PacketLeaderboard {
  /** End of the newest interval, milliseconds since 1970; 0 before the first. */
  readonly until: number;
  /** How many rows there are, of which `leaders` are the first. */
  readonly rows: number;
  readonly leaders: readonly Leader[];
  /** Packets of rows that were left out for busier ones. */
  readonly beyond: number;
  readonly interfaces: readonly InterfaceCount[];
  /** How many there are, of which `interfaces` are the busiest. */
  readonly interface_count: number;
}

interface Tally {
  packets: number;
  bytes: number;
  /** Of the interval that ends at `until`. */
  recent: number;
  until: number;
}

interface Row extends Tally {
  /** The first count of it, for what the key says. */
  readonly count: PacketCount;
  readonly complete: boolean;
}

interface Interface extends Tally {
  readonly name: string;
  readonly kind: string;
  readonly classes: Map<TrafficClass, number>;
}

/** As many rows as are kept; about 8 MB. When they are full the smaller half makes room. */
const rowLimit = 16_384;
/** Containers bring interfaces and take them away. */
const interfaceLimit = 1_024;

/**
 * Packets by interface, source and destination port since it was made, the busiest first. A row adds up what the records
 * have in their keys beside what it shows: destination addresses, VLANs. Counts of two interfaces are never added up: the
 * same packet can pass both. Adding a count is a look-up in a map, so that it costs next to nothing while nobody asks.
 */
export class PacketLeaders {
  readonly #rows = new Map<string, Row>();
  readonly #interfaces = new Map<string, Interface>();
  readonly #rowLimit: number;
  #beyond = 0;
  #until = 0;
  #intervalSeconds = 1;

  constructor(limit = rowLimit) {
    this.#rowLimit = limit;
  }

  /** End of the newest interval, milliseconds since 1970; 0 before the first. */
  get until(): number {
    return this.#until;
  }

  /** Counts that were not added before. */
  add(counts: readonly PacketCount[]): void {
    for (const count of counts) {
      if (count.interval_end > this.#until) {
        this.#until = count.interval_end;
        this.#intervalSeconds = Math.max(1, count.interval_end - count.interval_start) / 1_000;
      }
      const face = this.#interfaceOf(count);
      face.classes.set(count.traffic_class, (face.classes.get(count.traffic_class) ?? 0) + count.packets);
      tally(face, count);
      if (count.traffic_class === 'keyed') tally(this.#rowOf(count), count);
    }
  }

  /** The first `limit` rows and interfaces. It looks at every row: for who asks once a second. */
  leaderboard(limit: number, interfaces = limit): PacketLeaderboard {
    return {
      until: this.#until,
      rows: this.#rows.size,
      leaders: largest(this.#rows.values(), limit).map((row) => this.#leaderOf(row)),
      beyond: this.#beyond,
      interfaces: largest(this.#interfaces.values(), interfaces).map((face) => this.#interfaceCountOf(face)),
      interface_count: this.#interfaces.size,
    };
  }

  #rowOf(count: PacketCount): Row {
    const key = keyOf(count);
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    if (this.#rows.size >= this.#rowLimit) this.#makeRoom();
    const row = { count, complete: this.#beyond === 0, packets: 0, bytes: 0, recent: 0, until: 0 };
    this.#rows.set(key, row);
    return row;
  }

  /** Leaves out the smaller half of the rows, by the binary digits of their packets; of equal ones the older. */
  #makeRoom(): void {
    const half = this.#rows.size / 2;
    const sizes = new Array<number>(54).fill(0);
    for (const { packets } of this.#rows.values()) sizes[digitsOf(packets)] = (sizes[digitsOf(packets)] ?? 0) + 1;
    let median = 0;
    for (let rows = sizes[0] ?? 0; rows < half; rows += sizes[median] ?? 0) median += 1;
    this.#leaveOut(({ packets }) => digitsOf(packets) < median);
    this.#leaveOut(({ packets }) => digitsOf(packets) === median && this.#rows.size > half);
  }

  #leaveOut(isLeftOut: (row: Row) => boolean): void {
    for (const [key, row] of this.#rows) {
      if (!isLeftOut(row)) continue;
      this.#beyond += row.packets;
      this.#rows.delete(key);
    }
  }

  #interfaceOf({ interface_name: name, interface_kind: kind }: PacketCount): Interface {
    const known = this.#interfaces.get(name);
    if (known !== undefined) return known;
    const [oldest] = this.#interfaces.keys();
    if (this.#interfaces.size >= interfaceLimit && oldest !== undefined) this.#interfaces.delete(oldest);
    const face: Interface = { name, kind, classes: new Map(), packets: 0, bytes: 0, recent: 0, until: 0 };
    this.#interfaces.set(name, face);
    return face;
  }

  #perSecond({ recent, until }: Tally): number {
    return until === this.#until ? recent / this.#intervalSeconds : 0;
  }

  #leaderOf(row: Row): Leader {
    const { count, packets, bytes, complete } = row;
    const { interface_name, protocol, source_address, source_port, destination_port, icmp_type, icmp_code } = count;
    return {
      interface_name,
      protocol,
      source_address,
      source_port,
      destination_port,
      icmp_type,
      icmp_code,
      text: `${sourceText(count)} => ${targetText(count)}`,
      packets,
      bytes,
      packets_per_second: this.#perSecond(row),
      complete,
    };
  }

  #interfaceCountOf(face: Interface): InterfaceCount {
    return {
      interface_name: face.name,
      interface_kind: face.kind,
      packets: face.packets,
      bytes: face.bytes,
      packets_per_second: this.#perSecond(face),
      traffic_classes: Object.fromEntries(face.classes),
    };
  }
}

function tally(tally: Tally, { packets, bytes, interval_end: until }: PacketCount): void {
  tally.packets += packets;
  tally.bytes += bytes;
  tally.recent = tally.until === until ? tally.recent + packets : packets;
  tally.until = until;
}

/** What a row shows, and nothing else. */
function keyOf(count: PacketCount): string {
  const { protocol_number: protocol } = count;
  const ports = `${count.source_port} ${count.destination_port} ${count.icmp_type} ${count.icmp_code}`;
  const target = protocol === null ? count.destination_address : protocol;
  return `${count.interface_name} ${count.source_address} ${target} ${ports}`;
}

function digitsOf(packets: number): number {
  return packets < 1 ? 0 : Math.floor(Math.log2(packets)) + 1;
}

/** The first `limit` by packets, without putting all in order. */
function largest<Item extends Tally>(items: Iterable<Item>, limit: number): Item[] {
  const best: Item[] = [];
  for (const item of items) {
    if (best.length === limit && item.packets <= (best.at(-1) as Item).packets) continue;
    let at = best.length;
    while (at > 0 && (best[at - 1] as Item).packets < item.packets) at -= 1;
    best.splice(at, 0, item);
    if (best.length > limit) best.pop();
  }
  return best;
}
