import type { AddressPrefix, PacketKeyKind } from '../../src/kernel/packet-capture.ts';
import type { TrafficClass } from '../../src/schemas/packet-count.ts';

/**
 * What a frame is to be counted as, from the RFCs and from what bpf/abi.h and bpf/parse.h promise, in another way than the
 * kernel side takes: layers that are cut out of one another, and an exception where one cannot be.
 */

/** The fields of a PacketCount that the frame alone decides. */
export interface CountedAs {
  readonly traffic_class: TrafficClass;
  readonly address_family: 'ipv4' | 'ipv6' | null;
  readonly protocol_number: number | null;
  readonly source_address: string | null;
  readonly destination_address: string | null;
  readonly source_port: number | null;
  readonly destination_port: number | null;
  readonly icmp_type: number | null;
  readonly icmp_code: number | null;
  readonly vlan_id: number | null;
}

export interface ReferenceOptions {
  readonly keyKind?: PacketKeyKind;
  readonly excluded?: readonly AddressPrefix[];
  /** The frame begins with the IP header. */
  readonly bare?: boolean;
}

const nothing: Omit<CountedAs, 'traffic_class'> = {
  address_family: null,
  protocol_number: null,
  source_address: null,
  destination_address: null,
  source_port: null,
  destination_port: null,
  icmp_type: null,
  icmp_code: null,
  vlan_id: null,
};

/** How the reading of a frame ends before there is a key. */
class Ends extends Error {
  readonly trafficClass: TrafficClass;

  constructor(trafficClass: TrafficClass) {
    super(trafficClass);
    this.trafficClass = trafficClass;
  }
}

const tagTypes = new Set([0x8100, 0x88a8, 0x9100]); // IEEE 802.1Q C-tag and S-tag, and what came before
const mostTags = 4;
const mostExtensions = 16;
/** RFC 8200 section 4, RFC 4302, RFC 6275, RFC 7401, RFC 5533: those that say what comes next. */
const extensionNumbers = new Set([0, 43, 44, 51, 60, 135, 139, 140]);
const portNumbers = new Set([6, 17, 33, 132, 136]);

/** The first `length` bytes, and what is behind them. */
function cut(from: Buffer, length: number): [Buffer, Buffer] {
  if (from.length < length) throw new Ends('malformed');
  return [from.subarray(0, length), from.subarray(length)];
}

interface Network {
  family: 4 | 6;
  source: Buffer;
  destination: Buffer;
  /** Undefined when the rest of the frame is not what it says: then there are only addresses. */
  transport?: { number: number; payload: Buffer };
  ends?: TrafficClass;
}

function readIpv4(bytes: Buffer): Network {
  const [fixed] = cut(bytes, 20);
  const version = fixed.readUInt8(0) >> 4;
  const headerBytes = (fixed.readUInt8(0) % 16) * 4;
  const said = fixed.readUInt16BE(2);
  const total = said === 0 && bytes.length > 65_535 ? bytes.length : said;
  if (version !== 4 || headerBytes < 20 || total < headerBytes) throw new Ends('malformed');
  const [packet] = cut(bytes, total);
  const network: Network = { family: 4, source: fixed.subarray(12, 16), destination: fixed.subarray(16, 20) };
  if (fixed.readUInt16BE(6) % 0x2000 !== 0) return { ...network, ends: 'fragment' };
  return { ...network, transport: { number: fixed.readUInt8(9), payload: packet.subarray(headerBytes) } };
}

function readIpv6(bytes: Buffer): Network {
  const [fixed, behind] = cut(bytes, 40);
  if (fixed.readUInt8(0) >> 4 !== 6) throw new Ends('malformed');
  const said = fixed.readUInt16BE(4);
  const [payload] = cut(behind, said === 0 && behind.length > 65_535 ? behind.length : said);
  const network: Network = { family: 6, source: fixed.subarray(8, 24), destination: fixed.subarray(24, 40) };
  try {
    return { ...network, transport: readExtensions(fixed.readUInt8(6), payload, mostExtensions) };
  } catch (error) {
    if (error instanceof Ends) return { ...network, ends: error.trafficClass };
    throw error;
  }
}

function readExtensions(number: number, payload: Buffer, left: number): { number: number; payload: Buffer } {
  if (!extensionNumbers.has(number)) return { number, payload };
  if (left === 0) throw new Ends('malformed');
  const [head] = cut(payload, 8);
  const units = head.readUInt8(1);
  let length = 8 + units * 8;
  if (number === 51) length = 8 + units * 4;
  if (number === 44) {
    length = 8;
    if (head.readUInt16BE(2) >> 3 !== 0) throw new Ends('fragment');
  }
  return readExtensions(head.readUInt8(0), cut(payload, length)[1], left - 1);
}

function readLink(frame: Buffer, bare: boolean): { vlan: number | null; version: 4 | 6; packet: Buffer } {
  if (bare) {
    const version = cut(frame, 1)[0].readUInt8(0) >> 4;
    if (version !== 4 && version !== 6) throw new Ends('non_ip');
    return { vlan: null, version, packet: frame };
  }
  let [header, rest] = cut(frame, 14);
  let type = header.readUInt16BE(12);
  const ids: number[] = [];
  while (tagTypes.has(type) && ids.length < mostTags) {
    [header, rest] = cut(rest, 4);
    ids.push(header.readUInt16BE(0) % 4096);
    type = header.readUInt16BE(2);
  }
  if (type !== 0x0800 && type !== 0x86dd) throw new Ends('non_ip');
  return { vlan: ids[0] ?? null, version: type === 0x0800 ? 4 : 6, packet: rest };
}

/** Addresses as numbers: the prefix is their upper bits. */
function isExcluded({ family, source, destination }: Network, excluded: readonly AddressPrefix[]): boolean {
  const numberOf = (address: Uint8Array) => BigInt(`0x${Buffer.from(address).toString('hex')}`);
  const bits = family === 4 ? 32 : 128;
  return excluded.some((prefix) => {
    if (prefix.family !== family) return false;
    const shift = BigInt(bits - prefix.prefixLength);
    const wanted = numberOf(prefix.address) >> shift;
    return [source, destination].some((address) => numberOf(address) >> shift === wanted);
  });
}

/** The WHATWG URL standard writes IPv6 addresses as RFC 5952 does, without dots. */
function textOf(address: Buffer): string {
  if (address.length === 4) return [...address].join('.');
  const groups = address.toString('hex').match(/.{4}/g) as string[];
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}

export function countedAs(frame: Buffer, options: ReferenceOptions = {}): CountedAs {
  const { keyKind = 'flow', excluded = [], bare = false } = options;
  try {
    const { vlan, version, packet } = readLink(frame, bare);
    const network = version === 4 ? readIpv4(packet) : readIpv6(packet);
    if (isExcluded(network, excluded)) throw new Ends('filtered');
    if (network.transport === undefined) throw new Ends(network.ends ?? 'malformed');

    const { number, payload } = network.transport;
    const withPorts = portNumbers.has(number);
    const withType = number === (version === 4 ? 1 : 58);
    const words = withPorts || withType ? cut(payload, 4)[0] : undefined;
    const hosts = keyKind === 'hosts';
    return {
      traffic_class: 'keyed',
      address_family: version === 4 ? 'ipv4' : 'ipv6',
      source_address: textOf(network.source),
      destination_address: keyKind === 'example' ? null : textOf(network.destination),
      protocol_number: hosts ? null : number,
      source_port: words && withPorts && (keyKind === 'flow' || keyKind === 'example') ? words.readUInt16BE(0) : null,
      destination_port: words && withPorts && !hosts ? words.readUInt16BE(2) : null,
      icmp_type: words && withType && !hosts ? words.readUInt8(0) : null,
      icmp_code: words && withType && !hosts ? words.readUInt8(1) : null,
      vlan_id: keyKind === 'flow' || keyKind === 'service' ? vlan : null,
    };
  } catch (error) {
    if (error instanceof Ends) return { ...nothing, traffic_class: error.trafficClass };
    throw error;
  }
}
