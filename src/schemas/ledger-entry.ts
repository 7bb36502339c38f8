/**
 * The account of one stream of one host through the end of an epoch, as it stands in the topic
 * `bpf2kafka-ledger`; the names are those of bpf2kafka-ledger.avsc. All counts are totals since attach_id.
 */
export interface LedgerEntry {
  host_id: string;
  host_name: string | null;
  boot_id: string;
  /** Microseconds since boot. */
  attach_id: number;
  /** The epoch that ended; entries are ordered by it, never by their offset. */
  epoch: number;
  stream_name: string;
  state: LedgerState;
  /** When the epoch began and ended, milliseconds since 1970. */
  interval_start: number;
  interval_end: number;
  /** Every sequence number below it has been acknowledged or counted lost; 0 before the first closed epoch. */
  low_watermark: number;
  /** Nothing of this epoch or an earlier one is pending. */
  closed: boolean;
  seen: number;
  published: number;
  pending: number;
  /** By rule. */
  filtered: Record<string, number>;
  /** By reason. */
  lost: Record<string, number>;
  /** seen - published - filtered - lost - pending: 0, or the account is wrong. */
  unexplained: number;
  /** How long nothing was captured since attach_id, microseconds. */
  unobserved_micros: number;
  destination: LedgerDestination | null;
  sidecar_version: string;
  program_tag: string;
}

/** Where the published records went. */
export interface LedgerDestination {
  cluster_id: string;
  topic: string;
  partition: number;
  /** Of the first and the last record that was acknowledged there; -1 before there is one. */
  first_offset: number;
  last_offset: number;
  replication_factor: number;
  min_insync_replicas: number;
}

/**
 * capturing: all is well. degraded: something was lost, or the broker is away. throttled: the broker asked for
 * fewer records. stopped: the capture has ended and nothing is pending; the final entry of an attach. closing:
 * written later for an attach that ended without one.
 */
export type LedgerState = 'capturing' | 'degraded' | 'throttled' | 'stopped' | 'closing';
