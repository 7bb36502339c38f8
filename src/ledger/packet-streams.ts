import type { EpochCut, PacketTotals } from '../kernel/counts.ts';
import type { LedgerState } from '../schemas/ledger-entry.ts';
import { packetAccount } from './account.ts';
import type { Epochs } from './epochs.ts';
import type { LedgerStream, StreamAccount, StreamDestination } from './ledger-stream.ts';

/** What the ledger asks of the reader of the packet maps. Packets of the class `filtered` are in none of its counts. */
export interface PacketReader {
  /** Of the first and the last record that was acknowledged at the present destination; -1 before there is one. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Packets in acknowledged records of one slot of the interface table, since the attach. */
  acknowledged(slot: number): number;
  /**
   * Packets in records of one slot, of this epoch and before, that wait for their acknowledgement.
   * @param epoch the newest one that has ended
   * @returns undefined while its map is still being read
   */
  pending(slot: number, epoch: number): number | undefined;
  /** Every record through the newest cut is acknowledged, those of filtered packets too. */
  readonly settled: boolean;
}

export interface PacketStreamsOptions {
  readonly epochs: Pick<Epochs, 'newest'>;
  readonly reader: PacketReader;
  readonly deliveryState: () => LedgerState;
  readonly destination: StreamDestination;
  /** Hash of the compiled kernel programs. */
  readonly programTag: string;
}

/** Of one interface name, in the ledger. */
export const packetStreamName = (interfaceName: string): string => `packets:${interfaceName}`;

/**
 * The account of the packets: one stream for each name of an interface. An interface that has gone keeps its stream
 * for as long as the attach lives, so that it gets its final entry like the others.
 */
export class PacketStreams {
  readonly #options: PacketStreamsOptions;
  readonly #streams = new Map<string, PacketStream>();

  constructor(options: PacketStreamsOptions) {
    this.#options = options;
  }

  /** Those that have an account through the end of this epoch. */
  of(cut: EpochCut): readonly LedgerStream[] {
    for (const { name } of cut.packets) {
      if (!this.#streams.has(name)) this.#streams.set(name, new PacketStream(name, this.#options));
    }
    return [...this.#streams.values()];
  }
}

class PacketStream implements LedgerStream {
  readonly name: string;
  /** What was acknowledged is not kept by epoch; packets wait for at most one epoch, the newest. */
  readonly holdsEpoch = false;
  readonly deliveryState: () => LedgerState;
  readonly #interfaceName: string;
  readonly #options: PacketStreamsOptions;

  constructor(interfaceName: string, options: PacketStreamsOptions) {
    this.name = packetStreamName(interfaceName);
    this.deliveryState = options.deliveryState;
    this.#interfaceName = interfaceName;
    this.#options = options;
  }

  account(cut: EpochCut): StreamAccount | undefined {
    const { reader, destination, programTag } = this.#options;
    const slots = this.#slotsOf(cut);
    let published = 0;
    let pending = 0;
    for (const { slot } of slots) {
      const waiting = reader.pending(slot, cut.epoch);
      if (waiting === undefined) return undefined;
      pending += waiting;
      published += reader.acknowledged(slot);
    }
    const total = (name: 'seen' | 'filtered' | 'overflow' | 'unobservedMicros') => sumOf(slots, name);
    return {
      ...packetAccount({ seen: total('seen'), filtered: total('filtered') }, { published, pending }),
      closed: reader.settled,
      lowWatermark: cut.epoch + 1,
      impaired: total('overflow'),
      unobservedMicros: total('unobservedMicros'),
      destination: { ...destination, first_offset: reader.firstOffset, last_offset: reader.lastOffset },
      programTag,
    };
  }

  /** As of the newest cut: between two the counters are not read. */
  impaired(): number {
    const { newest } = this.#options.epochs;
    return newest === undefined ? 0 : sumOf(this.#slotsOf(newest), 'overflow');
  }

  /** More than one when the interface was removed and made again. */
  #slotsOf(cut: EpochCut): readonly PacketTotals[] {
    return cut.packets.filter(({ name }) => name === this.#interfaceName);
  }
}

function sumOf(slots: readonly PacketTotals[], name: 'seen' | 'filtered' | 'overflow' | 'unobservedMicros'): number {
  return slots.reduce((total, slot) => total + slot[name], 0);
}
