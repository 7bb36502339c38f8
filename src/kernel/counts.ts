/** What the kernel counted, and what became of it, as the addon tells it: of one epoch, and of a capture that has ended. */

/** What the kernel counted of a stream; all but the first and the last are lost. */
export interface KernelCounts {
  readonly entered: number;
  readonly fellThrough: number;
  readonly ringFull: number;
  readonly ringBusy: number;
  /** Of which only a bare record had room. */
  readonly bare: number;
}

/** What the kernel counted through the end of one epoch, exactly; totals since attachId. */
export interface EpochCut {
  /** The one that ended. */
  readonly epoch: number;
  readonly beginBootMicros: number;
  readonly endBootMicros: number;
  readonly exec: StreamCut;
  /** Undefined when exits are not captured. */
  readonly exit?: StreamCut;
  /** One for each slot of the interface table. */
  readonly packets: readonly PacketTotals[];
}

/** Of one stream. */
export interface StreamCut extends KernelCounts {
  /** Events that rules kept out of the ring, by the rule's name; only where there are any. */
  readonly filtered: Readonly<Record<string, number>>;
  /** Runs that the kernel's recursion guard kept from the program, as of the moment after the epoch. */
  readonly skipped: number;
  /** Every sequence number below it was given out in this epoch or before. */
  readonly seq: number;
  /** Position behind the last record of this epoch in the ring of whole records, and in that of bare ones. */
  readonly producerPosition: number;
  readonly bareProducerPosition: number;
}

/** What came in on the interface of one slot through the end of one epoch, in packets; totals since attachId. */
export interface PacketTotals {
  /** Index in the pinned table of interfaces; never used again within an attach. */
  readonly slot: number;
  readonly interfaceIndex: number;
  /** Not unique: an interface that is removed and made again gets another slot. */
  readonly name: string;
  readonly seen: number;
  readonly seenBytes: number;
  readonly fragment: number;
  readonly malformed: number;
  readonly nonIp: number;
  /** Their keys found no room in the map. */
  readonly overflow: number;
  readonly filtered: number;
  /** How long the interface was not observed. */
  readonly unobservedMicros: number;
}

/** The whole account of a capture that has ended; totals since attachId. */
export interface FinalTotals {
  /** 0 when it had not begun to capture. */
  readonly attachId: number;
  readonly epoch: number;
  readonly exec: FinalStream;
  /** Undefined when exits were not captured. */
  readonly exit?: FinalStream;
  /** One for each slot of the interface table. */
  readonly packets: readonly FinalPackets[];
}

/** What became of the records of one stream; totals since attachId. */
export interface FinalStream extends Omit<StreamCut, 'seq' | 'producerPosition' | 'bareProducerPosition'> {
  readonly acknowledged: number;
  readonly undecodable: number;
  /** As in RingStatus. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Records of the ring that were thrown away. */
  readonly discarded: number;
  /** As in StreamStatus. */
  readonly spooled: number;
  readonly spoolAcknowledged: number;
  readonly spoolEvicted: number;
  readonly spoolMissing: number;
}

/** What became of the packets of one slot; totals since attachId. */
export interface FinalPackets extends Pick<PacketTotals, 'name' | 'seen' | 'filtered'> {
  /** In acknowledged records. */
  readonly published: number;
  /** As in RingStatus. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Were counted, and thrown away with the maps. */
  readonly discarded: number;
}
