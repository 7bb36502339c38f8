import { bitNames, offsetOf, type StructLayout } from '../kernel/layout.ts';
import {
  type ClassCount,
  type FrozenPackets,
  type InterfaceSlot,
  type PacketKeyKind,
  packetEntryCounts,
} from '../kernel/packet-capture.ts';
import type { WallClock } from '../kernel/wall-clock.ts';
import type { PacketCount, TrafficClass } from '../schemas/packet-count.ts';
import { addressText } from './address-text.ts';
import type { CaptureIdentity } from './capture-identity.ts';
import { protocolName } from './protocol-names.ts';

/** Turns the counts of one epoch, as the kernel keeps them (bpf/abi.h), into events. */
export interface PacketDecoder {
  /** @param at where the entry begins in the buffer */
  keyed(entries: Buffer, at: number): PacketCount;
  unkeyed(count: ClassCount): PacketCount;
}

/** What is the same for all counts of an attach. */
export interface PacketDecoderOptions {
  /** Of struct packet_key. */
  readonly layout: StructLayout;
  readonly identity: CaptureIdentity;
  readonly wallClock: WallClock;
  readonly keyKind: PacketKeyKind;
}

const icmp = 1;
const icmpv6 = 58;
/** TCP, UDP, DCCP, SCTP, UDP-Lite: those whose ports the kernel side reads (bpf/parse.h). */
const withPorts: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);

export function createPacketDecoder({ layout, identity, wallClock, keyKind }: PacketDecoderOptions) {
  const interfaceIndex = offsetOf(layout, 'interface_index', 4);
  const familyAt = offsetOf(layout, 'family', 1);
  const protocolAt = offsetOf(layout, 'protocol', 1);
  const vlan = offsetOf(layout, 'vlan', 2);
  const sourcePort = offsetOf(layout, 'source_port', 2);
  const destinationPort = offsetOf(layout, 'destination_port', 2);
  const source = offsetOf(layout, 'source', 16);
  const destination = offsetOf(layout, 'destination', 16);
  const classNames = bitNames(layout, 'PACKET_CLASS_') as TrafficClass[];

  const hasProtocol = keyKind !== 'hosts';
  const hasSourcePort = keyKind === 'flow' || keyKind === 'example';
  const hasDestination = keyKind !== 'example';
  const hasVlan = keyKind === 'flow' || keyKind === 'service';
  const wallMillis = (bootMicros: number) => Math.floor((bootMicros + wallClock.offsetAt(bootMicros)) / 1000);

  /** @param table every interface that the epoch can have counts of */
  return function decoderOf(frozen: FrozenPackets, table: readonly InterfaceSlot[]): PacketDecoder {
    const bySlot: PacketCount[] = [];
    const byIndex = new Map<number, PacketCount>();
    for (const { slot, index, name, kind, parent, mode } of table) {
      const common: PacketCount = {
        host_id: identity.hostId,
        host_name: identity.hostName,
        boot_id: identity.bootId,
        attach_id: identity.attachId,
        epoch: frozen.epoch,
        interval_start: wallMillis(frozen.beginBootMicros),
        interval_end: wallMillis(frozen.endBootMicros),
        interface_name: name,
        interface_index: index,
        xdp_mode: mode,
        interface_kind: kind,
        interface_parent: parent,
        direction: 'ingress',
        key_kind: keyKind,
        address_family: null,
        protocol: null,
        protocol_number: null,
        source_address: null,
        destination_address: null,
        source_port: null,
        destination_port: null,
        icmp_type: null,
        icmp_code: null,
        vlan_id: null,
        traffic_class: 'keyed',
        packets: 0,
        bytes: 0,
      };
      bySlot[slot] = common;
      byIndex.set(index, common);
    }

    return {
      keyed(entries, at) {
        const common = byIndex.get(entries.readUInt32LE(at + interfaceIndex));
        if (common === undefined) throw new Error('a packet count of an interface that is not in the table');
        const family = entries[at + familyAt] === 4 ? 4 : 6;
        const event: PacketCount = {
          ...common,
          address_family: family === 4 ? 'ipv4' : 'ipv6',
          source_address: addressText(entries, at + source, family),
          packets: u64(entries, at + packetEntryCounts.packets),
          bytes: u64(entries, at + packetEntryCounts.bytes),
        };
        if (hasDestination) event.destination_address = addressText(entries, at + destination, family);
        if (hasVlan) {
          const tag = entries.readUInt16LE(at + vlan);
          event.vlan_id = tag === 0 ? null : tag - 1;
        }
        if (!hasProtocol) return event;
        const protocol = entries[at + protocolAt] as number;
        event.protocol_number = protocol;
        event.protocol = protocolName(protocol);
        const first = entries.readUInt16LE(at + sourcePort);
        const second = entries.readUInt16LE(at + destinationPort);
        if (withPorts.has(protocol)) {
          event.source_port = hasSourcePort ? first : null;
          event.destination_port = second;
        } else if (protocol === (family === 4 ? icmp : icmpv6)) {
          event.icmp_type = first;
          event.icmp_code = second;
        }
        return event;
      },
      unkeyed({ slot, trafficClass, packets, bytes }) {
        const common = bySlot[slot];
        const name = classNames[trafficClass];
        if (common === undefined || name === undefined) throw new Error('a packet count of no interface or no class');
        return { ...common, traffic_class: name, packets, bytes };
      },
    };
  };
}

/** Below 2^53: so many packets or bytes no interface sees in an epoch. */
function u64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}
