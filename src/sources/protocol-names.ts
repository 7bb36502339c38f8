/**
 * IANA's keywords by protocol number, as registered in 2026, without the remark "deprecated". Left out are the numbers
 * that have no keyword (61, 63, 68, 99, 114, 253, 254), that are reserved (255), and those not assigned.
 * https://www.iana.org/assignments/protocol-numbers
 */
const keywords: readonly (readonly [first: number, ...keywords: string[]])[] = [
  [0, 'HOPOPT', 'ICMP', 'IGMP', 'GGP', 'IPv4', 'ST', 'TCP', 'CBT', 'EGP', 'IGP'],
  [10, 'BBN-RCC-MON', 'NVP-II', 'PUP', 'ARGUS', 'EMCON', 'XNET', 'CHAOS', 'UDP', 'MUX', 'DCN-MEAS'],
  [20, 'HMP', 'PRM', 'XNS-IDP', 'TRUNK-1', 'TRUNK-2', 'LEAF-1', 'LEAF-2', 'RDP', 'IRTP', 'ISO-TP4'],
  [30, 'NETBLT', 'MFE-NSP', 'MERIT-INP', 'DCCP', '3PC', 'IDPR', 'XTP', 'DDP', 'IDPR-CMTP', 'TP++'],
  [40, 'IL', 'IPv6', 'SDRP', 'IPv6-Route', 'IPv6-Frag', 'IDRP', 'RSVP', 'GRE', 'DSR', 'BNA'],
  [50, 'ESP', 'AH', 'I-NLSP', 'SWIPE', 'NARP', 'Min-IPv4', 'TLSP', 'SKIP', 'IPv6-ICMP', 'IPv6-NoNxt'],
  [60, 'IPv6-Opts'],
  [62, 'CFTP'],
  [64, 'SAT-EXPAK', 'KRYPTOLAN', 'RVD', 'IPPC'],
  [69, 'SAT-MON'],
  [70, 'VISA', 'IPCV', 'CPNX', 'CPHB', 'WSN', 'PVP', 'BR-SAT-MON', 'SUN-ND', 'WB-MON', 'WB-EXPAK'],
  [80, 'ISO-IP', 'VMTP', 'SECURE-VMTP', 'VINES', 'IPTM', 'NSFNET-IGP', 'DGP', 'TCF', 'EIGRP', 'OSPFIGP'],
  [90, 'Sprite-RPC', 'LARP', 'MTP', 'AX.25', 'IPIP', 'MICP', 'SCC-SP', 'ETHERIP', 'ENCAP'],
  [100, 'GMTP', 'IFMP', 'PNNI', 'PIM', 'ARIS', 'SCPS', 'QNX', 'A/N', 'IPComp', 'SNP'],
  [110, 'Compaq-Peer', 'IPX-in-IP', 'VRRP', 'PGM'],
  [115, 'L2TP', 'DDX', 'IATP', 'STP', 'SRP'],
  [120, 'UTI', 'SMP', 'SM', 'PTP', 'ISIS over IPv4', 'FIRE', 'CRTP', 'CRUDP', 'SSCOPMCE', 'IPLT'],
  [130, 'SPS', 'PIPE', 'SCTP', 'FC', 'RSVP-E2E-IGNORE', 'Mobility Header', 'UDPLite', 'MPLS-in-IP', 'manet', 'HIP'],
  [140, 'Shim6', 'WESP', 'ROHC', 'Ethernet', 'AGGFRAG', 'NSH', 'Homa', 'BIT-EMU'],
];

const names: readonly (string | null)[] = (() => {
  const table = new Array<string | null>(256).fill(null);
  for (const [first, ...row] of keywords) {
    for (const [index, keyword] of row.entries()) table[first + index] = keyword.toLowerCase();
  }
  return table;
})();

/** IANA's keyword of an IP protocol in lower case (`tcp`, `ipv6-icmp`); null for a number, 0 to 255, without one. */
export function protocolName(number: number): string | null {
  return names[number] ?? null;
}
