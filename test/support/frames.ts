/** Writes frames, right and wrong ones: every length and every field can be given. */

/** A frame and how often it is sent or run. */
export interface Run {
  readonly frame: Buffer;
  readonly times: number;
}

/** As packet_run and packet_send read them. */
export function encodeFrames(runs: readonly Run[]): Buffer {
  return Buffer.concat(
    runs.flatMap(({ frame, times }) => {
      const head = Buffer.alloc(8);
      head.writeUInt32LE(frame.length, 0);
      head.writeUInt32LE(times, 4);
      return [head, frame];
    }),
  );
}

export const etherType = {
  ipv4: 0x0800,
  arp: 0x0806,
  vlan: 0x8100,
  ipv6: 0x86dd,
  qinq: 0x88a8,
  oldQinq: 0x9100,
} as const;

export const protocol = {
  hopByHop: 0,
  icmp: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  gre: 47,
  esp: 50,
  authentication: 51,
  icmpv6: 58,
  noNext: 59,
  destinationOptions: 60,
  sctp: 132,
  mobility: 135,
  udpLite: 136,
  hip: 139,
  shim6: 140,
} as const;

const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);

/** @param tags each an EtherType and the control word (priority and VLAN id) */
export function ethernet(
  type: number,
  payload: Uint8Array,
  tags: readonly (readonly [type: number, control: number])[] = [],
) {
  const addresses = Buffer.from('020000000002020000000001', 'hex');
  const tagBytes = tags.map(([tagType, control]) => Buffer.concat([u16(tagType), u16(control)]));
  return Buffer.concat([addresses, ...tagBytes, u16(type), payload]);
}

export interface Ipv4Fields {
  readonly version?: number;
  /** Header length in words, whatever the options are. */
  readonly words?: number;
  readonly totalBytes?: number;
  /** In units of 8 bytes. */
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
  readonly dontFragment?: boolean;
  readonly protocol?: number;
  readonly source?: readonly number[];
  readonly destination?: readonly number[];
  readonly options?: Uint8Array;
}

export function ipv4(fields: Ipv4Fields, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const options = fields.options ?? Buffer.alloc(0);
  const header = Buffer.alloc(20);
  header[0] = ((fields.version ?? 4) << 4) | (fields.words ?? 5 + options.length / 4);
  header.writeUInt16BE(fields.totalBytes ?? 20 + options.length + payload.length, 2);
  const flags = (fields.dontFragment ? 0x4000 : 0) | (fields.moreFragments ? 0x2000 : 0);
  header.writeUInt16BE(flags | (fields.fragmentOffset ?? 0), 6);
  header[8] = 64;
  header[9] = fields.protocol ?? protocol.udp;
  header.set(fields.source ?? [192, 0, 2, 1], 12);
  header.set(fields.destination ?? [198, 51, 100, 2], 16);
  return Buffer.concat([header, options, payload]);
}

export interface Ipv6Fields {
  readonly version?: number;
  readonly payloadBytes?: number;
  readonly next?: number;
  readonly source?: Uint8Array;
  readonly destination?: Uint8Array;
}

/** 2001:db8::`last`, or below another prefix of 32 bits. */
export function ipv6Address(last: number, head = 0x20010db8): Buffer {
  const address = Buffer.alloc(16);
  address.writeUInt32BE(head, 0);
  address.writeUInt32BE(last, 12);
  return address;
}

export function ipv6(fields: Ipv6Fields, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(40);
  header[0] = (fields.version ?? 6) << 4;
  header.writeUInt16BE(fields.payloadBytes ?? payload.length, 4);
  header[6] = fields.next ?? protocol.udp;
  header[7] = 64;
  header.set(fields.source ?? ipv6Address(1), 8);
  header.set(fields.destination ?? ipv6Address(2), 24);
  return Buffer.concat([header, payload]);
}

/** An extension header: its protocol number, and its bytes apart from the first, which says what comes next. */
export interface Extension {
  readonly protocol: number;
  readonly rest: Uint8Array;
}

/** One with a length of its own, of 8 bytes and `units` more of 8. */
export function extension(number: number, units = 0): Extension {
  const rest = Buffer.alloc(7 + units * 8);
  rest[0] = units;
  return { protocol: number, rest };
}

/** RFC 4302: its length counts words of 4 bytes, without the first two. */
export function authentication(words = 4): Extension {
  const rest = Buffer.alloc((words + 2) * 4 - 1);
  rest[0] = words;
  return { protocol: protocol.authentication, rest };
}

/** @param offset in units of 8 bytes */
export function fragment(offset: number, more: boolean, reserved = 0): Extension {
  const rest = Buffer.alloc(7);
  rest[0] = reserved;
  rest.writeUInt16BE((offset << 3) | (more ? 1 : 0), 1);
  rest.writeUInt32BE(0x01020304, 3);
  return { protocol: protocol.fragment, rest };
}

/** The chain, and behind it `payload` of the protocol `last`. Returns what `ipv6` takes. */
export function chain(extensions: readonly Extension[], last: number, payload: Uint8Array) {
  const parts = extensions.map(({ rest }, i) =>
    Buffer.concat([Buffer.from([extensions[i + 1]?.protocol ?? last]), rest]),
  );
  return { next: extensions[0]?.protocol ?? last, payload: Buffer.concat([...parts, payload]) };
}

/** An IPv6 packet with extension headers. */
export function ipv6Chain(
  extensions: readonly Extension[],
  last: number,
  payload: Uint8Array,
  fields: Ipv6Fields = {},
) {
  const behind = chain(extensions, last, payload);
  return ipv6({ next: behind.next, ...fields }, behind.payload);
}

/** The beginning that TCP, UDP, SCTP, DCCP and UDP-Lite share, and more. */
export function ports(source: number, destination: number, more = 8): Buffer {
  return Buffer.concat([u16(source), u16(destination), Buffer.alloc(more, 0xa5)]);
}

/** ICMP and ICMPv6. */
export function icmp(type: number, code: number, more = 6): Buffer {
  return Buffer.concat([Buffer.from([type, code]), Buffer.alloc(more, 0x5a)]);
}
