/**
 * A record that the broker refused for its content, as it stands in the topic `bpf2kafka-dead-letter`; the names are
 * those of bpf2kafka-dead-letter.avsc.
 */
export interface DeadLetter {
  host_id: string;
  host_name: string | null;
  boot_id: string;
  /** Microseconds since boot. */
  attach_id: number;
  epoch: number;
  /** Milliseconds since 1970. */
  event_time: number;
  /** With the prefix. */
  topic: string;
  stream_name: string;
  /** Null in streams whose events have no number. */
  seq: number | null;
  /** 16 hexadecimal digits. */
  schema_fingerprint: string;
  error_code: string;
  reason: string;
  /** Null when the dead letter would have been too large with it. */
  value_bytes: Buffer | null;
  value_size: number;
  /** 64 hexadecimal digits. */
  value_sha256: string;
}
