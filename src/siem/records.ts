import type { ExecEvent } from '../schemas/exec-event.ts';
import type { ExitEvent } from '../schemas/exit-event.ts';
import type { PacketCount } from '../schemas/packet-count.ts';

/** What documents are made of, by stream. */
export interface SiemRecords {
  exec: ExecEvent;
  exit: ExitEvent;
  packets: PacketCount;
}

export type SiemStream = keyof SiemRecords;

/**
 * The same for a record and its repeats, different for any two others: `boot_id:stream:seq`. A packet count has no seq:
 * of it the id is `boot_id:packets:epoch:interface_index:` and the class or the key, its parts with slashes between.
 */
export const documentIds: { readonly [Stream in SiemStream]: (record: SiemRecords[Stream]) => string } = {
  exec: ({ boot_id, seq }) => `${boot_id}:exec:${seq}`,
  exit: ({ boot_id, seq }) => `${boot_id}:exit:${seq}`,
  packets: (count) => `${count.boot_id}:packets:${count.epoch}:${count.interface_index}:${keyText(count)}`,
};

function keyText(count: PacketCount): string {
  if (count.traffic_class !== 'keyed') return count.traffic_class;
  const { address_family, protocol_number, source_address, source_port, destination_address, destination_port } = count;
  const { icmp_type, icmp_code, vlan_id } = count;
  const ends = [source_address, source_port, destination_address, destination_port];
  // Null, of what is not part of the key, is the empty text.
  return [address_family, protocol_number, ...ends, icmp_type, icmp_code, vlan_id].join('/');
}
