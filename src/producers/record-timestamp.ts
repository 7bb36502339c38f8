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
 * The event's time, unless the broker would refuse it (message.timestamp.after.max.ms: one hour by default since Kafka
 * 3.6, so INVALID_TIMESTAMP) or delete the record soon or at once for its age; then the time of sending. A clock before
 * its first NTP answer does either.
 *
 * @param retentionMillis of the topic; Infinity when unlimited or not known
 */
export function recordTimestamp(eventMillis: number, sendMillis: number, retentionMillis: number): RecordTimestamp {
  const future = eventMillis > sendMillis + futureLimitMillis;
  const old = sendMillis - eventMillis > retentionMillis / 2;
  if (future || old || eventMillis < thirteenDigits) return { timestamp: sendMillis, clockSkew: eventMillis };
  return { timestamp: eventMillis };
}
