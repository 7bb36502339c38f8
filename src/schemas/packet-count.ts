/**
 * What came in on one interface during one epoch under one key, as it stands in the topic `packet-counts`; the
 * names are those of packet-counts.avsc. boot_id, epoch, interface_index and the key identify it.
 */
export interface PacketCount {
  host_id: string;
  host_name: string | null;
  boot_id: string;
  /** Microseconds since boot. */
  attach_id: number;
  epoch: number;
  /** When the epoch began and ended, milliseconds since 1970. */
  interval_start: number;
  interval_end: number;
  interface_name: string;
  interface_index: number;
  xdp_mode: XdpMode;
  interface_kind: string;
  interface_parent: string | null;
  direction: 'ingress';
  key_kind: PacketKeyKind;
  address_family: 'ipv4' | 'ipv6' | null;
  protocol: string | null;
  protocol_number: number | null;
  source_address: string | null;
  destination_address: string | null;
  source_port: number | null;
  destination_port: number | null;
  icmp_type: number | null;
  icmp_code: number | null;
  vlan_id: number | null;
  traffic_class: TrafficClass;
  packets: number;
  bytes: number;
}

export type XdpMode = 'native' | 'generic' | 'offload';

/** What makes a key, besides the interface; the values of `--packet-key`. */
export const packetKeyKinds = ['flow', 'service', 'hosts', 'example'] as const;
export type PacketKeyKind = (typeof packetKeyKinds)[number];

export type TrafficClass = 'keyed' | 'fragment' | 'malformed' | 'non_ip' | 'overflow' | 'filtered';
