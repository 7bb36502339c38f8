import { isIP } from 'node:net';
import type { PacketCount } from '../schemas/packet-count.ts';
import { asText, copy, type Mapping, made, part } from './mapping.ts';
import { ocsfDevice, ocsfEvent } from './ocsf.ts';
import { port } from './values.ts';

// What a host receives may well be the answer to what it has sent.
const directionWords = '4 of the loopback interface, otherwise 0: who opened the connection is not known';

/** Network Activity: Traffic. */
export const ocsfPackets: Mapping<PacketCount> = {
  rest: 'unmapped',
  rows: [
    ...ocsfEvent(
      'packets',
      { category: [4, 'Network Activity'], class: [4001, 'Network Activity'], activity: [6, 'Traffic'] },
      { topic: 'packet-counts', profiles: ['host'] },
    ),
    part('time', ['interval_end'], 'end of the interval', ({ interval_end }) => interval_end),
    copy('start_time', 'interval_start'),
    copy('end_time', 'interval_end'),
    ...ocsfDevice<PacketCount>(),
    copy('device.interface_name', 'interface_name'),
    asText('device.interface_uid', 'interface_index'),
    copy('traffic.packets', 'packets'),
    copy('traffic.bytes', 'bytes'),
    copy('traffic.start_time', 'interval_start'),
    copy('traffic.end_time', 'interval_end'),
    copy('connection_info.protocol_num', 'protocol_number'),
    copy('connection_info.protocol_name', 'protocol'),
    made('connection_info.protocol_ver_id', ['address_family'], '4 or 6', (count) => version(count)?.[0]),
    made('connection_info.protocol_ver', ['address_family'], 'the caption of 4 or 6', (count) => version(count)?.[1]),
    part('connection_info.direction_id', ['interface_kind'], directionWords, (count) => direction(count)[0]),
    part('connection_info.direction', ['interface_kind'], 'Local or Unknown', (count) => direction(count)[1]),
    made('src_endpoint.ip', ['source_address'], 'an address', ({ source_address }) => address(source_address)),
    made('src_endpoint.port', ['source_port'], 'of a known address', ({ source_address, source_port }) =>
      address(source_address) === undefined ? undefined : port(source_port),
    ),
    made('dst_endpoint.ip', ['destination_address'], 'an address', (count) => address(count.destination_address)),
    part('dst_endpoint.interface_name', ['interface_name'], 'when there is no address', (count) =>
      address(count.destination_address) === undefined ? count.interface_name : undefined,
    ),
    made('dst_endpoint.port', ['destination_port'], '0 to 65535', ({ destination_port }) => port(destination_port)),
    asText('dst_endpoint.vlan_uid', 'vlan_id'),
  ],
};

function direction({ interface_kind }: PacketCount): readonly [number, string] {
  return interface_kind === 'loopback' ? [4, 'Local'] : [0, 'Unknown'];
}

function version({ address_family }: PacketCount): readonly [number, string] | undefined {
  if (address_family === 'ipv4') return [4, 'Internet Protocol version 4 (IPv4)'];
  if (address_family === 'ipv6') return [6, 'Internet Protocol version 6 (IPv6)'];
  return undefined;
}

function address(text: string | null): string | undefined {
  return text !== null && isIP(text) !== 0 ? text : undefined;
}
