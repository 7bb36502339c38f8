/**
 * What the sidecar has counted, as it stands at one moment. All counts are totals since the capture was attached, unless
 * they say otherwise; a sidecar that takes a capture over goes on with them.
 */
export interface Figures {
  readonly capturing: boolean;
  readonly epoch: number;
  /** As of the newest entry of the ledger, one a stream: its terms are of one cut, so that the account closes. */
  readonly streams: readonly StreamFigures[];
  readonly rings: readonly RingFigures[];
  readonly spool: SpoolFigures;
  /** Undefined when packets are not counted. */
  readonly packets: PacketFigures | undefined;
  /** One a topic. */
  readonly deliveries: readonly DeliveryFigures[];
}

export interface StreamFigures {
  /** `exec`, `exit`, `packets:eth0`; of packets everything is in packets, not in records. */
  readonly stream: string;
  /** When the epoch of the entry ended, milliseconds since 1970. */
  readonly at: number;
  readonly seen: number;
  readonly published: number;
  readonly pending: number;
  /** By rule. */
  readonly filtered: Readonly<Record<string, number>>;
  /** By reason. */
  readonly lost: Readonly<Record<string, number>>;
  readonly unexplained: number;
  readonly unobservedMicros: number;
}

export interface RingFigures {
  /** `exec`, `exec_bare`, `exit`. */
  readonly ring: string;
  readonly capacityBytes: number;
  /** What no broker has acknowledged. */
  readonly usedBytes: number;
  readonly highWaterBytes: number;
}

export interface SpoolFigures {
  readonly state: SpoolStateName;
  readonly records: number;
  /** Of their batches, and how many they may have. */
  readonly bytes: number;
  readonly capacityBytes: number;
}

export const spoolStates = ['empty', 'holding', 'full', 'no_space', 'failed'] as const;
export type SpoolStateName = (typeof spoolStates)[number];

export interface PacketFigures {
  /** Names of those that are counted on. */
  readonly interfaces: readonly string[];
  /** Keys of the present interval, and how many there is room for. */
  readonly flows: number;
  readonly flowCapacity: number;
  /** Packets without room for their key, by interface, as of the newest epoch that has ended. */
  readonly overflow: readonly { readonly name: string; readonly packets: number }[];
}

/** Of one topic, since this process started. */
export interface DeliveryFigures {
  readonly topic: string;
  readonly state: DeliveryStateName;
  readonly records: number;
  /** Before compression. */
  readonly bytes: number;
  readonly retries: number;
  /** Producers that were made: one, and one more for each that was given up. */
  readonly producers: number;
  readonly deadLetters: number;
}

export const deliveryStates = ['idle', 'sending', 'retrying', 'throttled'] as const;
export type DeliveryStateName = (typeof deliveryStates)[number];
