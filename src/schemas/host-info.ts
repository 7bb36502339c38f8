/** What a host is, as it stands in the topic `bpf2kafka-hosts`; the names are those of bpf2kafka-hosts.avsc. */
export interface HostInfo {
  host_id: string;
  host_name: string | null;
  boot_id: string;
  /** Milliseconds since 1970. */
  event_time: number;
  os_name: string | null;
  os_version: string | null;
  kernel_release: string;
  architecture: string;
  /** RFC 5952, sorted. */
  addresses: string[];
  labels: Record<string, string>;
  sidecar_version: string;
  /** 64 hexadecimal digits. */
  config_hash: string;
  filters: string[];
  redaction: string[];
  /** By what they capture, 16 hexadecimal digits. */
  program_tags: Record<string, string>;
}
