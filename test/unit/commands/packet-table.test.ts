import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PacketTable } from '../../../src/commands/packet-table.ts';
import type { PacketCount } from '../../../src/schemas/packet-count.ts';
import { classCount, flowCount } from '../schemas/packet-counts.ts';

const zone = process.env.TZ;
beforeAll(() => {
  process.env.TZ = 'Asia/Kolkata';
});
afterAll(() => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

function tableOf(counts: readonly Partial<PacketCount>[], limit?: number): PacketTable {
  const table = new PacketTable(limit);
  for (const count of counts) table.add({ ...flowCount, ...count });
  return table;
}

const linesOf = (table: PacketTable, lines?: number) => table.text(lines).split('\n');
/** Without the heading. */
const rowsOf = (...counts: Partial<PacketCount>[]) => linesOf(tableOf(counts)).slice(1);

const noPorts = { source_port: null, destination_port: null };

describe('a row', () => {
  test('of TCP is ADDRESS:PORT => :PORT | COUNT, an IPv6 address in brackets', () => {
    expect(rowsOf({ packets: 12 })).toEqual(['198.51.100.7:51022 => :443 | 12']);
    expect(rowsOf({ source_address: '2001:db8::7', address_family: 'ipv6' })).toEqual([
      '[2001:db8::7]:51022 => :443 | 1',
    ]);
    expect(rowsOf({ source_port: 0, destination_port: 0 })).toEqual(['198.51.100.7:0 => :0 | 1']);
  });

  test('of another protocol names it, so that it is not taken for TCP', () => {
    const udp = { protocol: 'udp', protocol_number: 17 };
    expect(rowsOf(udp)).toEqual(['198.51.100.7:51022 => :443/udp | 1']);
    expect(rowsOf({ protocol: 'esp', protocol_number: 50, ...noPorts })).toEqual(['198.51.100.7 => esp | 1']);
    expect(rowsOf({ protocol: null, protocol_number: 253, ...noPorts })).toEqual(['198.51.100.7 => protocol 253 | 1']);
    const echo = { protocol: 'ipv6-icmp', protocol_number: 58, ...noPorts, icmp_type: 128, icmp_code: 0 };
    expect(rowsOf({ ...echo, source_address: 'fe80::1' })).toEqual(['fe80::1 => ipv6-icmp type 128 code 0 | 1']);
  });

  test('of a key without ports has what the key has', () => {
    expect(rowsOf({ key_kind: 'service', source_port: null })).toEqual(['198.51.100.7 => :443 | 1']);
    const hosts = { key_kind: 'hosts', protocol: null, protocol_number: null, ...noPorts } as const;
    expect(rowsOf(hosts)).toEqual(['198.51.100.7 => 192.0.2.1 | 1']);
  });

  test('adds up destination addresses and VLANs, which it does not show', () => {
    expect(
      rowsOf({ packets: 1 }, { packets: 2, destination_address: '192.0.2.2' }, { packets: 4, vlan_id: 100 }),
    ).toEqual(['198.51.100.7:51022 => :443 | 7']);
  });

  test('what a producer put in a field can neither move the cursor nor forge a row', () => {
    const hostile = '10.0.0.1:1 => :2 | 3\n\u001b[2J';
    const text = tableOf([
      { source_address: hostile },
      { protocol: hostile, protocol_number: 17 },
      { traffic_class: hostile as 'fragment' },
      { interface_name: hostile },
      { host_id: 'x', host_name: hostile },
    ]).text();
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(text).not.toMatch(/^10\.0\.0\.1:1 => :2 \| 3$/m);
    expect(text).toContain('["10.0.0.1:1 => :2 | 3\\n\\x1b[2J"]:51022 => :443 | 1');
  });
});

describe('the table', () => {
  test('has a heading with the end of the newest interval, the host and the interface', () => {
    const counts = [
      { interval_end: Date.UTC(2026, 10, 24, 20, 5, 9, 7), epoch: 2 },
      { interval_end: 0, source_port: 1 },
    ];
    expect(linesOf(tableOf(counts))[0]).toBe('01:35:09.007 web-17.example.org eth0');
    expect(linesOf(tableOf([{ host_name: null }]))[0]).toMatch(/ 0123456789abcdef0123456789abcdef eth0$/);
  });

  test('adds up epoch by epoch', () => {
    const table = tableOf([{ epoch: 1, packets: 5 }]);
    expect(linesOf(table)[1]).toBe('198.51.100.7:51022 => :443 | 5');
    table.add({ ...flowCount, epoch: 2, packets: 7 });
    expect(linesOf(table)[1]).toBe('198.51.100.7:51022 => :443 | 12');
    expect(table.changes).toBe(2);
  });

  test('has the busiest first, equal ones by their text, and what has no key last', () => {
    const flows = [
      { source_address: '10.0.0.2', packets: 3 },
      { source_address: '10.0.0.1', packets: 3 },
      { source_address: '10.0.0.3', packets: 30 },
    ];
    const rows = rowsOf(
      { ...classCount('overflow'), packets: 1000 },
      ...flows,
      classCount('fragment'),
      classCount('non_ip'),
      classCount('malformed'),
      { ...classCount('filtered'), packets: 4 },
    );
    expect(rows).toEqual([
      '10.0.0.3:51022 => :443 | 30',
      '10.0.0.1:51022 => :443 | 3',
      '10.0.0.2:51022 => :443 | 3',
      '(filtered) | 4',
      '(fragment) | 1',
      '(malformed) | 1',
      '(non_ip) | 1',
      '(overflow) | 1000',
    ]);
  });

  test('keeps interfaces and hosts apart, and an interface that was made again together', () => {
    const lines = linesOf(
      tableOf([
        { interface_name: 'lo', interface_index: 1, packets: 1 },
        { packets: 2 },
        { host_id: 'other', packets: 4 },
        { interface_index: 9, packets: 8 },
        { host_id: 'third', host_name: 'db-1', packets: 16 },
      ]),
    ).map((line) => line.replace(/^[\d:]+\.\d{3} /, ''));
    expect(lines).toEqual([
      'db-1 eth0',
      '198.51.100.7:51022 => :443 | 16',
      'web-17.example.org eth0',
      '198.51.100.7:51022 => :443 | 10',
      'web-17.example.org eth0',
      '198.51.100.7:51022 => :443 | 4',
      'web-17.example.org lo',
      '198.51.100.7:51022 => :443 | 1',
    ]);
  });
});

describe('a repeat', () => {
  const changed: [string, Partial<PacketCount>][] = [
    ['another epoch', { epoch: flowCount.epoch + 1 }],
    ['another boot', { boot_id: 'another' }],
    ['another host', { host_id: 'another' }],
    ['another interface', { interface_index: 3 }],
    ['another protocol', { protocol_number: 17, protocol: 'udp' }],
    ['another source', { source_address: '198.51.100.8' }],
    ['another destination', { destination_address: '192.0.2.2' }],
    ['another source port', { source_port: 1 }],
    ['another destination port', { destination_port: 1 }],
    ['another type', { icmp_type: 8 }],
    ['another code', { icmp_code: 1 }],
    ['another VLAN', { vlan_id: 1 }],
    ['another class', classCount('fragment')],
  ];
  test.each(changed)('is not the record of %s', (_name, change) => {
    expect(tableOf([{}, change]).changes).toBe(2);
  });

  test('is not counted and changes nothing', () => {
    const table = tableOf([{ packets: 5 }, classCount('fragment')]);
    const before = table.text();
    for (const count of [{ ...flowCount, packets: 5 }, classCount('fragment')]) table.add(count);
    expect([table.text(), table.changes]).toEqual([before, 2]);
  });

  test('of any epochs of the past, after any crash, leaves the sums as they are', () => {
    const epochs = fc.array(fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 9 })), { maxLength: 4 }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(epochs, fc.array(fc.tuple(fc.nat(5), fc.nat(4))), (contents, crashes) => {
        const records = contents.map((counts, epoch) =>
          [...new Map(counts)].map(([source_port, packets]) => ({ ...flowCount, epoch, source_port, packets })),
        );
        const once = tableOf(records.flat());
        // A crash publishes the newest epoch again, from its beginning on.
        const again = records.flatMap((epoch, at) => [
          ...epoch,
          ...crashes.filter(([when]) => when === at).flatMap(([, upTo]) => epoch.slice(0, upTo)),
        ]);
        expect(tableOf(again).text()).toBe(once.text());
      }),
    );
  });
});

describe('a small screen', () => {
  const many = Array.from({ length: 50 }, (_, index) => ({ source_port: 1000 + index, packets: 1 + (index % 7) * 10 }));

  test('shows the busiest and says how many more there are', () => {
    const lines = linesOf(tableOf([...many, classCount('non_ip')]), 10);
    expect(lines).toHaveLength(10);
    expect(lines.slice(1, 3)).toEqual(['198.51.100.7:1006 => :443 | 61', '198.51.100.7:1013 => :443 | 61']);
    expect(lines.slice(-2)).toEqual(['… and 43 more keys', '(non_ip) | 1']);
  });

  test('shows the same rows as the whole table, whatever the counts and the size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(20), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 8, max: 70 }),
        (counts, size) => {
          const table = tableOf(counts.map((packets, source_port) => ({ source_port, packets })));
          const [all, cut] = [linesOf(table), linesOf(table, size)];
          expect(cut.length).toBeLessThanOrEqual(size);
          if (all.length <= size) {
            expect(cut).toEqual(all);
          } else {
            expect(cut.slice(0, -1)).toEqual(all.slice(0, size - 1));
            expect(cut.at(-1)).toBe(`… and ${counts.length - (size - 2)} more keys`);
          }
        },
      ),
    );
  });

  test('gives each interface its share, and says how many are left out', () => {
    const interfaces = (count: number) =>
      Array.from({ length: count }, (_, index) =>
        many.map((flow) => ({ ...flow, interface_name: `eth${index}`, interface_index: index })),
      ).flat();
    const two = linesOf(tableOf(interfaces(2)), 24);
    expect(two).toHaveLength(24);
    expect(two.filter((line) => / eth\d$/.test(line))).toHaveLength(2);
    expect(two.filter((line) => line === '… and 40 more keys')).toHaveLength(2);

    const ten = linesOf(tableOf(interfaces(10)), 24);
    expect(ten.length).toBeLessThanOrEqual(24);
    expect(ten.filter((line) => / eth\d$/.test(line))).toHaveLength(3);
    expect(ten.at(-1)).toBe('… and 7 more interfaces');
  });
});

test('keys beyond the limit make one sum, those before it go on', () => {
  const flows = Array.from({ length: 5 }, (_, index) => ({ source_port: index, packets: 10 - index }));
  const table = tableOf(flows, 3);
  expect(linesOf(table).slice(1)).toEqual([
    '198.51.100.7:0 => :443 | 10',
    '198.51.100.7:1 => :443 | 9',
    '198.51.100.7:2 => :443 | 8',
    '(more than 3 keys) | 13',
  ]);
  table.add({ ...flowCount, source_port: 2, epoch: flowCount.epoch + 1, packets: 100 });
  table.add({ ...flowCount, source_port: 9, interface_name: 'lo', packets: 1 });
  expect(linesOf(table).slice(1)).toEqual([
    '198.51.100.7:2 => :443 | 108',
    '198.51.100.7:0 => :443 | 10',
    '198.51.100.7:1 => :443 | 9',
    '(more than 3 keys) | 14',
  ]);
  expect(linesOf(table, 5).at(-1)).toBe('(more than 3 keys) | 14');
});
