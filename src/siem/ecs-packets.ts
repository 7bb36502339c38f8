import { isIP } from 'node:net';
import type { PacketCount } from '../schemas/packet-count.ts';
import { ecsEvent } from './ecs.ts';
import { asText, copy, type Mapping, made, part, type Row } from './mapping.ts';
import { isoTime, port } from './values.ts';

/** Packets of one key in one interval; they go from the source to the destination. */
export const ecsPackets: Mapping<PacketCount> = {
  rest: 'bpf2kafka',
  rows: [
    ...ecsEvent('packets', { category: 'network', type: 'info', action: 'traffic' }, 'interval_end'),
    made('event.start', ['interval_start'], 'as `@timestamp`', ({ interval_start }) => isoTime(interval_start)),
    made('event.end', ['interval_end'], 'as `@timestamp`', ({ interval_end }) => isoTime(interval_end)),
    part('event.duration', ['interval_start', 'interval_end'], 'in nanoseconds', duration),
    copy('network.packets', 'packets'),
    copy('network.bytes', 'bytes'),
    copy('network.direction', 'direction'),
    copy('network.type', 'address_family'),
    copy('network.transport', 'protocol'),
    asText('network.iana_number', 'protocol_number'),
    asText('network.vlan.id', 'vlan_id'),
    ...end('source', 'source_address', 'source_port'),
    part('source.packets', ['packets'], 'of a known source', (count) => ofSource(count, count.packets)),
    part('source.bytes', ['bytes'], 'of a known source', (count) => ofSource(count, count.bytes)),
    ...end('destination', 'destination_address', 'destination_port'),
    copy('observer.ingress.interface.name', 'interface_name'),
    asText('observer.ingress.interface.id', 'interface_index'),
  ],
};

function end(
  to: 'source' | 'destination',
  address: 'source_address' | 'destination_address',
  portField: 'source_port' | 'destination_port',
): Row<PacketCount>[] {
  return [
    copy(`${to}.address`, address),
    part(`${to}.ip`, [address], 'an address', (count) => {
      const text = count[address];
      return text !== null && isIP(text) !== 0 ? text : undefined;
    }),
    made(`${to}.port`, [portField], '0 to 65535', (count) => port(count[portField])),
  ];
}

function duration({ interval_start, interval_end }: PacketCount): number | undefined {
  const nanos = (interval_end - interval_start) * 1_000_000;
  return nanos >= 0 && Number.isSafeInteger(nanos) ? nanos : undefined;
}

function ofSource({ source_address }: PacketCount, value: number): number | undefined {
  return source_address === null ? undefined : value;
}
