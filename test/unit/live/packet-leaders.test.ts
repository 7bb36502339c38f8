import { expect, test } from 'vitest';
import { PacketLeaders } from '../../../src/live/packet-leaders.ts';
import type { PacketCount } from '../../../src/schemas/packet-count.ts';
import { classCount, flowCount } from '../schemas/packet-counts.ts';

const from = (port: number, packets: number, changes: Partial<PacketCount> = {}): PacketCount => ({
  ...flowCount,
  source_port: port,
  packets,
  bytes: packets * 100,
  ...changes,
});
const shownOf = (leaders: PacketLeaders, limit = 50) =>
  leaders.leaderboard(limit).leaders.map(({ text, packets }) => `${text} | ${packets}`);

test('the busiest first, as tail prints them; a row adds up what it does not show', () => {
  const leaders = new PacketLeaders();
  leaders.add([from(1, 5), from(2, 7), from(1, 4, { destination_address: '192.0.2.9' }), from(1, 3, { vlan_id: 7 })]);
  leaders.add([from(3, 1, { protocol: 'udp', protocol_number: 17 })]);
  expect(shownOf(leaders)).toEqual([
    '198.51.100.7:1 => :443 | 12',
    '198.51.100.7:2 => :443 | 7',
    '198.51.100.7:3 => :443/udp | 1',
  ]);
  expect(leaders.leaderboard(2)).toMatchObject({ rows: 3, leaders: [{ packets: 12, bytes: 1_200 }, { packets: 7 }] });
});

test('what makes another row: interface, addresses, ports, protocol, kind of message', () => {
  const leaders = new PacketLeaders();
  const icmp = { protocol: 'icmp', protocol_number: 1, source_port: null, destination_port: null, icmp_type: 8 };
  const rows: readonly Partial<PacketCount>[] = [
    {},
    { interface_name: 'eth1' },
    { source_address: '198.51.100.8' },
    { source_port: 2 },
    { destination_port: 80 },
    { protocol: 'udp', protocol_number: 17 },
    { ...icmp, icmp_code: 0 },
    { ...icmp, icmp_code: 1 },
  ];
  leaders.add(rows.map((changes) => ({ ...flowCount, ...changes })));
  leaders.add(rows.map((changes) => ({ ...flowCount, ...changes })));
  expect(leaders.leaderboard(50).leaders.map(({ packets }) => packets)).toEqual(rows.map(() => 2));
});

test('keys of addresses alone have both in their rows', () => {
  const leaders = new PacketLeaders();
  const hosts = { key_kind: 'hosts', protocol: null, protocol_number: null, source_port: null, destination_port: null };
  leaders.add([
    { ...flowCount, ...hosts, packets: 2 } as PacketCount,
    { ...flowCount, ...hosts, destination_address: '192.0.2.2' } as PacketCount,
  ]);
  expect(shownOf(leaders)).toEqual(['198.51.100.7 => 192.0.2.1 | 2', '198.51.100.7 => 192.0.2.2 | 1']);
});

test('the rate is that of the newest interval, and 0 for a row that had nothing in it', () => {
  const leaders = new PacketLeaders();
  leaders.add([from(1, 50), from(2, 10)]);
  const interval_end = flowCount.interval_end + 2_000;
  leaders.add([from(1, 4, { interval_start: flowCount.interval_end, interval_end })]);
  leaders.add([from(1, 2, { interval_start: flowCount.interval_end, interval_end, vlan_id: 1 })]);
  const { leaders: rows, until, interfaces } = leaders.leaderboard(50);
  expect(until).toBe(interval_end);
  expect(rows.map(({ packets, packets_per_second }) => [packets, packets_per_second])).toEqual([
    [56, 3],
    [10, 0],
  ]);
  expect(interfaces).toMatchObject([{ interface_name: 'eth0', packets: 66, packets_per_second: 3 }]);
});

test('packets without a key are counted by interface and class', () => {
  const leaders = new PacketLeaders();
  leaders.add([from(1, 5), { ...classCount('non_ip'), packets: 3 }, { ...classCount('overflow'), packets: 9 }]);
  leaders.add([{ ...classCount('non_ip'), packets: 1, interface_name: 'eth1' }]);
  const { rows, interfaces } = leaders.leaderboard(50);
  expect(rows).toBe(1);
  expect(interfaces).toMatchObject([
    { interface_name: 'eth0', packets: 17, traffic_classes: { keyed: 5, non_ip: 3, overflow: 9 } },
    { interface_name: 'eth1', packets: 1, traffic_classes: { non_ip: 1 } },
  ]);
});

test('rows are bounded: the busy ones stay with their counts, what the others had is told', () => {
  const leaders = new PacketLeaders(1_000);
  const busy = Array.from({ length: 20 }, (_, n) => from(n, 1_000 + n));
  leaders.add(busy);
  const flood = 20_000;
  for (let n = 0; n < flood; n += 1) leaders.add([from(n, 1, { source_address: '203.0.113.9' })]);
  const board = leaders.leaderboard(20);
  expect(board.rows).toBeLessThanOrEqual(1_000);
  expect(board.leaders.map(({ packets }) => packets)).toEqual(busy.map(({ packets }) => packets).reverse());
  expect(board.leaders.every(({ complete }) => complete)).toBe(true);
  const all = leaders.leaderboard(1_000);
  const kept = all.leaders.reduce((sum, { packets }) => sum + packets, 0);
  expect(kept + all.beyond).toBe(flood + busy.reduce((sum, { packets }) => sum + packets, 0));
});

test('a row that may have been left out once says that packets can be missing', () => {
  const leaders = new PacketLeaders(4);
  leaders.add([1, 2, 3, 4, 5].map((port) => from(port, port < 3 ? 100 : 1)));
  const back = leaders.leaderboard(50).leaders.map(({ source_port, complete }) => [source_port, complete]);
  expect(back).toEqual([
    [1, true],
    [2, true],
    [5, false],
  ]);
});
