import type { PacketCount } from '../../../src/schemas/packet-count.ts';

/** TCP packets of one flow. */
export const flowCount: PacketCount = {
  host_id: '0123456789abcdef0123456789abcdef',
  host_name: 'web-17.example.org',
  boot_id: '3f1c1a52-8f0e-4c6e-9d8f-0a1b2c3d4e5f',
  attach_id: 81_234_567,
  epoch: 81_234_600,
  interval_start: 1_790_000_000_000,
  interval_end: 1_790_000_001_000,
  interface_name: 'eth0',
  interface_index: 2,
  xdp_mode: 'native',
  interface_kind: 'physical',
  interface_parent: null,
  direction: 'ingress',
  key_kind: 'flow',
  address_family: 'ipv4',
  protocol: 'tcp',
  protocol_number: 6,
  source_address: '198.51.100.7',
  destination_address: '192.0.2.1',
  source_port: 51_022,
  destination_port: 443,
  icmp_type: null,
  icmp_code: null,
  vlan_id: null,
  traffic_class: 'keyed',
  packets: 1,
  bytes: 74,
};

const noKey = {
  address_family: null,
  protocol: null,
  protocol_number: null,
  source_address: null,
  destination_address: null,
  source_port: null,
  destination_port: null,
} as const;

/** Packets that were counted without a key. */
export function classCount(traffic_class: Exclude<PacketCount['traffic_class'], 'keyed'>): PacketCount {
  return { ...flowCount, ...noKey, traffic_class };
}
