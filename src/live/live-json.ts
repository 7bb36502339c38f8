import type { Health } from '../http/health.ts';
import type { Figures } from '../metrics/figures.ts';
import type { ExecView } from './exec-view.ts';
import type { PacketLeaderboard } from './packet-leaders.ts';
import type { RateHistory } from './rates.ts';

/** What `/json` answers and each message of `/events` holds; docs/page.md says it for users. Times are milliseconds since 1970. */
export interface LiveJson {
  readonly host_id: string;
  readonly host_name: string;
  readonly version: string;
  readonly now: number;
  /** Since when packets and execs are counted here. */
  readonly since: number;
  /** Since when the account in `ledger` runs. */
  readonly attached_at: number;
  readonly capturing: boolean;
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly ledger: Balance;
  readonly deliveries: readonly DeliveryJson[];
  readonly rings: readonly RingJson[];
  readonly spool: SpoolJson;
  /** Null when packets are not counted. */
  readonly packets: PacketsJson | null;
  readonly rates: RateHistory;
  readonly execs: ExecsJson;
}

/** The newest entries of the ledger, one a stream, and what they say together. */
export interface Balance {
  readonly lost: number;
  readonly unexplained: number;
  readonly streams: readonly StreamBalance[];
}

/** As in the record, `bpf2kafka-ledger`. */
export interface StreamBalance {
  readonly stream_name: string;
  readonly interval_end: number;
  readonly seen: number;
  readonly published: number;
  readonly pending: number;
  readonly filtered: Readonly<Record<string, number>>;
  readonly lost: Readonly<Record<string, number>>;
  readonly unexplained: number;
  readonly unobserved_micros: number;
}

export interface DeliveryJson {
  readonly topic: string;
  readonly state: string;
  /** When it entered the state. */
  readonly since: number;
  readonly reason: string | null;
  /** Since the start of the process, as the following. */
  readonly records: number;
  readonly bytes: number;
  readonly retries: number;
  readonly dead_letters: number;
}

export interface RingJson {
  readonly ring: string;
  readonly capacity_bytes: number;
  readonly used_bytes: number;
  readonly high_water_bytes: number;
}

export interface SpoolJson {
  readonly state: string;
  readonly records: number;
  readonly bytes: number;
  readonly capacity_bytes: number;
}

export interface PacketsJson extends PacketLeaderboard {
  /** Names of the interfaces that are counted on now. */
  readonly attached: readonly string[];
  /** Keys of the present interval, and how many the kernel has room for. */
  readonly flows: number;
  readonly flow_capacity: number;
}

export interface ExecsJson {
  /** How many were acknowledged since the message before, or, in the first one and in `/json`, since `since`. */
  readonly published: number;
  /** How many of them, the newest, follow. */
  readonly shown: number;
  /** Whether they have what comes from command lines. */
  readonly with_argv: boolean;
  readonly events: readonly ExecView[];
}

const sumOf = (values: Iterable<number>) => [...values].reduce((sum, value) => sum + value, 0);

export function balanceOf(streams: Figures['streams']): Balance {
  return {
    lost: sumOf(streams.flatMap(({ lost }) => Object.values(lost))),
    unexplained: sumOf(streams.map(({ unexplained }) => Math.abs(unexplained))),
    streams: streams.map(({ stream, at, unobservedMicros, ...terms }) => ({
      stream_name: stream,
      interval_end: at,
      ...terms,
      unobserved_micros: unobservedMicros,
    })),
  };
}

export function deliveriesOf(figures: Figures, health: Health): readonly DeliveryJson[] {
  return figures.deliveries.map(({ topic, state, records, bytes, retries, deadLetters }) => {
    const present = health.deliveries.find((delivery) => delivery.topic === topic);
    const { since = 0, reason = null } = present ?? {};
    return { topic, state, since, reason: reason ?? null, records, bytes, retries, dead_letters: deadLetters };
  });
}

export function ringsOf({ rings }: Figures): readonly RingJson[] {
  return rings.map(({ ring, capacityBytes, usedBytes, highWaterBytes }) => ({
    ring,
    capacity_bytes: capacityBytes,
    used_bytes: usedBytes,
    high_water_bytes: highWaterBytes,
  }));
}

export function spoolOf({ spool: { state, records, bytes, capacityBytes } }: Figures): SpoolJson {
  return { state, records, bytes, capacity_bytes: capacityBytes };
}

export function packetsOf({ packets }: Figures, leaderboard: PacketLeaderboard): PacketsJson | null {
  if (packets === undefined) return null;
  const { interfaces: attached, flows, flowCapacity } = packets;
  return { attached, flows, flow_capacity: flowCapacity, ...leaderboard };
}
