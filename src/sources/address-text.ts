import ipaddr from 'ipaddr.js';

/**
 * An address out of a packet as text: IPv4 with dots, IPv6 as RFC 5952 says, without a zone. An IPv6 address that has an
 * IPv4 one inside is written in hexadecimal to its end (`::ffff:102:304`), so that nobody reads it as the IPv4 address:
 * in a packet it is none, and who sends one may want it to be taken for one.
 *
 * @param bytes network byte order, 4 or 16 of them from `at` on
 */
export function addressText(bytes: Uint8Array, at: number, family: 4 | 6): string {
  if (family === 4) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  return new ipaddr.IPv6(Array.from(bytes.subarray(at, at + 16))).toRFC5952String();
}
