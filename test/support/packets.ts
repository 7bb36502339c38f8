import { spawnSync } from 'node:child_process';
import { noFilters } from '../../src/exec-filters.ts';
import { type Capture, openCapture, openPackets } from '../../src/kernel/addon.ts';
import type { EpochCut } from '../../src/kernel/counts.ts';
import {
  type FrozenPackets,
  type PacketCapture,
  type PacketSettings,
  packetEntryBytes,
} from '../../src/kernel/packet-capture.ts';
import { WallClock } from '../../src/kernel/wall-clock.ts';
import type { PacketCount, TrafficClass } from '../../src/schemas/packet-count.ts';
import { createPacketDecoder } from '../../src/sources/packet-decoder.ts';
import { bootId, tool } from './capture.ts';
import type { NamedFrame } from './frame-table.ts';
import { encodeFrames, type Run } from './frames.ts';
import { type CountedAs, countedAs, type ReferenceOptions } from './reference-parser.ts';
import { patience } from './wait-for.ts';

/** What tests of the packet counter share. */

/** Packets and bytes by what they were counted as; its keys are those of `nameOf`. */
export type Tally = Map<string, { packets: number; bytes: number }>;

/** One line that tells apart what is counted apart, for a person, too. */
export function nameOf(counted: CountedAs): string {
  if (counted.traffic_class !== 'keyed') return counted.traffic_class;
  const port = (value: number | null) => (value === null ? '' : `:${value}`);
  const from = `${counted.source_address}${port(counted.source_port)}`;
  const to = `${counted.destination_address}${port(counted.destination_port)}`;
  const icmp = counted.icmp_type === null ? '' : ` type ${counted.icmp_type} code ${counted.icmp_code}`;
  const { address_family: family, protocol_number: number, vlan_id: vlan } = counted;
  return `${family} ${number} ${from} > ${to}${icmp} vlan ${vlan}`;
}

export function add(tally: Tally, name: string, packets: number, bytes: number): void {
  const known = tally.get(name) ?? { packets: 0, bytes: 0 };
  tally.set(name, { packets: known.packets + packets, bytes: known.bytes + bytes });
}

export function tallyOf(events: readonly PacketCount[], into: Tally = new Map()): Tally {
  for (const event of events) add(into, nameOf(event), event.packets, event.bytes);
  return into;
}

export function sumOf(tally: Tally): { packets: number; bytes: number } {
  let packets = 0;
  let bytes = 0;
  for (const count of tally.values()) {
    packets += count.packets;
    bytes += count.bytes;
  }
  return { packets, bytes };
}

/** The whole of an epoch that has ended. */
export interface Epoch {
  readonly frozen: FrozenPackets;
  readonly events: PacketCount[];
}

const readers = new Set<PacketReader>();

/** Closes what a test that failed has left open. */
export function closePacketReaders(): void {
  for (const reader of readers) reader.close();
}

/** A capture that counts packets, on no interface yet. */
export class PacketReader implements Disposable {
  readonly capture: Capture;
  readonly packets: PacketCapture;
  readonly pinPath: string;
  readonly #decoderOf: ReturnType<typeof createPacketDecoder>;

  constructor(pinPath: string, settings: Partial<PacketSettings> = {}, orphanAfterMillis = 0) {
    this.pinPath = pinPath;
    const execs = { args: 'full', env: false, excluded: noFilters } as const;
    this.capture = openCapture(pinPath, 64 * 1024, { ...execs, orphanAfterMillis });
    try {
      this.packets = openPackets(this.capture, { keyKind: 'flow', flows: 4096, excluded: [], ...settings });
    } catch (error) {
      this.capture.close();
      throw error;
    }
    readers.add(this);
    const { attachId } = this.capture.status();
    this.#decoderOf = createPacketDecoder({
      layout: this.packets.layout(),
      identity: { hostId: 'host', hostName: null, bootId, attachId },
      wallClock: new WallClock(this.capture.clockOffsets()),
      keyKind: this.packets.status().keyKind,
    });
  }

  /** Reads what stands frozen, and changes nothing. */
  async read(): Promise<Epoch> {
    const frozen = await this.packets.readFrozen();
    const decoder = this.#decoderOf(frozen, this.packets.table());
    const events = frozen.classes.map((count) => decoder.unkeyed(count));
    // Smaller than what is there, so that more than one call is needed.
    const buffer = Buffer.alloc(1000 * packetEntryBytes);
    for (let from = 0; from < frozen.keys; ) {
      const taken = this.packets.take(buffer, from);
      for (let i = 0; i < taken; i += 1) events.push(decoder.keyed(buffer, i * packetEntryBytes));
      from += taken;
    }
    return { frozen, events };
  }

  /** Says that the broker has all of it. */
  acknowledge({ packets }: FrozenPackets): void {
    const published = packets.flatMap((count, slot) => (count === 0 ? [] : [{ slot, packets: count }]));
    this.packets.acknowledge({ firstOffset: -1, lastOffset: -1, published });
  }

  /** Ends the epoch, and takes, acknowledges and clears what it has counted. */
  async flip(): Promise<Epoch & { readonly cut: EpochCut }> {
    const cut = await this.capture.advanceEpoch();
    const epoch = await this.read();
    this.acknowledge(epoch.frozen);
    await this.packets.clearFrozen();
    return { ...epoch, cut };
  }

  /** The slot of the interface in the table. */
  slotOf(index: number): number {
    const entry = this.packets.table().findLast((slot) => slot.index === index);
    if (entry === undefined) throw new Error(`interface ${index} is not in the table`);
    return entry.slot;
  }

  /** Runs frames through the program that is on the interface; with `twice` each of them on two CPUs at the same moment. */
  runFrames(index: number, runs: readonly Run[], ...options: 'twice'[]): RunResult[] {
    const args = [`${this.pinPath}/v1`, String(index), String(this.slotOf(index)), ...options];
    const { status, signal, stdout, stderr } = spawnSync(tool('packet_run'), args, {
      input: encodeFrames(runs),
      encoding: 'utf8',
      timeout: 60_000 * patience,
      maxBuffer: 64 * 1024 * 1024,
    });
    if (status !== 0) throw new Error(`packet_run ended with ${status ?? signal}: ${stderr}`);
    return stdout.trimEnd().split('\n').filter(Boolean).map(readResult);
  }

  close(): void {
    readers.delete(this);
    this.capture.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The verdict on a frame, and what the counters of its interface grew by. */
export interface RunResult {
  readonly verdict: number;
  readonly seen: { readonly packets: number; readonly bytes: number };
  /** Those that grew. */
  readonly classes: Partial<Record<TrafficClass, { readonly packets: number; readonly bytes: number }>>;
  /** Keys that were new. */
  readonly keys: number;
}

export const xdpPass = 2;

/** In the order of enum packet_class. */
const classNames: readonly TrafficClass[] = ['fragment', 'malformed', 'non_ip', 'overflow', 'filtered'];

function readResult(line: string): RunResult {
  const [verdict, packets, bytes, ...rest] = line.split(' ').map(Number) as [number, number, number, ...number[]];
  const classes: RunResult['classes'] = {};
  for (const [i, name] of classNames.entries()) {
    const [grownPackets = Number.NaN, grownBytes = Number.NaN] = rest.slice(2 * i);
    if (grownPackets !== 0 || grownBytes !== 0) classes[name] = { packets: grownPackets, bytes: grownBytes };
  }
  return { verdict, seen: { packets, bytes }, classes, keys: rest.at(-1) as number };
}

/**
 * Runs each frame through the program once, and returns what came of it beside what had to: lines that name the frame, and
 * the tallies of the epoch.
 */
export async function compareFrames(
  reader: PacketReader,
  index: number,
  frames: readonly NamedFrame[],
  options: ReferenceOptions = {},
) {
  const told = (name: string, verdict: number, bytes: number, packets: number, trafficClass: string) =>
    `${name}: verdict ${verdict}, seen ${packets}/${bytes}, ${trafficClass}`;
  const results = reader.runFrames(
    index,
    frames.map(({ frame }) => ({ frame, times: 1 })),
  );
  const wanted: Tally = new Map();
  const expected = frames.map(({ name, frame }) => {
    const counted = countedAs(frame, options);
    add(wanted, nameOf(counted), 1, frame.length);
    const inClass = counted.traffic_class === 'keyed' ? 'keyed' : `${counted.traffic_class} 1/${frame.length}`;
    return told(name, xdpPass, frame.length, 1, inClass);
  });
  const actual = results.map(({ verdict, seen, classes }, i) => {
    const grown = Object.entries(classes).map(([name, { packets, bytes }]) => `${name} ${packets}/${bytes}`);
    return told(frames[i]?.name ?? '?', verdict, seen.bytes, seen.packets, grown.join(', ') || 'keyed');
  });
  const { events } = await reader.flip();
  // A record each: no two that look alike.
  return {
    actual: { frames: actual, records: events.length, tally: tallyOf(events) },
    expected: { frames: expected, records: wanted.size, tally: wanted },
  };
}
