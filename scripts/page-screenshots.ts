/**
 * The pictures of the live page in docs/images, of a host that is made up. `node scripts/page-screenshots.ts` writes them;
 * it needs the Chromium of the tests (scripts/chromium.sh).
 */
import { join } from 'node:path';
import type { Health } from '../src/http/health.ts';
import type { Figures } from '../src/metrics/figures.ts';
import { launchChromium } from '../test/support/chromium.ts';
import { MadeUpPage, pageToken } from '../test/support/live-page.ts';

const images = join(import.meta.dirname, '../docs/images');
const now = Date.now();
const terms = {
  at: now - 2_000,
  pending: 0,
  filtered: {},
  lost: { ring_full: 0 },
  unexplained: 0,
  unobservedMicros: 0,
};
const none = { retries: 0, producers: 1, deadLetters: 0, state: 'idle' } as const;

const figures: Figures = {
  capturing: true,
  epoch: 1,
  streams: [
    { ...terms, stream: 'exec', seen: 184_213, published: 181_102, filtered: { 'exe:/usr/bin/cc1': 3_111 } },
    { ...terms, stream: 'exit', seen: 190_772, published: 190_772 },
    { ...terms, stream: 'packets:eth0', seen: 48_120_331, published: 48_120_331 },
  ],
  rings: [
    { ring: 'exec', capacityBytes: 8 << 20, usedBytes: 18_240, highWaterBytes: 1_204_224 },
    { ring: 'exec_bare', capacityBytes: 1 << 20, usedBytes: 0, highWaterBytes: 0 },
    { ring: 'exit', capacityBytes: 4 << 20, usedBytes: 9_800, highWaterBytes: 380_928 },
  ],
  spool: { state: 'empty', records: 0, bytes: 0, capacityBytes: 1 << 30 },
  packets: { interfaces: ['eth0'], flows: 412, flowCapacity: 131_072, overflow: [] },
  deliveries: [
    { ...none, topic: 'exec-events', records: 181_102, bytes: 72_000_000 },
    { ...none, topic: 'exit-events', records: 190_772, bytes: 31_000_000 },
    { ...none, topic: 'packet-counts', records: 912_004, bytes: 160_000_000 },
    { ...none, topic: 'bpf2kafka-ledger', records: 2_160, bytes: 900_000 },
  ],
};
const health: Health = {
  capturing: true,
  stopping: false,
  deliveries: [],
  spool: { state: 'empty', directory: '/var/lib/bpf2kafka/spool', batches: 0, records: 0, bytes: 0 },
};

const programs = [
  { comm: 'ls', parent_comm: 'bash', user_name: 'ada', args: ['ls', '--color=auto', '-l'] },
  { comm: 'curl', parent_comm: 'cron', user_name: 'www-data', args: ['curl', '-sS', 'https://example.org/feed'] },
  { comm: 'git', parent_comm: 'make', user_name: 'ada', args: ['git', 'rev-parse', '--short', 'HEAD'] },
  { comm: 'sh', parent_comm: 'node', user_name: 'root', args: ['sh', '-c', "echo 'two words'"] },
  { comm: 'mysql', parent_comm: 'bash', user_name: 'root', args: ['mysql', '--password=***', 'shop'] },
  { comm: 'bash', parent_comm: 'sshd', user_name: 'eve', args: ['bash', '-c', 'printf invoice\u202efdp.exe'] },
];
const sources = [
  { source_address: '203.0.113.9', source_port: 51_022, destination_port: 22 },
  { source_address: '2001:db8::7', source_port: 443, destination_port: 40_312 },
  { source_address: '198.51.100.23', source_port: 39_914, destination_port: 443 },
  { source_address: '192.0.2.53', source_port: 53, destination_port: 33_801, protocol: 'udp', protocol_number: 17 },
  { source_address: '198.51.100.80', source_port: 60_001, destination_port: 9_092 },
  { source_address: '203.0.113.77', source_port: 48_210, destination_port: 443 },
  ...Array.from({ length: 14 }, (_, n) => ({
    source_address: `198.51.100.${100 + n * 7}`,
    source_port: 40_000 + ((n * 7_919) % 20_000),
    destination_port: n % 3 === 0 ? 9_092 : 443,
  })),
];

/** What happens in a second that ended so many seconds ago. */
function happen(page: MadeUpPage, second: number): void {
  const wave = 1.2 + Math.sin(second / 40) + (second > 200 && second < 230 ? 3 : 0);
  const begin = Date.now() - (second + 1) * 1_000;
  const execs = Array.from({ length: Math.round(6 * wave) }, (_, n) => ({
    ...programs[(second + n) % programs.length],
    pid: 12_000 + (600 - second) * 9 + n,
    event_time: begin + n * 60,
  }));
  page.execs(...execs);
  page.exits(...execs.slice(1).map(({ event_time }) => event_time + 300));
  const interval = { interval_start: begin, interval_end: begin + 1_000 };
  page.packets(
    ...sources.map((source, n) => ({ ...source, ...interval, packets: Math.round((900 * wave) / (n + 1)) })),
    { traffic_class: 'non_ip', packets: 2, ...interval },
  );
}

const browser = await launchChromium();
if ('reason' in browser) throw new Error(browser.reason);
await using page = await MadeUpPage.start(figures, health);
for (let second = 600; second >= 0; second -= 1) happen(page, second);
const goesOn = setInterval(() => happen(page, 0), 1_000);
const pictures = [
  ['page-light', { width: 1_280, height: 900 }, 'light'],
  ['page-dark', { width: 1_280, height: 900 }, 'dark'],
  ['page-phone', { width: 390, height: 844 }, 'light'],
] as const;
for (const [name, viewport, colorScheme] of pictures) {
  const tab = await browser.newPage({ viewport, colorScheme });
  await tab.goto(`${page.url}/?token=${pageToken}`);
  await tab.locator('#execs li').first().waitFor();
  await tab.screenshot({ path: join(images, `${name}.png`) });
}
clearInterval(goesOn);
await browser.close();
