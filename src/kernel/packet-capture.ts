import type { StructLayout } from './layout.ts';

/** What the addon has of the packets that are counted: the typed contract of native/addon_packets.cpp. */

/** What makes a key besides the interface (enum packet_key_kind), and where XDP counts (enum packet_mode). */
export type PacketKeyKind = 'flow' | 'service' | 'hosts' | 'example';
export type XdpMode = 'native' | 'generic' | 'offload';

/** How packets are counted. */
export interface PacketSettings {
  readonly keyKind: PacketKeyKind;
  /** Keys that each of the two maps holds. */
  readonly flows: number;
  /** Packets from or to these are counted as filtered. */
  readonly excluded: readonly AddressPrefix[];
}

export interface AddressPrefix {
  readonly family: 4 | 6;
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** Bits. */
  readonly prefixLength: number;
}

export interface PacketStatus {
  /** Packets were counted under these pins before this process came; then keyKind and flows are theirs. */
  readonly resumed: boolean;
  /** As in StreamStatus; the settings are the prefixes that are excluded. */
  readonly replacedProgram: boolean;
  readonly programHash: string;
  readonly keyKind: PacketKeyKind;
  readonly flows: number;
  /** The epoch that ended last; its counts stand still. */
  readonly frozenEpoch: number;
  /** The broker has everything through it. */
  readonly ackedEpoch: number;
  /** And its counts are cleared: the next epoch may end. */
  readonly clearedEpoch: number;
  /** Offsets of the first and the last acknowledged record at the present destination; -1 before there is one. */
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** A slot of the pinned table of interfaces: every one that ever had the program under this attach. */
export interface InterfaceSlot {
  readonly slot: number;
  readonly index: number;
  readonly name: string;
  readonly kind: string;
  readonly parent: string | null;
  readonly mode: XdpMode;
  /** Packets in acknowledged records, filtered ones left out; since attachId. */
  readonly published: number;
}

/** An interface as it is now. */
export interface NetworkInterface {
  readonly index: number;
  readonly name: string;
  /** physical, loopback, the kernel's word for a virtual one, or unknown. */
  readonly kind: string;
  readonly up: boolean;
  /** It has our program. */
  readonly attached: boolean;
}

/** An interface as someone sees it who counts on none. */
export interface PresentInterface extends Omit<NetworkInterface, 'attached'> {
  /** It has an XDP program, ours or not. */
  readonly hasProgram: boolean;
  /** Of that program; 0 when it has one for each mode. */
  readonly programId: number;
}

/** What the epoch that ended last has counted. */
export interface FrozenPackets {
  readonly epoch: number;
  readonly beginBootMicros: number;
  readonly endBootMicros: number;
  /** Entries that `take` hands out. */
  readonly keys: number;
  readonly classes: readonly ClassCount[];
  /** By slot: the packets of all of it, filtered ones left out. */
  readonly packets: readonly number[];
}

/** Packets without a key. */
export interface ClassCount {
  readonly slot: number;
  /** Value of enum packet_class. */
  readonly trafficClass: number;
  readonly packets: number;
  readonly bytes: number;
}

export interface AcknowledgedPackets {
  /** In the topic; -1 when nothing was acknowledged there yet. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Packets in the acknowledged records of the frozen epoch, filtered ones left out. */
  readonly published: readonly { readonly slot: number; readonly packets: number }[];
}

/** The packets of a running capture. Only what the frozen epoch has counted is read; it stays until it is cleared. */
export interface PacketCapture {
  status(): PacketStatus;
  /** Of struct packet_key, which stands at the beginning of an entry of `packetEntryBytes`. */
  layout(): StructLayout;
  table(): InterfaceSlot[];
  /** Every interface of this network namespace. */
  interfaces(): NetworkInterface[];
  /**
   * Counts on this interface from now on.
   * @returns the mode, and why it is not native (empty when it is)
   */
  attach(index: number): { readonly mode: XdpMode; readonly nativeRefusal: string };
  /** Counts on this interface no more. */
  detach(index: number): void;
  /** Reads what the frozen epoch has counted, off the main loop; 200,000 keys take some 80 ms. Nothing is changed. */
  readFrozen(): Promise<FrozenPackets>;
  /** Copies entries of the last `readFrozen` into the buffer, from this one on; returns how many. */
  take(into: Uint8Array, from: number): number;
  /** Says, in one store, that the broker has everything of the frozen epoch. */
  acknowledge(acknowledged: AcknowledgedPackets): void;
  /** Makes room for the next epoch, off the main loop; after `acknowledge`. */
  clearFrozen(): Promise<void>;
  /** Keys in the map that is being written to. */
  fill(): number;
  /** Packets that no broker has acknowledged, filtered ones left out; walks both maps. */
  backlog(): number;
}

/** An entry of `take`: struct packet_key, and behind it at these offsets u64 packets and u64 bytes. */
export const packetEntryBytes = 64;
export const packetEntryCounts = { packets: 48, bytes: 56 } as const;
