import { sourceText, targetText } from '../packet-text.ts';
import type { PacketCount } from '../schemas/packet-count.ts';
import { escapeArgument, localTime } from '../terminal.ts';

/** What came in on one interface of one host. */
interface Section {
  readonly heading: string;
  /** End of the newest interval, milliseconds since 1970. */
  until: number;
  readonly keyed: Map<string, Row>;
  readonly classes: Map<string, Row>;
}

interface Row {
  /** What stands before the count. */
  readonly text: string;
  packets: number;
}

/** The key of a record, and the newest epoch of it that is part of the count. */
interface Key {
  readonly row: Row;
  epoch: number;
}

/** As many as one of the kernel's maps holds by default; about 50 MB. */
const keyLimit = 131_072;
/** Lines that a section gets on a small screen before another one is left out. */
const fewestLines = 8;

/**
 * Packets by source and destination port since it was made, for each interface of each host.
 *
 * A row adds up what the records have in their keys beside what it shows: destination addresses, VLANs. The same packet
 * can pass several interfaces and hosts, so they are never added up.
 *
 * A repeat of a record, which a sidecar publishes after a crash, is not counted again. A host publishes its epochs in
 * order and each one whole, so of each key the newest epoch is enough to recognise it. The number of keys is bounded:
 * packets of those that come later make up one sum, in which repeats are not recognised.
 */
export class PacketTable {
  readonly #sections = new Map<string, Section>();
  readonly #keys = new Map<string, Key>();
  readonly #keyLimit: number;
  #beyond = 0;
  #changes = 0;

  constructor(limit = keyLimit) {
    this.#keyLimit = limit;
  }

  /** Grows with every record that changed a count. */
  get changes(): number {
    return this.#changes;
  }

  add(count: PacketCount): void {
    const identity = identityOf(count);
    let key = this.#keys.get(identity);
    if (key !== undefined && count.epoch <= key.epoch) return;
    this.#changes += 1;
    if (key === undefined) {
      if (this.#keys.size >= this.#keyLimit) {
        this.#beyond += count.packets;
        return;
      }
      key = { row: this.#rowOf(count), epoch: count.epoch };
      this.#keys.set(identity, key);
    }
    key.epoch = count.epoch;
    key.row.packets += count.packets;
    const section = this.#sectionOf(count);
    section.until = Math.max(section.until, count.interval_end);
  }

  /**
   * The table: of each interface a heading, its keys, the busiest first, and what has no key. At most `lines` lines, if
   * there is a limit and it is no smaller than what has no key; what is left out is said.
   */
  text(lines = Number.POSITIVE_INFINITY): string {
    const all = [...this.#sections.values()].sort((a, b) => compareText(a.heading, b.heading));
    const beyond = this.#beyond === 0 ? [] : [`(more than ${this.#keyLimit} keys) | ${this.#beyond}`];
    const length = all.reduce((sum, { keyed, classes }) => sum + 1 + keyed.size + classes.size, beyond.length);
    if (length <= lines) return [...all.flatMap((section) => linesOf(section)), ...beyond].join('\n');

    const room = lines - beyond.length;
    const shown = all.slice(0, Math.max(1, Math.floor(room / fewestLines)));
    const left = all.length - shown.length;
    const share = Math.floor((left === 0 ? room : room - 1) / shown.length);
    const rest = left === 0 ? [] : [`… and ${left} more ${left === 1 ? 'interface' : 'interfaces'}`];
    return [...shown.flatMap((section) => linesOf(section, share)), ...rest, ...beyond].join('\n');
  }

  #rowOf(count: PacketCount): Row {
    const keyed = count.traffic_class === 'keyed';
    const { [keyed ? 'keyed' : 'classes']: rows } = this.#sectionOf(count);
    const text = keyed ? `${sourceText(count)} => ${targetText(count)}` : `(${escapeArgument(count.traffic_class)})`;
    const known = rows.get(text);
    if (known !== undefined) return known;
    const row = { text, packets: 0 };
    rows.set(text, row);
    return row;
  }

  #sectionOf({ host_id, host_name, interface_name }: PacketCount): Section {
    // By name: an interface that was removed and made again has another index.
    const identity = `${host_id} ${interface_name}`;
    const known = this.#sections.get(identity);
    if (known !== undefined) return known;
    const heading = `${escapeArgument(host_name ?? host_id)} ${escapeArgument(interface_name)}`;
    const section: Section = { heading, until: 0, keyed: new Map(), classes: new Map() };
    this.#sections.set(identity, section);
    return section;
  }
}

/** What stays the same from epoch to epoch. */
function identityOf(count: PacketCount): string {
  return [
    count.host_id,
    count.boot_id,
    count.interface_index,
    count.traffic_class,
    count.protocol_number,
    count.source_address,
    count.source_port,
    count.destination_address,
    count.destination_port,
    count.icmp_type,
    count.icmp_code,
    count.vlan_id,
  ].join(' ');
}

function linesOf({ heading, until, keyed, classes }: Section, share = Number.POSITIVE_INFINITY): string[] {
  const room = share - 1 - classes.size;
  // The line that says how many more needs room itself.
  const shown = largest([...keyed.values()], keyed.size <= room ? room : Math.max(1, room - 1));
  const left = keyed.size - shown.length;
  return [
    `${localTime(until)} ${heading}`,
    ...shown.map(lineOf),
    ...(left === 0 ? [] : [`… and ${left} more keys`]),
    ...[...classes.values()].sort((a, b) => compareText(a.text, b.text)).map(lineOf),
  ];
}

function lineOf({ text, packets }: Row): string {
  return `${text} | ${packets}`;
}

/** The first `limit` in order. Sorting 100,000 rows each second would hold up everything else in the process. */
function largest(rows: readonly Row[], limit: number): Row[] {
  if (rows.length <= limit) return rows.toSorted(compareRows);
  const best: Row[] = [];
  for (const row of rows) {
    if (best.length === limit && compareRows(row, best.at(-1) as Row) > 0) continue;
    best.push(row);
    best.sort(compareRows);
    if (best.length > limit) best.pop();
  }
  return best;
}

/** The busiest first; equal ones by their text, so that they keep their places from table to table. */
function compareRows(a: Row, b: Row): number {
  return b.packets - a.packets || compareText(a.text, b.text);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
