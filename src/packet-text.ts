import type { PacketCount } from './schemas/packet-count.ts';
import { escapeArgument } from './terminal.ts';

/** How a packet count is told on one line: `ADDRESS:PORT => :PORT`. */

const tcp = 6;

/** `ADDRESS:PORT`, or what there is of it. */
export function sourceText({ source_address, source_port }: PacketCount): string {
  if (source_port === null) return addressText(source_address);
  const address = addressText(source_address);
  return `${address.includes(':') ? `[${address}]` : address}:${source_port}`;
}

/** `:PORT` for TCP; with other protocols, and without ports, what there is in its place. */
export function targetText(count: PacketCount): string {
  const { protocol_number, destination_port, icmp_type, icmp_code } = count;
  if (protocol_number === null) return addressText(count.destination_address);
  if (protocol_number === tcp && destination_port !== null) return `:${destination_port}`;
  const protocol = count.protocol === null ? `protocol ${protocol_number}` : escapeArgument(count.protocol);
  if (destination_port !== null) return `:${destination_port}/${protocol}`;
  return icmp_type === null ? protocol : `${protocol} type ${icmp_type} code ${icmp_code}`;
}

function addressText(address: string | null): string {
  return address === null ? '?' : escapeArgument(address);
}
