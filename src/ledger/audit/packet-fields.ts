import type { PacketCount } from '../../schemas/packet-count.ts';
import { hashFields, type Lane, laneA } from './field-hash.ts';

/**
 * Where each field of a packet record comes from, as in kernel-fields.ts. The interval is the kernel's too: its wall
 * times are made by offsets that are pinned, so that a repeat has the same. A new field does not compile before it
 * stands here.
 */
const origin: Readonly<Record<keyof PacketCount, 'place' | 'identity' | 'kernel' | 'user'>> = {
  // Identities are kept apart by boot.
  host_id: 'place',
  boot_id: 'place',
  epoch: 'identity',
  interface_index: 'identity',
  address_family: 'identity',
  protocol_number: 'identity',
  source_address: 'identity',
  destination_address: 'identity',
  source_port: 'identity',
  destination_port: 'identity',
  icmp_type: 'identity',
  icmp_code: 'identity',
  vlan_id: 'identity',
  traffic_class: 'identity',
  attach_id: 'kernel',
  interval_start: 'kernel',
  interval_end: 'kernel',
  interface_name: 'kernel',
  xdp_mode: 'kernel',
  interface_kind: 'kernel',
  interface_parent: 'kernel',
  direction: 'kernel',
  key_kind: 'kernel',
  packets: 'kernel',
  bytes: 'kernel',
  // A setting of the sidecar, and a name that this version has for protocol_number.
  host_name: 'user',
  protocol: 'user',
};

const namesOf = (kind: 'identity' | 'kernel') =>
  (Object.keys(origin) as (keyof PacketCount)[]).filter((name) => origin[name] === kind);

export const packetIdentityFields = namesOf('identity');
export const packetKernelFields = namesOf('kernel');

/** 32 bits over what identifies a record within its boot; those of two lanes make 64. */
export function hashPacketIdentity(count: PacketCount, lane: Lane): number {
  return hashFields(count, packetIdentityFields, lane);
}

/** 32 bits over what must be the same in every repeat, never 0. */
export function hashPacketFields(count: PacketCount): number {
  return hashFields(count, packetKernelFields, laneA);
}
