import ipaddr from 'ipaddr.js';

/** A network, or a single address with the longest prefix. */
export interface IpPrefix {
  readonly family: 4 | 6;
  /** 4 or 16 bytes, network byte order; those behind the prefix are 0. */
  readonly address: Uint8Array;
  /** Bits, 0 to 32 or 128. */
  readonly prefixLength: number;
}

/** What was read, or what it must be instead. */
export type ParsedPrefix = { readonly prefix: IpPrefix } | { readonly allowed: string };

const form = 'an IPv4 or IPv6 address or network, as in 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32';

/**
 * Reads `ADDRESS/LENGTH` or `ADDRESS`. Bits behind the prefix are refused, since nobody can tell whether the network or
 * the address is meant; and IPv4 inside IPv6 (`::ffff:0:0/96`), since a packet carries IPv4 addresses as such.
 */
export function parsePrefix(text: string): ParsedPrefix {
  const [, addressText = '', lengthText] = /^([^/]*)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  const address = parseAddress(addressText);
  if (address === undefined) return { allowed: form };
  const { family, bytes } = address;
  const width = bytes.length * 8;
  const prefixLength = lengthText === undefined ? width : Number(lengthText);
  if (prefixLength > width) return { allowed: `a network of IPv${family}, its prefix 0 to ${width}` };

  const mapped = family === 6 && prefixLength >= 96 && isMapped(bytes);
  const network = bytes.map((byte, index) => byte & maskByte(prefixLength - index * 8));
  if (mapped) {
    const inside = prefixText({ family: 4, address: network.subarray(12), prefixLength: prefixLength - 96 });
    return { allowed: `${inside}; a packet carries an IPv4 address as such, never inside an IPv6 one` };
  }
  const prefix: IpPrefix = { family, address: network, prefixLength };
  if (!network.every((byte, index) => byte === bytes[index])) {
    return { allowed: `${prefixText(prefix)} for the network, or ${addressText} for the address` };
  }
  return { prefix };
}

export function prefixText({ address, prefixLength }: IpPrefix): string {
  return `${ipaddr.fromByteArray(Array.from(address)).toString()}/${prefixLength}`;
}

function parseAddress(text: string): { family: 4 | 6; bytes: Uint8Array } | undefined {
  // Not what the library takes besides: 010.0.0.1 (octal), 10.1, ::010.1.2.3, a zone.
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return { family: 4, bytes: Uint8Array.from(ipaddr.IPv4.parse(text).toByteArray()) };
  }
  const tail = text.slice(text.lastIndexOf(':') + 1);
  const plain = !tail.includes('.') || ipaddr.IPv4.isValidFourPartDecimal(tail);
  if (text.includes(':') && !text.includes('%') && plain && ipaddr.IPv6.isValid(text)) {
    return { family: 6, bytes: Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray()) };
  }
  return undefined;
}

/** ::ffff:0:0/96 */
function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 0xff));
}

/** The byte of a mask in which `bits` more are set. */
function maskByte(bits: number): number {
  return (0xff00 >> Math.min(8, Math.max(0, bits))) & 0xff;
}
