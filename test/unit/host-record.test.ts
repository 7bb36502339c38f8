import { expect, test } from 'vitest';
import type { HostFacts } from '../../src/enrich/host.ts';
import { noFilters } from '../../src/exec-filters.ts';
import { HostRecord, type HostRecordOptions } from '../../src/host-record.ts';
import { parsePrefix } from '../../src/ip-prefix.ts';
import type { HostInfo } from '../../src/schemas/host-info.ts';
import { parseSecretPattern } from '../../src/secret-pattern.ts';
import { FakeClock } from './producers/fakes.ts';

const facts: HostFacts = {
  osName: 'Debian GNU/Linux',
  osVersion: '12',
  kernelRelease: '6.1.0',
  architecture: 'x86_64',
  addresses: ['192.0.2.7'],
};
const withHash = (programHash: string) => ({ status: () => ({ programHash }) });
const prefix = parsePrefix('10.0.0.0/8');
const pattern = parseSecretPattern('key-\\d+');
if (!('prefix' in prefix) || !('pattern' in pattern)) throw new Error('the test is wrong');

const options = {
  config: {
    configHash: 'c'.repeat(64),
    execRingBytes: 1,
    execFilters: { ...noFilters, uids: [5] },
    labels: { site: 'fra1' },
    packets: { excluded: [prefix.prefix] },
    redaction: { defaults: true, patterns: [pattern.pattern] },
  },
  inlets: {
    capture: { exec: withHash('e'), exit: withHash('x') },
    identity: { hostId: 'h', hostName: 'web-17', bootId: 'b', attachId: 1 },
    packets: { capture: withHash('p') },
  },
} as unknown as Pick<HostRecordOptions, 'config' | 'inlets'>;

function hostRecord(change: Partial<HostRecordOptions> = {}) {
  const published: HostInfo[] = [];
  const publish = async (info: HostInfo) => void published.push(info);
  const clock = new FakeClock();
  return { record: new HostRecord({ ...options, clock, publish, facts: () => facts, ...change }), published, clock };
}

test('says what the host is and how it is set up', async () => {
  const { record, published, clock } = hostRecord();
  await record.tell();
  expect(published).toEqual([
    {
      host_id: 'h',
      host_name: 'web-17',
      boot_id: 'b',
      event_time: clock.now,
      os_name: 'Debian GNU/Linux',
      os_version: '12',
      kernel_release: '6.1.0',
      architecture: 'x86_64',
      addresses: ['192.0.2.7'],
      labels: { site: 'fra1' },
      sidecar_version: expect.stringMatching(/^\d+\./),
      config_hash: 'c'.repeat(64),
      filters: ['exclude_uid:5', 'exclude_ip:10.0.0.0/8'],
      redaction: ['defaults', 'key-\\d+'],
      program_tags: { exec: 'e', exit: 'x', packets: 'p' },
    },
  ]);
});

test('is silent until something changes', async () => {
  let now = facts;
  const { record, published, clock } = hostRecord({ facts: () => now });
  await record.tell();
  clock.now += 60_000;
  await record.tell();
  expect(published).toHaveLength(1);
  now = { ...facts, addresses: ['192.0.2.7', '192.0.2.8'] };
  await record.tell();
  record.filters = noFilters;
  await record.tell();
  await record.tell();
  expect(published.map(({ addresses, filters }) => [addresses.length, filters.length])).toEqual([
    [1, 2],
    [2, 2],
    [2, 1],
  ]);
});

test('what was not acknowledged is told again, and one at a time', async () => {
  const outcomes: ((failed?: Error) => void)[] = [];
  const publish = () =>
    new Promise<void>((resolve, reject) => outcomes.push((failed) => (failed ? reject(failed) : resolve())));
  const { record } = hostRecord({ publish });
  const first = record.tell();
  await record.tell();
  expect(outcomes).toHaveLength(1);
  outcomes[0]?.(new Error('stopped'));
  await expect(first).rejects.toThrow('stopped');
  const second = record.tell();
  outcomes[1]?.();
  await second;
  await record.tell();
  expect(outcomes).toHaveLength(2);
});
