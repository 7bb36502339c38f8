import type { EpochCut } from '../../../src/kernel/counts.ts';
import {
  type AcknowledgedPackets,
  type ClassCount,
  type FrozenPackets,
  type InterfaceSlot,
  type PacketCapture,
  type PacketStatus,
  packetEntryBytes,
  packetEntryCounts,
} from '../../../src/kernel/packet-capture.ts';
import type { PacketCount } from '../../../src/schemas/packet-count.ts';
import type { PacketDecoder } from '../../../src/sources/packet-decoder.ts';

/** Values of enum packet_class (bpf/abi.h). */
export const classNames = ['fragment', 'malformed', 'non_ip', 'overflow', 'filtered'] as const;
const overflow = 3;
const filtered = 4;

interface Count {
  packets: number;
  bytes: number;
}

const none = (): Count => ({ packets: 0, bytes: 0 });
const add = (to: Count, { packets, bytes }: Count): void => {
  to.packets += packets;
  to.bytes += bytes;
};

/** Of one slot and one parity; like those of the kernel they only grow. */
const newCounters = () => ({ seen: none(), classes: classNames.map(none) });
type Counters = ReturnType<typeof newCounters>;

const copyOf = ({ seen, classes }: Counters): Counters => ({
  seen: { ...seen },
  classes: classes.map((count) => ({ ...count })),
});

/**
 * What outlives a process: the epoch, the maps, the counters, the commit point. `open` gives a process its view of it,
 * which follows the rules of native/packet_capture.cpp and refuses everything else.
 */
export class PacketKernel {
  epoch = 101;
  acked = 100;
  cleared = 100;
  readonly flowsAtMost: number;
  firstOffset = -1;
  lastOffset = -1;
  readonly slots: readonly { readonly slot: number; readonly index: number; readonly name: string }[];
  /** By slot. */
  readonly published: number[];
  /** By slot, everything that ever came in. */
  readonly counted: { readonly seen: Count; readonly filtered: Count }[];
  /** By parity: keys as `slot/key`. */
  readonly #flows = [new Map<string, Count>(), new Map<string, Count>()] as const;
  /** By parity and slot. */
  readonly #counters: readonly [Counters[], Counters[]];
  readonly #bases: readonly [Counters[], Counters[]];

  constructor({ interfaces = 2, flows = 10_000 } = {}) {
    this.flowsAtMost = flows;
    this.slots = Array.from({ length: interfaces }, (_, slot) => ({ slot, index: slot + 10, name: `eth${slot}` }));
    this.published = this.slots.map(() => 0);
    this.counted = this.slots.map(() => ({ seen: none(), filtered: none() }));
    const table = () => this.slots.map(newCounters);
    this.#counters = [table(), table()];
    this.#bases = [table(), table()];
  }

  /** Packets of 100 bytes under a key, or without one under a class. */
  count(slot: number, key: number | (typeof classNames)[number], packets = 1): void {
    const parity = (this.epoch & 1) as 0 | 1;
    const count = { packets, bytes: 100 * packets };
    const counters = this.#counters[parity][slot] as Counters;
    const counted = this.counted[slot] as PacketKernel['counted'][number];
    add(counters.seen, count);
    add(counted.seen, count);
    if (key === 'filtered') add(counted.filtered, count);
    const flows = this.#flows[parity];
    const name = `${slot}/${key}`;
    if (typeof key !== 'number') {
      add(counters.classes[classNames.indexOf(key)] as Count, count);
    } else if (flows.has(name) || flows.size < this.flowsAtMost) {
      const flow = flows.get(name) ?? none();
      add(flow, count);
      flows.set(name, flow);
    } else {
      add(counters.classes[overflow] as Count, count);
    }
  }

  get frozen(): number {
    return this.epoch - 1;
  }

  get fill(): number {
    return this.#flows[this.epoch & 1 ? 1 : 0].size;
  }

  /** Packets of one slot that no broker has acknowledged, filtered ones left out. */
  unacknowledged(slot: number): number {
    const parities = this.acked === this.frozen ? [this.epoch & 1] : [0, 1];
    return parities.reduce((sum, parity) => sum + (this.read(parity).packets[slot] as number), 0);
  }

  read(parity: number): { keys: [string, Count][]; classes: ClassCount[]; packets: number[] } {
    const keys = [...this.#flows[parity ? 1 : 0]].map(([key, count]): [string, Count] => [key, { ...count }]);
    const packets = this.slots.map(() => 0);
    const classes: ClassCount[] = [];
    for (const [key, count] of keys)
      packets[Number.parseInt(key, 10)] = (packets[Number.parseInt(key, 10)] ?? 0) + count.packets;
    for (const { slot } of this.slots) {
      const now = this.#counters[parity ? 1 : 0][slot] as Counters;
      const base = this.#bases[parity ? 1 : 0][slot] as Counters;
      for (const [trafficClass, count] of now.classes.entries()) {
        const packetsOfClass = count.packets - (base.classes[trafficClass] as Count).packets;
        const bytes = count.bytes - (base.classes[trafficClass] as Count).bytes;
        if (packetsOfClass === 0) continue;
        classes.push({ slot, trafficClass, packets: packetsOfClass, bytes });
        if (trafficClass !== filtered) packets[slot] = (packets[slot] as number) + packetsOfClass;
      }
    }
    return { keys, classes, packets };
  }

  clearHalf(parity: number): void {
    const flows = this.#flows[parity ? 1 : 0];
    for (const key of [...flows.keys()].slice(0, Math.ceil(flows.size / 2))) flows.delete(key);
  }

  clear(parity: number): void {
    this.#flows[parity ? 1 : 0].clear();
    for (const { slot } of this.slots)
      this.#bases[parity ? 1 : 0][slot] = copyOf(this.#counters[parity ? 1 : 0][slot] as Counters);
  }

  totals(parity: number): readonly Counters[] {
    return this.#counters[parity ? 1 : 0].map(copyOf);
  }
}

/** The kernel as one process sees it, until that is killed. */
export class PacketProcess {
  readonly #kernel: PacketKernel;
  readonly #steps: (() => void)[] = [];
  readonly #manual: boolean;
  #waiting = 0;
  #killed = false;
  #advancing = false;
  #read: { epoch: number; keys: [string, Count][] } | undefined;
  /** Names of the calls that changed something, in their order. */
  readonly calls: string[] = [];
  /** What the next call of this name fails with. */
  readonly failures = new Map<'advanceEpoch' | 'readFrozen' | 'clearFrozen' | 'acknowledge', Error>();

  /** @param manual what runs on another thread takes a step only when `step` is called */
  constructor(kernel: PacketKernel, { manual = false } = {}) {
    this.#kernel = kernel;
    this.#manual = manual;
  }

  /** True when something waited for it. */
  step(): boolean {
    const step = this.#steps.shift();
    step?.();
    return step !== undefined;
  }

  /** Something runs on another thread. */
  get isBusy(): boolean {
    return this.#waiting > 0;
  }

  /** Nothing that runs comes to its end, and nothing can be called any more. */
  kill(): void {
    this.#killed = true;
    this.#steps.length = 0;
  }

  readonly capture = { advanceEpoch: () => this.#advanceEpoch() };

  readonly packets: PacketCapture = {
    status: () => {
      this.#called();
      const { frozen, acked, cleared, firstOffset, lastOffset, flowsAtMost } = this.#kernel;
      return {
        frozenEpoch: frozen,
        ackedEpoch: acked,
        clearedEpoch: cleared,
        firstOffset,
        lastOffset,
        flows: flowsAtMost,
      } as PacketStatus;
    },
    table: () => {
      this.#called();
      const { slots, published } = this.#kernel;
      return slots.map((slot) => ({ ...slot, published: published[slot.slot] }) as InterfaceSlot);
    },
    readFrozen: () => this.#readFrozen(),
    take: (into, from) => this.#take(into as Buffer, from),
    acknowledge: (acknowledged) => this.#acknowledge(acknowledged),
    clearFrozen: () => this.#clearFrozen(),
    fill: () => {
      this.#called();
      return this.#kernel.fill;
    },
    layout: () => notHere(),
    interfaces: () => notHere(),
    attach: () => notHere(),
    detach: () => notHere(),
    backlog: () => notHere(),
  };

  #called(): void {
    if (this.#killed) throw new Error('called by a process that was killed');
  }

  #failAs(name: 'advanceEpoch' | 'readFrozen' | 'clearFrozen' | 'acknowledge'): void {
    const failure = this.failures.get(name);
    this.failures.delete(name);
    if (failure !== undefined) throw failure;
  }

  /** Before and between the parts of what another thread does. */
  async #turn(): Promise<void> {
    this.#waiting += 1;
    await new Promise<void>((resolve) => {
      if (this.#manual) this.#steps.push(resolve);
      else setImmediate(resolve);
    });
    this.#waiting -= 1;
  }

  async #advanceEpoch(): Promise<EpochCut> {
    this.#called();
    if (this.#advancing) throw new Error('two epochs are ended at once');
    this.#advancing = true;
    await this.#turn();
    this.#failAs('advanceEpoch');
    const kernel = this.#kernel;
    const { epoch } = kernel;
    if (kernel.cleared !== kernel.frozen) throw new Error('an epoch ends before the one before is cleared');
    const idle = kernel.totals((epoch + 1) & 1);
    kernel.epoch = epoch + 1;
    this.calls.push(`advance ${epoch}`);
    await this.#turn();
    const ended = kernel.totals(epoch & 1);
    await this.#turn();
    this.#advancing = false;
    const packets = kernel.slots.map(({ slot, index, name }) => {
      const sum = (of: (counters: Counters) => number) => of(idle[slot] as Counters) + of(ended[slot] as Counters);
      return {
        slot,
        interfaceIndex: index,
        name,
        seen: sum(({ seen }) => seen.packets),
        filtered: sum(({ classes }) => (classes[filtered] as Count).packets),
      };
    });
    return { epoch, packets } as unknown as EpochCut;
  }

  async #readFrozen(): Promise<FrozenPackets> {
    this.#called();
    await this.#turn();
    this.#failAs('readFrozen');
    const { frozen } = this.#kernel;
    const { keys, classes, packets } = this.#kernel.read(frozen & 1);
    this.#read = { epoch: frozen, keys };
    await this.#turn();
    return { epoch: frozen, beginBootMicros: 0, endBootMicros: 0, keys: keys.length, classes, packets };
  }

  #take(into: Buffer, from: number): number {
    this.#called();
    const entries = (this.#read?.keys ?? []).slice(from, from + Math.floor(into.length / packetEntryBytes));
    for (const [n, [name, { packets, bytes }]] of entries.entries()) {
      const [slot, key] = name.split('/').map(Number) as [number, number];
      into.writeUInt32LE(this.#kernel.slots[slot]?.index as number, n * packetEntryBytes);
      into.writeUInt32LE(key, n * packetEntryBytes + 4);
      into.writeUInt32LE(packets, n * packetEntryBytes + packetEntryCounts.packets);
      into.writeUInt32LE(bytes, n * packetEntryBytes + packetEntryCounts.bytes);
    }
    return entries.length;
  }

  #acknowledge({ firstOffset, lastOffset, published }: AcknowledgedPackets): void {
    this.#called();
    this.#failAs('acknowledge');
    const kernel = this.#kernel;
    if (this.#read?.epoch !== kernel.frozen) throw new Error('an epoch is acknowledged that was not read');
    if (kernel.acked === kernel.frozen) throw new Error('an epoch is acknowledged twice');
    kernel.acked = kernel.frozen;
    kernel.firstOffset = firstOffset;
    kernel.lastOffset = lastOffset;
    for (const { slot, packets } of published) kernel.published[slot] = (kernel.published[slot] as number) + packets;
    this.calls.push(`acknowledge ${kernel.frozen}`);
  }

  async #clearFrozen(): Promise<void> {
    this.#called();
    await this.#turn();
    this.#failAs('clearFrozen');
    const kernel = this.#kernel;
    const { frozen } = kernel;
    if (kernel.acked !== frozen) throw new Error('an epoch is cleared that is not acknowledged');
    kernel.clearHalf(frozen & 1);
    await this.#turn();
    kernel.clear(frozen & 1);
    await this.#turn();
    kernel.cleared = frozen;
    this.calls.push(`clear ${frozen}`);
    await this.#turn();
  }
}

function notHere(): never {
  throw new Error('a source of packets has no business there');
}

/** Events with only that in them which tells one from another. */
export const modelDecoderOf = (frozen: FrozenPackets, table: readonly InterfaceSlot[]): PacketDecoder => ({
  keyed: (entries, at) =>
    ({
      epoch: frozen.epoch,
      interface_index: entries.readUInt32LE(at),
      source_port: entries.readUInt32LE(at + 4),
      traffic_class: 'keyed',
      packets: entries.readUInt32LE(at + packetEntryCounts.packets),
      bytes: entries.readUInt32LE(at + packetEntryCounts.bytes),
    }) as PacketCount,
  unkeyed: ({ slot, trafficClass, packets, bytes }) =>
    ({
      epoch: frozen.epoch,
      interface_index: table.find((entry) => entry.slot === slot)?.index,
      source_port: null,
      traffic_class: classNames[trafficClass],
      packets,
      bytes,
    }) as PacketCount,
});
