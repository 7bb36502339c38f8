import {
  authentication,
  type Extension,
  ethernet,
  etherType,
  extension,
  fragment,
  icmp,
  ipv4,
  ipv6,
  ipv6Chain,
  ports,
  protocol,
} from './frames.ts';

/** Frames of all kinds by what is special about them. Each reaches another branch of bpf/parse.h. */

export interface NamedFrame {
  readonly name: string;
  readonly frame: Buffer;
}

const { hopByHop, routing, destinationOptions, mobility, hip, shim6 } = protocol;
const udp = ports(40_000, 53);
const tcp = ports(40_001, 443, 16);
const times = <T>(count: number, item: T): T[] => new Array<T>(count).fill(item);

const over4 = (name: string, packet: Buffer): NamedFrame => ({ name, frame: ethernet(etherType.ipv4, packet) });
const over6 = (name: string, packet: Buffer): NamedFrame => ({ name, frame: ethernet(etherType.ipv6, packet) });
const chained = (name: string, extensions: readonly Extension[], last: number = protocol.udp, payload: Buffer = udp) =>
  over6(name, ipv6Chain(extensions, last, payload));

const padded = (name: string, type: number, packet: Buffer): NamedFrame => ({
  name,
  // What Ethernet fills up to 60 bytes must not be taken for ports.
  frame: Buffer.concat([ethernet(type, packet), Buffer.alloc(Math.max(0, 46 - packet.length), 0x77)]),
});

const vlan = (id: number, priority = 0) => [etherType.vlan, (priority << 13) | id] as const;
const provider = (id: number) => [etherType.qinq, id] as const;

const transports4: readonly NamedFrame[] = [
  over4('TCP', ipv4({ protocol: protocol.tcp }, tcp)),
  over4('UDP', ipv4({}, udp)),
  over4('SCTP', ipv4({ protocol: protocol.sctp }, ports(2905, 2906))),
  over4('DCCP', ipv4({ protocol: protocol.dccp }, ports(5001, 5002))),
  over4('UDP-Lite', ipv4({ protocol: protocol.udpLite }, ports(6001, 6002))),
  over4('ICMP', ipv4({ protocol: protocol.icmp }, icmp(3, 13))),
  over4('ICMPv6 in IPv4 has no type', ipv4({ protocol: protocol.icmpv6 }, icmp(128, 0))),
  over4('GRE', ipv4({ protocol: protocol.gre }, ports(1, 2))),
  over4('ESP', ipv4({ protocol: protocol.esp }, ports(1, 2))),
  over4('an authentication header in IPv4 is a protocol', ipv4({ protocol: protocol.authentication }, ports(1, 2))),
  over4('IGMP', ipv4({ protocol: protocol.igmp }, icmp(0x16, 0))),
  over4('protocol 0', ipv4({ protocol: 0 }, ports(1, 2))),
  over4('protocol 255', ipv4({ protocol: 255 }, ports(1, 2))),
  over4('all bits of the ports', ipv4({ protocol: protocol.tcp }, ports(65_535, 65_534))),
  over4('port 0', ipv4({}, ports(0, 0))),
  over4('UDP of 4 bytes', ipv4({}, ports(7, 8, 0))),
  over4('UDP of 3 bytes', ipv4({}, Buffer.from([0, 7, 0]))),
  over4('UDP of none', ipv4({})),
  over4('GRE of none', ipv4({ protocol: protocol.gre })),
];

const headers4: readonly NamedFrame[] = [
  over4('options', ipv4({ options: Buffer.from('0101010100000000', 'hex') }, udp)),
  over4('all options that fit', ipv4({ protocol: protocol.tcp, options: Buffer.alloc(40, 1) }, tcp)),
  over4('a header of 4 words', ipv4({ words: 4 }, udp)),
  over4('a header of none', ipv4({ words: 0 }, udp)),
  over4('a header longer than the packet', ipv4({ words: 15, totalBytes: 24 }, udp)),
  over4(
    'a header as long as the packet',
    ipv4({ words: 15, totalBytes: 60, protocol: protocol.gre }, Buffer.alloc(40)),
  ),
  over4('a total of 0', ipv4({ totalBytes: 0 }, udp)),
  over4('a total below the header', ipv4({ totalBytes: 19 }, udp)),
  over4('a total of the header alone', ipv4({ totalBytes: 20 }, udp)),
  over4('a total that leaves 3 bytes', ipv4({ totalBytes: 23 }, udp)),
  over4('a total that leaves 4 bytes', ipv4({ totalBytes: 24 }, udp)),
  over4('a total beyond the frame by 1', ipv4({ totalBytes: 20 + udp.length + 1 }, udp)),
  over4('the largest total', ipv4({ totalBytes: 65_535 }, udp)),
  over4('version 6 in an IPv4 frame', ipv4({ version: 6 }, udp)),
  over4('version 0', ipv4({ version: 0 }, udp)),
  over4('do not fragment', ipv4({ dontFragment: true }, udp)),
  over4('the first fragment', ipv4({ moreFragments: true }, udp)),
  over4('a middle fragment', ipv4({ moreFragments: true, fragmentOffset: 1 }, udp)),
  over4('the last fragment', ipv4({ fragmentOffset: 0x1fff }, udp)),
  over4('the last fragment, with nothing in it', ipv4({ fragmentOffset: 256 })),
  over4('a fragment that is longer than the frame', ipv4({ fragmentOffset: 2, totalBytes: 1500 }, udp)),
  padded('UDP of 2 bytes before padding', etherType.ipv4, ipv4({}, Buffer.from([0, 7]))),
  padded('UDP before padding', etherType.ipv4, ipv4({}, ports(9, 10, 4))),
  padded('IPv4 alone before padding', etherType.ipv4, ipv4({ protocol: protocol.tcp })),
];

const headers6: readonly NamedFrame[] = [
  over6('TCP', ipv6({ next: protocol.tcp }, tcp)),
  over6('UDP', ipv6({}, udp)),
  over6('SCTP', ipv6({ next: protocol.sctp }, ports(2905, 2906))),
  over6('DCCP', ipv6({ next: protocol.dccp }, ports(5001, 5002))),
  over6('UDP-Lite', ipv6({ next: protocol.udpLite }, ports(6001, 6002))),
  over6('ICMPv6', ipv6({ next: protocol.icmpv6 }, icmp(135, 0))),
  over6('ICMP in IPv6 has no type', ipv6({ next: protocol.icmp }, icmp(8, 0))),
  over6('ESP', ipv6({ next: protocol.esp }, ports(1, 2))),
  over6('IPv6 in IPv6', ipv6({ next: protocol.ipv6 }, ipv6({}, udp))),
  over6('no next header', ipv6({ next: protocol.noNext })),
  over6('no next header, with bytes', ipv6({ next: protocol.noNext }, udp)),
  over6('UDP of 3 bytes', ipv6({}, Buffer.from([0, 7, 0]))),
  over6('UDP of none', ipv6({})),
  over6('a payload of 0 before UDP', ipv6({ payloadBytes: 0 }, udp)),
  over6('a payload that leaves 3 bytes', ipv6({ payloadBytes: 3 }, udp)),
  over6('a payload that leaves 4 bytes', ipv6({ payloadBytes: 4 }, udp)),
  over6('a payload beyond the frame by 1', ipv6({ payloadBytes: udp.length + 1 }, udp)),
  over6('version 4 in an IPv6 frame', ipv6({ version: 4 }, udp)),
  padded('2 bytes of UDP before padding', etherType.ipv6, ipv6({}, Buffer.from([0, 7]))),
  { name: 'IPv6, then bytes that are not of it', frame: Buffer.concat([ethernet(etherType.ipv6, ipv6({}, udp)), udp]) },
];

const extensions6: readonly NamedFrame[] = [
  ...[hopByHop, routing, destinationOptions, mobility, hip, shim6].flatMap((number) => [
    chained(`extension ${number}`, [extension(number)]),
    chained(`extension ${number} of 24 bytes`, [extension(number, 2)], protocol.tcp, tcp),
    chained(`extension ${number} before no next header`, [extension(number)], protocol.noNext, Buffer.alloc(0)),
  ]),
  chained('the longest extension', [extension(destinationOptions, 255)]),
  chained('an authentication header', [authentication()]),
  chained('an authentication header of 8 bytes', [authentication(0)]),
  chained('an authentication header of 1028 bytes', [authentication(255)]),
  chained('an authentication header of an odd number of words', [authentication(3)], protocol.icmpv6, icmp(1, 4)),
  chained('ESP ends the chain', [extension(hopByHop), extension(routing)], protocol.esp, udp),
  chained('the order of RFC 8200', [
    extension(hopByHop),
    extension(destinationOptions, 1),
    extension(routing, 2),
    fragment(0, true),
    authentication(),
    extension(destinationOptions),
  ]),
  chained('an atomic fragment', [fragment(0, false)]),
  chained('an atomic fragment with a length where none is', [fragment(0, false, 200)]),
  chained('the first fragment', [fragment(0, true)]),
  chained('a middle fragment', [fragment(1, true)]),
  chained('the last fragment', [fragment(0x1fff, false)]),
  chained('a fragment of a later extension', [extension(hopByHop), fragment(185, true)], destinationOptions),
  chained('a fragment behind extensions', [extension(hopByHop, 3), extension(routing), fragment(9, false)]),
  chained('two fragment headers, the second of a middle', [fragment(0, true), fragment(3, true)]),
  ...[1, 2, 3, 8, 15, 16, 17, 18].map((count) =>
    chained(`${count} extensions`, times(count, extension(destinationOptions))),
  ),
  chained('16 of many kinds', [
    ...times(4, extension(hopByHop, 1)),
    ...times(4, authentication(1)),
    ...times(4, fragment(0, false)),
    ...times(4, extension(mobility)),
  ]),
  chained('the 16th is a middle fragment', [...times(15, extension(routing)), fragment(4, false)]),
  chained('the 17th is a middle fragment', [...times(16, extension(routing)), fragment(4, false)]),
  over6('an extension longer than the payload', ipv6({ next: hopByHop }, Buffer.from('1109000000000000', 'hex'))),
  over6('an extension of 7 bytes', ipv6({ next: hopByHop }, Buffer.from('11000000000000', 'hex'))),
  over6('an extension that is not there', ipv6({ next: routing })),
  over6(
    'an extension cut by the payload length',
    ipv6Chain([extension(hopByHop, 1)], protocol.udp, udp, { payloadBytes: 12 }),
  ),
  over6(
    'a fragment header cut by the payload length',
    ipv6Chain([fragment(3, true)], protocol.udp, udp, { payloadBytes: 7 }),
  ),
  over6('extensions that end with the payload', ipv6Chain([extension(hopByHop)], protocol.gre, Buffer.alloc(0))),
];

const links: readonly NamedFrame[] = [
  { name: 'ARP', frame: ethernet(etherType.arp, Buffer.alloc(28)) },
  { name: 'a length instead of a type', frame: ethernet(46, Buffer.alloc(46)) },
  { name: 'LLDP', frame: ethernet(0x88cc, Buffer.alloc(46)) },
  { name: 'a VLAN', frame: ethernet(etherType.ipv4, ipv4({}, udp), [vlan(100)]) },
  { name: 'a VLAN with a priority', frame: ethernet(etherType.ipv4, ipv4({}, udp), [vlan(100, 7)]) },
  { name: 'VLAN 0', frame: ethernet(etherType.ipv4, ipv4({}, udp), [vlan(0)]) },
  { name: 'VLAN 4095', frame: ethernet(etherType.ipv6, ipv6({}, udp), [vlan(4095, 5)]) },
  { name: 'QinQ', frame: ethernet(etherType.ipv4, ipv4({}, tcp), [provider(200), vlan(100)]) },
  { name: 'the old QinQ', frame: ethernet(etherType.ipv6, ipv6({}, udp), [[etherType.oldQinq, 300], vlan(7)]) },
  { name: '3 tags', frame: ethernet(etherType.ipv4, ipv4({}, udp), [provider(1), provider(2), vlan(3)]) },
  { name: '4 tags', frame: ethernet(etherType.ipv6, ipv6({}, udp), [vlan(1), vlan(2), vlan(3), vlan(4)]) },
  {
    name: '5 tags',
    frame: ethernet(
      etherType.ipv4,
      ipv4({}, udp),
      [1, 2, 3, 4, 5].map((id) => vlan(id)),
    ),
  },
  { name: 'ARP in a VLAN', frame: ethernet(etherType.arp, Buffer.alloc(28), [vlan(100)]) },
  { name: 'a fragment in a VLAN', frame: ethernet(etherType.ipv4, ipv4({ fragmentOffset: 3 }, udp), [vlan(100)]) },
  { name: 'nothing behind the type', frame: ethernet(etherType.ipv4, Buffer.alloc(0)) },
  { name: 'nothing behind the tag', frame: ethernet(etherType.ipv6, Buffer.alloc(0), [vlan(5)]) },
];

const labelled = (label: string, frames: readonly NamedFrame[]) =>
  frames.map(({ name, frame }) => ({ name: `${label}: ${name}`, frame }));

export const frameTable: readonly NamedFrame[] = [
  ...labelled('link', links),
  ...labelled('IPv4', [...transports4, ...headers4]),
  ...labelled('IPv6', [...headers6, ...extensions6]),
];

/** The same packets without an Ethernet header, and what is none. */
export const bareTable: readonly NamedFrame[] = [
  ...frameTable
    .filter(
      ({ frame }) => [etherType.ipv4, etherType.ipv6].includes(frame.readUInt16BE(12) as 0x0800) && frame.length > 14,
    )
    .map(({ name, frame }) => ({ name: `bare ${name}`, frame: frame.subarray(14) })),
  { name: 'bare: neither version', frame: Buffer.alloc(40, 0x55) },
];
