import type { PackedRecords } from '../records/packed-records.ts';
import { packRecords } from '../records/record-packer.ts';

export interface RecordTimestamp {
  /** Of the Kafka record, milliseconds since 1970. */
  readonly timestamp: number;
  /** The event's time, milliseconds since 1970, when the record could not have it. */
  readonly clockSkew?: number;
}

const futureLimitMillis = 30 * 60 * 1_000;

/** Smaller times, before September 2001, are those of a clock that was never set. */
const thirteenDigits = 1e12;

/**
 * Whether a record can have the event's time: the broker would neither refuse it (message.timestamp.after.max.ms: one hour by
 * default since Kafka 3.6, so INVALID_TIMESTAMP) nor delete the record soon or at once for its age. A clock before its first
 * NTP answer does either.
 *
 * @param retentionMillis of the topic; Infinity when unlimited or not known
 */
function canHave(eventMillis: number, sendMillis: number, retentionMillis: number): boolean {
  const future = eventMillis > sendMillis + futureLimitMillis;
  const old = sendMillis - eventMillis > retentionMillis / 2;
  return !future && !old && eventMillis >= thirteenDigits;
}

/** The event's time if the record can have it, or the time of sending. Parameters as above. */
export function recordTimestamp(eventMillis: number, sendMillis: number, retentionMillis: number): RecordTimestamp {
  if (canHave(eventMillis, sendMillis, retentionMillis)) return { timestamp: eventMillis };
  return { timestamp: sendMillis, clockSkew: eventMillis };
}

/** The records, those that cannot have the event's time with it in the header `clock_skew`. Parameters as above. */
export function withTimestamps(records: PackedRecords, sendMillis: number, retentionMillis: number): PackedRecords {
  let fit = 0;
  while (fit < records.length && canHave(records.timestampOf(fit), sendMillis, retentionMillis)) fit += 1;
  if (fit === records.length) return records;
  return packRecords(
    Array.from(records, (record) => {
      const { timestamp, clockSkew } = recordTimestamp(record.timestamp, sendMillis, retentionMillis);
      if (clockSkew === undefined) return record;
      return { ...record, timestamp, headers: { ...record.headers, clock_skew: String(clockSkew) } };
    }),
  );
}
