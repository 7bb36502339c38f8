/**
 * An address out of a packet as text: IPv4 with dots, IPv6 as RFC 5952 says, without a zone. An IPv6 address that has an
 * IPv4 one inside is written in hexadecimal to its end (`::ffff:102:304`), so that nobody reads it as the IPv4 address:
 * in a packet it is none, and who sends one may want it to be taken for one.
 *
 * Written here because an epoch may have 400,000 of them, on the main loop: 0.3 us each, with ipaddr.js 1.7 us.
 *
 * @param bytes network byte order, 4 or 16 of them from `at` on
 */
export function addressText(bytes: Uint8Array, at: number, family: 4 | 6): string {
  if (family === 4) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  // The longest run of zeros, of equal ones the first; one group alone is not shortened.
  let longest = 1;
  let end = 0;
  for (let group = 1, zeros = 0; group <= groups; group += 1) {
    zeros = bytes[at + 2 * group - 2] === 0 && bytes[at + 2 * group - 1] === 0 ? zeros + 1 : 0;
    if (zeros <= longest) continue;
    longest = zeros;
    end = group;
  }
  if (end === 0) return hexadecimal(bytes, at, 0, groups);
  return `${hexadecimal(bytes, at, 0, end - longest)}::${hexadecimal(bytes, at, end, groups)}`;
}

/** Of 16 bits, in an IPv6 address. */
const groups = 8;

function hexadecimal(bytes: Uint8Array, at: number, from: number, to: number): string {
  let text = '';
  for (let group = from; group < to; group += 1) {
    const value = ((bytes[at + 2 * group] as number) << 8) | (bytes[at + 2 * group + 1] as number);
    text += group === from ? value.toString(16) : `:${value.toString(16)}`;
  }
  return text;
}
